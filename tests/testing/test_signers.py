"""Simulated signatures bind key and message as real ones do, and hand nobody another's key."""

from __future__ import annotations

import pytest

from pbft.testing.signers import Keyring, Scheme

SCHEMES = pytest.mark.parametrize("scheme", ["simulated", "ed25519"])


@SCHEMES
def test_a_signature_binds_its_key_and_its_message(scheme: Scheme) -> None:
    """It verifies under its signer's key, over its message, and in no other combination."""
    keys = Keyring(1, scheme)
    alice, bob = keys.identity("alice"), keys.identity("bob")
    signature = alice.signer.sign(b"pay 5")

    assert len(signature) == 64
    assert keys.verifier.verify(alice.public_key, b"pay 5", signature)
    assert not keys.verifier.verify(alice.public_key, b"pay 6", signature)
    assert not keys.verifier.verify(bob.public_key, b"pay 5", signature)
    assert not keys.verifier.verify(alice.public_key, b"pay 5", bytes(64))
    assert not keys.verifier.verify(alice.public_key, b"pay 5", b"")
    assert not keys.verifier.verify(bytes(32), b"pay 5", signature)


@SCHEMES
def test_keys_follow_from_seed_and_name(scheme: Scheme) -> None:
    """The same seed and name give the same keys; another seed, name or scheme gives others."""
    first, again, other = Keyring(1, scheme), Keyring(1, scheme), Keyring(2, scheme)
    alice = first.identity("alice")
    assert again.identity("alice").public_key == alice.public_key
    assert again.identity("alice").signer.sign(b"m") == alice.signer.sign(b"m")
    assert other.identity("alice").public_key != alice.public_key
    assert first.identity("bob").public_key != alice.public_key
    assert first.nonce() == again.nonce() != other.nonce()
    lengths = {len(part) for part in (alice.public_key, alice.link_key, alice.signer.sign(b"m")[:32])}
    assert lengths == {32}
    assert alice.public_key != alice.link_key


def test_a_simulated_signer_shows_no_secret() -> None:
    """An adversary that holds a signer can sign with it, and reads nothing from it."""
    signer = Keyring(1).identity("alice").signer
    assert not [name for name in dir(signer) if not name.startswith("_") and name != "sign"]
    assert not hasattr(signer, "__dict__")


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="'simulated' or 'ed25519', not 'rsa'"):
        Keyring(1, "rsa")  # type: ignore[arg-type]
