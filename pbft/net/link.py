"""The datagram: who sent it, for what, and the tag that proves both before anything costly is touched (design 7).

Owns: the header's layout, the directional keys of every pair of parties, tags, and the windows that refuse replays.
Knows no sockets, clocks, CBOR or signatures. Entropy and the private key's Diffie-Hellman are handed in.

    version 1 | purpose 1 | sender 16 | stream 8 | number 8 | index 2 | count 2 | total 4 | tag 16 | payload

A key binds group, sender, receiver and purpose, so that a datagram of another group, direction or socket fails its
tag. `stream` is random for each process and `number` counts its datagrams to one receiver: two programs may share one
client key, and a restarted one needs no memory and no clock to be fresh again.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b
from hmac import compare_digest
from typing import Final, Protocol

from pbft.core.envelope import Sender
from pbft.core.group import Group
from pbft.encoding import digest
from pbft.group_file import DATAGRAM_BYTES, MAX_DATAGRAM_BYTES, MIN_DATAGRAM_BYTES
from pbft.net.drops import Drop
from pbft.net.fragments import Fragment, split, well_formed

VERSION: Final = 1
STREAM_BYTES: Final = 8
TAG_BYTES: Final = 16
_HEADER: Final = struct.Struct(">BB16s8sQHHI")
OVERHEAD_BYTES: Final = _HEADER.size + TAG_BYTES

_WINDOW: Final = 4096
"""How far behind the newest datagram of its stream another may arrive. Reordering is far smaller than this, and a
message of fragments larger than this is beyond every limit."""
_SEEN: Final = (1 << _WINDOW) - 1


class Purpose(IntEnum):
    """Which of a replica's two sockets a datagram is for."""

    REPLICAS = 1
    CLIENTS = 2


@dataclass(frozen=True, slots=True)
class Header:
    """What a datagram says in clear of what it carries. Nothing of it is proven: whoever holds no key only looks."""

    stream: bytes
    message: int
    """With the stream, the name of the message that this is a part of, between these two parties."""
    index: int
    count: int
    payload: bytes


def peek(datagram: bytes) -> Header | None:
    """Return what a well-formed datagram between replicas says of itself, or None for anything else."""
    if len(datagram) <= OVERHEAD_BYTES:
        return None
    version, purpose, _, stream, number, index, count, total = _HEADER.unpack_from(datagram)
    if (version, purpose) != (VERSION, Purpose.REPLICAS) or number < index:
        return None
    if not well_formed(index, count, total, len(datagram) - OVERHEAD_BYTES):
        return None
    return Header(stream, number - index, index, count, datagram[OVERHEAD_BYTES:])


class LinkKey(Protocol):
    """The private half of a party's link key (`pbft.keys.PrivateKey` is one)."""

    def shared_secret(self, peer_link_key: bytes) -> bytes:
        """Return the X25519 secret shared with the owner of a public link key. Raises ValueError if there is none."""


class ReplayWindow:
    """The datagram numbers of one stream that have come, within a window below the greatest."""

    __slots__ = ("_seen", "_top")

    def __init__(self) -> None:
        self._top = -1
        self._seen = 0

    def admit(self, number: int) -> bool:
        """Say whether a number is new, and remember it. What is too old to tell counts as seen."""
        ahead = number - self._top
        if ahead > 0:
            self._seen = ((self._seen << ahead) | 1) & _SEEN if ahead < _WINDOW else 1
            self._top = number
            return True
        if ahead <= -_WINDOW:
            return False
        bit = 1 << -ahead
        if self._seen & bit:
            return False
        self._seen |= bit
        return True


class _Peer:
    """One other party: its name on the wire, and, once it is first needed, what is shared with it."""

    __slots__ = ("keys", "link_key", "name", "next_number", "sender", "unusable", "windows")

    def __init__(self, sender: Sender, name: bytes, link_key: bytes) -> None:
        self.sender = sender
        self.name = name
        self.link_key = link_key
        self.keys: tuple[blake2b, blake2b] | None = None
        self.unusable = False
        self.next_number = 0
        self.windows: OrderedDict[bytes, ReplayWindow] = OrderedDict()


def party_name(group: Group, sender: Sender) -> bytes:
    """Return the 16 bytes that name a party in headers: a digest of its role and public key."""
    if isinstance(sender, bytes):
        return digest(b"pbft/party", b"c", sender)[:16]
    return digest(b"pbft/party", b"r", group.members[sender].public_key)[:16]


