"""Keys for simulated parties, derived from a run's seed.

Owns: the simulated signature scheme, and the choice between it and Ed25519. Knows nothing of replicas or messages.

A simulated signature is a keyed BLAKE2b digest: about fifty times quicker than Ed25519, and as unforgeable within a
run, because only the verifier holds everybody's secret and an adversary is handed nothing but `Signer` objects of its
own and of its colluders.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final, Literal

from pbft.core.envelope import Signer, Verifier
from pbft.encoding import digest
from pbft.keys import Libsodium, PrivateKey

Scheme = Literal["simulated", "ed25519"]

SIGNATURE_BYTES: Final = 64


@dataclass(frozen=True)
class Identity:
    """One party's keys: what signs for it, and its two public keys as a genesis lists them."""

    signer: Signer
    public_key: bytes
    link_key: bytes


class SimulatedSigner:
    """Signs with one secret that it never shows."""

    __slots__ = ("__secret",)

    def __init__(self, secret: bytes) -> None:
        self.__secret = secret

    def sign(self, message: bytes) -> bytes:
        """Return the keyed digest of the message, 64 bytes."""
        return _keyed(self.__secret, message)


class SimulatedVerifier:
    """Knows every party's secret, so that it can compute what each would have signed."""

    def __init__(self) -> None:
        self.__secrets: dict[bytes, bytes] = {}

    def admit(self, public_key: bytes, secret: bytes) -> None:
        """Make the verifier able to check this party's signatures."""
        self.__secrets[public_key] = secret

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Say whether the holder of this key's secret signed the message. Never raises."""
        secret = self.__secrets.get(public_key)
        return secret is not None and hmac.compare_digest(_keyed(secret, message), signature)


class Keyring:
    """Hands out the keys of one run: equal seeds and names give equal keys."""

    def __init__(self, seed: int, scheme: Scheme = "simulated") -> None:
        if scheme not in ("simulated", "ed25519"):
            raise ValueError(f"signatures are 'simulated' or 'ed25519', not {scheme!r}")
        self._seed = b"%d" % seed
        self._simulated = SimulatedVerifier() if scheme == "simulated" else None
        self.verifier: Verifier = self._simulated or Libsodium()

    def identity(self, name: str) -> Identity:
        """Return the keys of the party with this name."""
        secret = digest(b"pbft/sim-secret", self._seed, name.encode())
        if self._simulated is None:
            key = PrivateKey.from_seed(secret)
            return Identity(key, key.public_key, key.link_key)
        public_key = digest(b"pbft/sim-public", secret)
        self._simulated.admit(public_key, secret)
        return Identity(SimulatedSigner(secret), public_key, digest(b"pbft/sim-link", secret))

    def nonce(self) -> bytes:
        """Return the 16 bytes that tell this run's group from another's."""
        return digest(b"pbft/sim-nonce", self._seed)[:16]


def _keyed(secret: bytes, message: bytes) -> bytes:
    return hashlib.blake2b(message, key=secret, digest_size=SIGNATURE_BYTES, person=b"pbft/sim-sign").digest()
