"""Which address a client's session has proven to be its own (design 4.11, 7).

Owns: cookies, and the address of each (client, session). Knows no sockets and no clocks: addresses and times are handed
in, and so is the secret.

A tag proves which key sent a datagram, not where it came from: whoever can record one can send it again under another's
address. So nothing but a CHALLENGE, no larger than what arrived, goes to an address until something sent from there has
echoed the cookie that went there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from hashlib import blake2b
from hmac import compare_digest
from typing import Final

from pbft.core.envelope import Envelope, Kind
from pbft.core.group import ClientKey, ReplicaId
from pbft.core.messages import Challenge, Hello, Inspect, Request, pack, unpack
from pbft.encoding import encode
from pbft.net.drops import Drop
from pbft.net.transport import SocketAddress

SECRET_BYTES: Final = 32
COOKIE_BYTES: Final = 16
_COOKIE_AGE_MS: Final = 60_000
"""A cookie is good in the minute it was made in and the next, so that nobody hoards addresses once held."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a client's message: it passes, or it was dropped; and what its address is asked, if anything."""

    passes: bool
    drop: Drop | None = None
    challenge: Envelope | None = None


_PASS: Final = Verdict(True)


class _Proven:
    __slots__ = ("address", "heard_ms")

    def __init__(self, address: SocketAddress, heard_ms: int) -> None:
        self.address = address
        self.heard_ms = heard_ms


class Greeter:
    """Keeps the proven addresses of one replica's clients, so many sessions a client; the longest silent one goes."""

    def __init__(self, me: ReplicaId, secret: bytes, sessions_per_client: int = 64, idle_ms: int = 600_000) -> None:
        if len(secret) != SECRET_BYTES:
            raise ValueError(f"a greeter's secret has {SECRET_BYTES} random bytes")
        self._me = me
        self._secret = secret
        self._sessions_per_client = sessions_per_client
        self._idle_ms = idle_ms
        self._proven: dict[ClientKey, OrderedDict[bytes, _Proven]] = {}

    def judge(self, envelope: Envelope, client: ClientKey, address: SocketAddress, size: int, now_ms: int) -> Verdict:
        """Say what becomes of a message of `size` bytes that a client's link authenticated.

        Raises EncodingError when its body is not what its kind says.
        """
        cookie = b""
        match envelope.kind:
            case Kind.REQUEST:
                session = unpack(Request, envelope.body).session
            case Kind.INSPECT:
                session = unpack(Inspect, envelope.body).session
            case Kind.HELLO:
                hello = unpack(Hello, envelope.body)
                session, cookie = hello.session, hello.cookie
            case _:
                # Not for a client to say: the core knows the word for it, and answers nothing.
                return _PASS
        if self._hears(client, session, address, now_ms) or self._proves(client, session, address, cookie, now_ms):
            return _PASS
        drop = None
        if envelope.kind is not Kind.HELLO:
            drop = Drop.UNPROVEN_ADDRESS
        elif cookie:
            drop = Drop.BAD_COOKIE
        challenge = Envelope(
            Kind.CHALLENGE, self._me, pack(Challenge(session, self._cookie(client, session, address, now_ms)))
        )
        return Verdict(False, drop, challenge if len(challenge.to_bytes()) <= size else None)

    def address_of(self, client: ClientKey, session: bytes, now_ms: int) -> SocketAddress | None:
        """Return the address that a session has proven, or None: then nothing may be sent to it.

        Whoever is answered is alive, though it may have asked another replica: other sessions of its client push it out
        last.
        """
        sessions = self._proven.get(client)
        proven = sessions.get(session) if sessions else None
        if sessions is None or proven is None or now_ms - proven.heard_ms > self._idle_ms:
            return None
        sessions.move_to_end(session)
        return proven.address

    def sessions(self) -> int:
        """Return how many sessions have a proven address."""
        return sum(len(sessions) for sessions in self._proven.values())

    def _hears(self, client: ClientKey, session: bytes, address: SocketAddress, now_ms: int) -> bool:
        if self.address_of(client, session, now_ms) != address:
            return False
        sessions = self._proven[client]
        sessions[session].heard_ms = now_ms
        sessions.move_to_end(session)
        return True

    def _proves(self, client: ClientKey, session: bytes, address: SocketAddress, cookie: bytes, now_ms: int) -> bool:
        if not cookie:
            return False
        ages = (now_ms, now_ms - _COOKIE_AGE_MS)
        if not any(compare_digest(cookie, self._cookie(client, session, address, age)) for age in ages):
            return False
        sessions = self._proven.setdefault(client, OrderedDict())
        sessions[session] = _Proven(address, now_ms)
        sessions.move_to_end(session)
        if len(sessions) > self._sessions_per_client:
            sessions.popitem(last=False)
        return True

    def _cookie(self, client: ClientKey, session: bytes, address: SocketAddress, now_ms: int) -> bytes:
        where: list[Hashable] = [client, session, now_ms // _COOKIE_AGE_MS, *address]
        return blake2b(encode(where), key=self._secret, digest_size=COOKIE_BYTES, person=b"pbft/cookie").digest()
