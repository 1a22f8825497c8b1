"""Whole messages out of the datagrams from one replica to another, for whoever looks on and holds no key.

Owns: which datagrams belong together, in bounded memory, and what a message is called in words. Knows no sockets, and
proves nothing: a tag that is forged is found out where the datagram goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pbft.core.envelope import Envelope, Kind
from pbft.core.group import ReplicaId
from pbft.encoding import EncodingError
from pbft.net.link import Header, peek
from pbft.net.verbs import place_of

MAX_UNFINISHED: Final = 64
MAX_UNFINISHED_BYTES: Final = 16 * 1024 * 1024
"""What the unfinished messages of one link may be and cost; of more, the oldest is given up."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One message between two replicas: all of its datagrams, and the envelope in them where there is one."""

    src: ReplicaId
    dst: ReplicaId
    datagrams: tuple[bytes, ...]
    envelope: Envelope | None

    @property
    def size(self) -> int:
        """Its datagrams' bytes."""
        return sum(map(len, self.datagrams))

    @property
    def is_status(self) -> bool:
        """Whether it says where its sender stands, and nothing else."""
        return self.envelope is not None and self.envelope.kind is Kind.STATUS

    @property
    def key(self) -> tuple[object, ...]:
        """What a message that is sent again has in common with the first one, between the same two.

        A STATUS says where its sender stands, so that a later one makes all earlier ones superfluous.
        """
        if self.envelope is None:
            return self.src, self.dst, self.datagrams
        if self.is_status:
            return self.src, self.dst, Kind.STATUS
        return self.src, self.dst, self.envelope

    def __str__(self) -> str:
        """Return it in words: "PREPARE of view 0, sequence 5 from 1 to 2"."""
        if self.envelope is None:
            return f"something unreadable from {self.src} to {self.dst}"
        view, sequence = place_of(self.envelope)
        told = [] if view is None else [f"view {view}"]
        told += [] if sequence is None else [f"sequence {sequence}"]
        place = f" of {', '.join(told)}" if told else ""
        return f"{self.envelope.kind.name.replace('_', '-')}{place} from {self.src} to {self.dst}"


class Gathering:
    """Puts the messages of one link together, without opening them."""

    def __init__(self, src: ReplicaId, dst: ReplicaId) -> None:
        self._src, self._dst = src, dst
        self._unfinished: dict[tuple[bytes, int], dict[int, tuple[Header, bytes]]] = {}
        self._held_bytes = 0
        self.abandoned = 0
        """Datagrams of messages that were given up unfinished, in all."""

    @property
    def held_bytes(self) -> int:
        """What all unfinished messages hold now."""
        return self._held_bytes

    def add(self, datagram: bytes) -> Letter | None:
        """Take one datagram; return the whole message once its last missing part has come.

        What is no datagram of a replica is a message of its own, unreadable.
        """
        header = peek(datagram)
        if header is None or header.count == 1:
            return self._letter((datagram,), None if header is None else header.payload)
        name = (header.stream, header.message)
        parts = self._unfinished.setdefault(name, {})
        if header.index not in parts:
            parts[header.index] = header, datagram
            self._held_bytes += len(datagram)
        if len(parts) == header.count:
            self._forget(name)
            ordered = [parts[index] for index in sorted(parts)]
            message = b"".join(each.payload for each, _ in ordered)
            return self._letter(tuple(each for _, each in ordered), message)
        while len(self._unfinished) > MAX_UNFINISHED or self._held_bytes > MAX_UNFINISHED_BYTES:
            self.abandoned += self._forget(next(iter(self._unfinished)))
        return None

    def rest(self) -> list[bytes]:
        """Take out the datagrams of all unfinished messages."""
        rest = [datagram for parts in self._unfinished.values() for _, datagram in parts.values()]
        self._unfinished.clear()
        self._held_bytes = 0
        return rest

    def _forget(self, name: tuple[bytes, int]) -> int:
        parts = self._unfinished.pop(name)
        self._held_bytes -= sum(len(datagram) for _, datagram in parts.values())
        return len(parts)

    def _letter(self, datagrams: Sequence[bytes], message: bytes | None) -> Letter:
        envelope = None
        if message is not None:
            try:
                envelope = Envelope.from_bytes(message)
            except EncodingError:
                envelope = None
        return Letter(self._src, self._dst, tuple(datagrams), envelope)