class Link:
    """Seals and opens the datagrams between one party and all others it talks to for one purpose.

    `largest_bytes` bounds the messages that are accepted; `streams` how many programs of one peer are remembered.
    Diffie-Hellman runs once for each party of the group that a datagram names, whoever sent it: strangers cannot make
    it run more often than the group has parties.
    """

    def __init__(
        self,
        group: Group,
        me: Sender,
        purpose: Purpose,
        key: LinkKey,
        stream: bytes,
        largest_bytes: int,
        datagram_bytes: int = DATAGRAM_BYTES,
        streams: int = 64,
    ) -> None:
        if len(stream) != STREAM_BYTES:
            raise ValueError(f"a stream has {STREAM_BYTES} random bytes")
        if not MIN_DATAGRAM_BYTES <= datagram_bytes <= MAX_DATAGRAM_BYTES:
            raise ValueError(f"datagram_bytes must lie within {MIN_DATAGRAM_BYTES} and {MAX_DATAGRAM_BYTES}")
        self.purpose = purpose
        self._group = group
        self._key = key
        self._stream = stream
        self._largest_bytes = largest_bytes
        self._payload_bytes = datagram_bytes - OVERHEAD_BYTES
        self._streams = streams
        self._me = _Peer(me, party_name(group, me), _link_key(group, me))
        peers: list[Sender] = []
        if purpose is Purpose.REPLICAS or isinstance(me, bytes):
            peers += [member.id for member in group.members if member.id != me]
        else:
            peers += group.clients
        self._peers = {peer: _Peer(peer, party_name(group, peer), _link_key(group, peer)) for peer in peers}
        self._named = {peer.name: peer for peer in self._peers.values()}

    def seal(self, to: Sender, message: bytes) -> list[bytes]:
        """Return the datagrams that carry a message to a peer: new ones at every call, never a replay.

        Empty for a peer whose link key shares no secret with anyone. Raises KeyError for a party that is no peer, and
        ValueError for a message too large for its fragments.
        """
        peer = self._peers[to]
        keys = self._keys(peer)
        if keys is None:
            return []
        chunks = split(message, self._payload_bytes)
        first = peer.next_number
        peer.next_number += len(chunks)
        sealed = []
        for index, chunk in enumerate(chunks):
            header = _HEADER.pack(
                VERSION, self.purpose, self._me.name, self._stream, first + index, index, len(chunks), len(message)
            )
            sealed.append(header + _tag(keys[0], header, chunk) + chunk)
        return sealed

    def open(self, datagram: bytes) -> Fragment | Drop:
        """Return what an authentic, fresh datagram for this party carries, or why it was dropped.

        The cheapest tests come first; a datagram without a genuine tag costs one keyed digest at most, and changes
        nothing.
        """
        if len(datagram) <= OVERHEAD_BYTES:
            return Drop.TRUNCATED
        version, purpose, name, stream, number, index, count, total = _HEADER.unpack_from(datagram)
        if version != VERSION:
            return Drop.WRONG_VERSION
        if purpose != self.purpose or name == self._me.name:
            return Drop.MISADDRESSED
        peer = self._named.get(name)
        if peer is None:
            return Drop.UNKNOWN_SENDER
        if number < index or not well_formed(index, count, total, len(datagram) - OVERHEAD_BYTES):
            return Drop.MALFORMED_HEADER
        if total > self._largest_bytes:
            return Drop.OVERSIZE
        keys = self._keys(peer)
        payload = datagram[OVERHEAD_BYTES:]
        if keys is None or not compare_digest(
            _tag(keys[1], datagram[: _HEADER.size], payload), datagram[_HEADER.size : OVERHEAD_BYTES]
        ):
            return Drop.BAD_TAG
        if not self._admit(peer, stream, number):
            return Drop.REPLAYED
        return Fragment(peer.sender, stream, number - index, index, count, total, payload)

    def _admit(self, peer: _Peer, stream: bytes, number: int) -> bool:
        window = peer.windows.get(stream)
        if window is None:
            window = peer.windows[stream] = ReplayWindow()
            if len(peer.windows) > self._streams:
                # Live streams speak often and stay; recordings of dead ones push only each other out.
                peer.windows.popitem(last=False)
        else:
            peer.windows.move_to_end(stream)
        return window.admit(number)

    def _keys(self, peer: _Peer) -> tuple[blake2b, blake2b] | None:
        """Return the keyed digests for (to the peer, from the peer), or None when there is no shared secret."""
        if peer.keys is None and not peer.unusable:
            try:
                secret = self._key.shared_secret(peer.link_key)
            except ValueError:
                # A registered link key of low order: its owner has shut itself out.
                peer.unusable = True
                return None
            peer.keys = (self._direction(secret, self._me, peer), self._direction(secret, peer, self._me))
        return peer.keys

    def _direction(self, secret: bytes, sender: _Peer, receiver: _Peer) -> blake2b:
        # Every part is of fixed width, so that no two directions share a key.
        covered = b"".join(
            (
                self._group.id,
                bytes((VERSION, self.purpose)),
                sender.name,
                sender.link_key,
                receiver.name,
                receiver.link_key,
            )
        )
        key = blake2b(covered, key=secret, digest_size=32, person=b"pbft/link-key").digest()
        return blake2b(key=key, digest_size=TAG_BYTES, person=b"pbft/link-tag")


def _tag(keyed: blake2b, header: bytes, payload: bytes) -> bytes:
    state = keyed.copy()
    state.update(header)
    state.update(payload)
    return state.digest()


def _link_key(group: Group, sender: Sender) -> bytes:
    return group.clients[sender].link_key if isinstance(sender, bytes) else group.members[sender].link_key
