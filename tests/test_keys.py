"""Key files that are refused and why, forgeries that are refused, and the two keys derived from one seed."""

from __future__ import annotations

import hashlib
import os
import pickle
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_scalarmult_ed25519_base_noclamp

from pbft.keys import KeyFileError, Libsodium, PrivateKey

ORDER = 2**252 + 27742317777372353535851937790883648493
"""The order of Ed25519's base point (RFC 8032, section 5.1)."""
ORDER_EIGHT = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
"""A public key of order 8: a signature that ignores it is right for one message in eight."""

KEY = PrivateKey.from_seed(bytes(range(32)))
ITS_LINK_KEY = "72b42b3a5ce0dd9dcdb4996727e7002695d0489371649fcd561962376d1bd769"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    return private


@pytest.fixture
def saved(folder: Path) -> Path:
    path = folder / "alice.key"
    KEY.save(path)
    return path


def pem(key: object, encryption: serialization.KeySerializationEncryption | None = None) -> bytes:
    assert hasattr(key, "private_bytes")
    written = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        encryption or serialization.NoEncryption(),
    )
    assert isinstance(written, bytes)
    return written


def test_signs_as_rfc_8032_says() -> None:
    """The second test vector of RFC 8032, section 7.1: seed, public key, message and signature."""
    key = PrivateKey.from_seed(bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"))
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert key.public_key.hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert key.sign(b"\x72") == signature
    assert Libsodium().verify(key.public_key, b"\x72", signature)


def test_link_key_has_a_domain_of_its_own() -> None:
    """The link key is neither the signing key on the other curve nor the seed used twice, and never changes."""
    assert KEY.link_key != X25519PrivateKey.from_private_bytes(bytes(range(32))).public_key().public_bytes_raw()
    assert KEY.link_key == PrivateKey.from_seed(bytes(range(32))).link_key
    assert KEY.link_key.hex() == ITS_LINK_KEY


def test_two_parties_share_a_secret_that_a_third_does_not() -> None:
    """Both sides of a link compute the same 32 bytes."""
    peer, stranger = PrivateKey.generate(), PrivateKey.generate()
    assert KEY.shared_secret(peer.link_key) == peer.shared_secret(KEY.link_key)
    assert KEY.shared_secret(peer.link_key) != stranger.shared_secret(KEY.link_key)


@pytest.mark.parametrize("peer", [bytes(32), b"\x01" + bytes(31), bytes(31), b""])
def test_no_secret_with_a_useless_link_key(peer: bytes) -> None:
    """A key of low order, or of another length, shares no secret."""
    with pytest.raises(ValueError, match=r"."):
        KEY.shared_secret(peer)


def test_order_eight_public_key_forges_nothing() -> None:
    """Under a key of order 8, S·B = R + k·A holds for any R = S·B whenever 8 divides k: all of these are refused."""
    scalar = (7).to_bytes(32, "little")
    point = crypto_scalarmult_ed25519_base_noclamp(scalar)
    forged = 0
    for number in range(256):
        message = b"message %d" % number
        k = int.from_bytes(hashlib.sha512(point + ORDER_EIGHT + message).digest(), "little") % ORDER
        forged += k % 8 == 0
        assert not Libsodium().verify(ORDER_EIGHT, message, point + scalar)
    assert forged > 0


def test_second_spelling_of_a_signature_is_refused() -> None:
    """S + L solves the same equation as S: whoever accepts both lets anybody change a signed message's bytes."""
    signature = KEY.sign(b"message")
    scalar = int.from_bytes(signature[32:], "little") + ORDER
    assert Libsodium().verify(KEY.public_key, b"message", signature)
    assert not Libsodium().verify(KEY.public_key, b"message", signature[:32] + scalar.to_bytes(32, "little"))


ANYTHING = st.one_of(st.binary(max_size=100), st.none(), st.integers(), st.just(bytearray(64)))


@given(ANYTHING, ANYTHING, ANYTHING)
def test_verify_never_raises(public_key: bytes, message: bytes, signature: bytes) -> None:
    """Wrong lengths and wrong types are plainly no signature."""
    assert not Libsodium().verify(public_key, message, signature)


def test_one_flipped_bit_anywhere_is_refused() -> None:
    """A signature binds every bit of itself and of the message."""
    signature = KEY.sign(b"message")
    for bit in range(512):
        bent = bytearray(signature)
        bent[bit // 8] ^= 1 << bit % 8
        assert not Libsodium().verify(KEY.public_key, b"message", bytes(bent))
    assert not Libsodium().verify(KEY.public_key, b"messagf", signature)


def test_saved_key_is_private_and_comes_back(folder: Path) -> None:
    """A saved key has mode 0600 in a folder of mode 0700 that save() made, whatever the umask."""
    path = folder / "clients" / "alice.key"
    before = os.umask(0)
    try:
        KEY.save(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert PrivateKey.load(path).public_key == KEY.public_key
    assert serialization.load_pem_private_key(path.read_bytes(), None) is not None


def test_secret_does_not_leak(saved: Path) -> None:
    """Neither a log line nor a pickle of the object holds the seed."""
    assert bytes(range(32)).hex() not in repr(KEY)
    with pytest.raises(TypeError):
        pickle.dumps(KEY)


def test_save_never_overwrites(saved: Path) -> None:
    """A key that is gone cannot be made again, so a second save is refused and the first file stays."""
    before = saved.read_bytes()
    with pytest.raises(KeyFileError, match="never overwritten"):
        PrivateKey.generate().save(saved)
    assert saved.read_bytes() == before


def test_save_refuses_an_open_folder(tmp_path: Path) -> None:
    """A key is not written where it would be refused when read."""
    (tmp_path / "open").mkdir(mode=0o755)
    with pytest.raises(KeyFileError, match=r"chmod 700 "):
        KEY.save(tmp_path / "open" / "alice.key")
    assert list((tmp_path / "open").iterdir()) == []


def loosen(path: Path) -> None:
    path.chmod(0o644)


def loosen_folder(path: Path) -> None:
    path.parent.chmod(0o750)


def link(path: Path) -> None:
    path.rename(path.with_name("real.key"))
    path.symlink_to(path.with_name("real.key"))


def link_folder(path: Path) -> None:
    moved = path.parent.rename(path.parent.with_name("moved"))
    path.parent.symlink_to(moved)


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def put_curve_key(path: Path) -> None:
    path.write_bytes(pem(generate_private_key(SECP256R1())))


def put_exchange_key(path: Path) -> None:
    path.write_bytes(pem(X25519PrivateKey.generate()))


def encrypt(path: Path) -> None:
    path.write_bytes(pem(Ed25519PrivateKey.generate(), serialization.BestAvailableEncryption(b"secret")))


def remove(path: Path) -> None:
    path.unlink()


def remove_folder(path: Path) -> None:
    path.unlink()
    path.parent.rmdir()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (loosen, "mode 0644.*chmod 600 .*alice.key$"),
        (loosen_folder, "mode 0750.*chmod 700 .*private$"),
        (link, "symbolic link.*put the key file itself there"),
        (link_folder, "symbolic link.*name the folder"),
        (make_folder, "is not a file"),
        (make_pipe, "is not a file"),
        (truncate, "damaged.*restore it"),
        (empty, "damaged.*restore it"),
        (put_curve_key, "EllipticCurve|EC.*Ed25519"),
        (put_exchange_key, "X25519.*Ed25519"),
        (encrypt, "encrypted.*openssl pkey"),
        (remove, "there is no key file .*alice.key"),
        (remove_folder, "there is no key file .*alice.key"),
    ],
)
def test_refused_key_files(saved: Path, spoil: Callable[[Path], None], says: str) -> None:
    """Each way for a key file to be unfit gets one sentence that says what to do."""
    spoil(saved)
    with pytest.raises(KeyFileError, match=says) as refused:
        PrivateKey.load(saved)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("what", ["file", "folder"])
def test_other_owner_is_refused(saved: Path, what: str) -> None:
    """A key that another user owns is that user's to change. Who may not give files away pretends to be another."""
    owned = saved if what == "file" else saved.parent
    if os.geteuid() == 0:
        os.chown(owned, 12345, -1)
        with pytest.raises(KeyFileError, match=r"another user.*chown 0 "):
            PrivateKey.load(saved)
    else:
        # Without root, some file of another user has to do: none can be made here.
        with pytest.raises(KeyFileError, match="another user"):
            PrivateKey.load(Path("/etc/passwd"))
