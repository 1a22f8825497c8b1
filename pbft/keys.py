"""Private keys: signing, verifying, secrets shared with a peer, and the files that keys live in.

Owns: the one signer and the one verifier of a group (libsodium), the link key derived from the same seed, and what a
key file must look like before it is trusted. Knows nothing of groups, messages or replicas.

One implementation verifies for everybody: libraries disagree on hostile keys and signatures, and replicas that
disagree on a signature disagree on a batch (design 4.1).
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from nacl.bindings import crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

from pbft.encoding import digest
from pbft.errors import PbftError

KEY_BYTES: Final = 32
"""The length of a seed, of a public key and of a link key."""
SIGNATURE_BYTES: Final = 64

_LARGEST_FILE_BYTES: Final = 16 * 1024
_NOBODY_ELSE: Final = stat.S_IRWXG | stat.S_IRWXO


class KeyFileError(PbftError):
    """A key file that cannot be used. The message is one sentence that says what to do."""


class Libsodium:
    """The group's one verifier (`pbft.core.envelope.Verifier`)."""

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Say whether `signature` is the key's signature over `message`. Never raises, whatever it is given.

        Refused beside plain forgeries: keys and points of small order, and a second spelling of a signature's S.
        """
        # The binding hands bare pointers to C, so the length of the key is ours to check.
        if (
            type(public_key) is not bytes
            or type(message) is not bytes
            or type(signature) is not bytes
            or len(public_key) != KEY_BYTES
            or len(signature) != SIGNATURE_BYTES
        ):
            return False
        try:
            crypto_sign_open(signature + message, public_key)
        except BadSignatureError:
            return False
        return True


class PrivateKey:
    """One party's secret: its signing key, and the link key derived from the same seed.

    A signer (`pbft.core.envelope.Signer`) and the private half of a link (`pbft.net.link.LinkKey`).
    """

    __slots__ = ("_link", "_secret", "_seed", "link_key", "public_key")

    public_key: bytes
    """Ed25519, 32 bytes: what others verify signatures with."""
    link_key: bytes
    """X25519, 32 bytes: what others derive the shared link secret from."""

    def __init__(self, seed: bytes) -> None:
        """Take a seed of 32 secret, uniformly random bytes."""
        if len(seed) != KEY_BYTES:
            raise ValueError(f"a private key's seed has {KEY_BYTES} bytes, not {len(seed)}")
        self._seed = bytes(seed)
        self.public_key, self._secret = crypto_sign_seed_keypair(self._seed)
        # A domain of its own keeps the two uses of one seed from saying anything about each other.
        self._link = X25519PrivateKey.from_private_bytes(digest(b"pbft/link-seed", self._seed))
        self.link_key = self._link.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return f"PrivateKey(public_key={self.public_key.hex()})"

    def __reduce__(self) -> str:
        raise TypeError("a private key is not copied by pickling; save() writes it to a file that others cannot read")

    @classmethod
    def generate(cls) -> Self:
        """Return a new key from the system's randomness."""
        return cls(os.urandom(KEY_BYTES))

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """Return the key of a seed of 32 bytes."""
        return cls(seed)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the key in a PEM file (PKCS#8, Ed25519, not encrypted).

        Raises KeyFileError unless file and folder are the user's own, neither is a symbolic link, and nobody else may
        read or change them.
        """
        return cls(_read_pem(path, _read_private_file(path)))

    def save(self, path: Path) -> None:
        """Write the key to a new PEM file of mode 0600, in a folder of mode 0700 that is made when missing.

        Raises KeyFileError, and changes nothing, where a file is there already or the folder is open to others.
        """
        pem = Ed25519PrivateKey.from_private_bytes(self._seed).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = Path(path)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise KeyFileError(f"cannot make the folder {path.parent}: {error.strerror}") from None
        folder = _open_private_folder(path)
        try:
            _write_new(folder, path, pem)
        finally:
            os.close(folder)

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature over `message`, 64 bytes."""
        return crypto_sign(message, self._secret)[:SIGNATURE_BYTES]

    def shared_secret(self, peer_link_key: bytes) -> bytes:
        """Return the 32 bytes that this key and the owner of `peer_link_key` alone can compute (X25519).

        Raises ValueError for a key of another length, or one of low order, which shares its secret with everybody.
        """
        return self._link.exchange(X25519PublicKey.from_public_bytes(peer_link_key))


def _open_private_folder(path: Path) -> int:
    """Return a descriptor of the folder that `path` lies in, once it is known to be the user's alone."""
    parent = path.parent
    try:
        folder = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if parent.is_symlink():
            raise KeyFileError(
                f"{parent} is a symbolic link, which somebody could turn elsewhere; name the folder it leads to"
            ) from None
        raise KeyFileError(f"there is no key file {path}: {parent} cannot be opened ({error.strerror})") from None
    try:
        _check_private(parent, os.fstat(folder), "folder", "700")
    except KeyFileError:
        os.close(folder)
        raise
    return folder


def _check_private(path: Path, found: os.stat_result, what: str, mode: str) -> None:
    if found.st_uid != os.geteuid():
        raise KeyFileError(
            f"the {what} {path} belongs to another user, who could read or change it; "
            f"make it yours: chown {os.geteuid()} {path}"
        )
    if found.st_mode & _NOBODY_ELSE:
        raise KeyFileError(
            f"the {what} {path} has mode {stat.S_IMODE(found.st_mode):04o}, so others can use the key; "
            f"close it: chmod {mode} {path}"
        )


def _read_private_file(path: Path) -> bytes:
    """Return the content of a file that only its owner, who is the user, may open."""
    path = Path(path)
    folder = _open_private_folder(path)
    try:
        # Opened relative to the folder just checked, so that nobody can change it in between; without waiting,
        # since a pipe of that name would let us wait for ever.
        opened = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        raise KeyFileError(
            f"there is no key file {path}; copy it there from where it was made, or check the name"
        ) from None
    except OSError as error:
        if path.is_symlink():
            raise KeyFileError(
                f"{path} is a symbolic link, which somebody could turn elsewhere; put the key file itself there"
            ) from None
        raise KeyFileError(f"the key file {path} cannot be opened: {error.strerror}") from None
    finally:
        os.close(folder)
    try:
        found = os.fstat(opened)
        if not stat.S_ISREG(found.st_mode):
            raise KeyFileError(f"{path} is not a file; put the key file there")
        _check_private(path, found, "key file", "600")
        return os.read(opened, _LARGEST_FILE_BYTES)
    finally:
        os.close(opened)


def _read_pem(path: Path, pem: bytes) -> bytes:
    """Return the seed inside a PEM file."""
    remedy = "restore it from your backup, or make another: pbft key new"
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError:
        raise KeyFileError(
            f"the key file {path} is encrypted, and pbft asks for no passwords; "
            f"decrypt it: openssl pkey -in {path} -out NEW"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError(
            f"the key file {path} is damaged: it holds no whole private key in PEM form; {remedy}"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        kind = type(key).__name__.lstrip("_").removesuffix("PrivateKey")
        raise KeyFileError(f"the key file {path} holds a key of type {kind}, where pbft needs Ed25519; {remedy}")
    return key.private_bytes_raw()


def _write_new(folder: int, path: Path, content: bytes) -> None:
    try:
        created = os.open(path.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode=0o600, dir_fd=folder)
    except FileExistsError:
        raise KeyFileError(f"{path} is there already, and a key is never overwritten; choose another name") from None
    except OSError as error:
        raise KeyFileError(f"the key file {path} cannot be written: {error.strerror}") from None
    try:
        with open(created, "wb") as file:
            os.fchmod(created, 0o600)
            file.write(content)
            file.flush()
            os.fsync(created)
    except OSError as error:
        os.unlink(path.name, dir_fd=folder)
        raise KeyFileError(f"the key file {path} cannot be written: {error.strerror}") from None
