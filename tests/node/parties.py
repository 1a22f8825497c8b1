"""A small group with real keys, and the helpers that the node's tests share."""

from __future__ import annotations

from dataclasses import dataclass

from pbft.core.envelope import Sender
from pbft.core.group import Genesis, Group, Limits, Member, RegisteredClient
from pbft.encoding import digest
from pbft.keys import PrivateKey
from pbft.net.link import Link, Purpose

NAMES = ("alice", "bob")


@dataclass(frozen=True)
class Parties:
    group: Group
    replicas: tuple[PrivateKey, ...]
    clients: dict[str, PrivateKey]

    def key(self, sender: Sender) -> PrivateKey:
        if isinstance(sender, int):
            return self.replicas[sender]
        return next(key for key in self.clients.values() if key.public_key == sender)

    def client(self, name: str) -> bytes:
        return self.clients[name].public_key

    def link(
        self,
        me: Sender,
        purpose: Purpose,
        stream: bytes = b"8 bytes.",
        largest_bytes: int = 1 << 20,
        datagram_bytes: int = 1_200,
        streams: int = 64,
    ) -> Link:
        return Link(self.group, me, purpose, self.key(me), stream, largest_bytes, datagram_bytes, streams)


def make_parties(n: int = 4, nonce: bytes = bytes(16), limits: Limits | None = None) -> Parties:
    """The same keys on every call; another nonce makes another group of them."""
    replicas = tuple(PrivateKey.from_seed(digest(b"tests", b"replica", bytes([i]))) for i in range(n))
    clients = {name: PrivateKey.from_seed(digest(b"tests", b"client", name.encode())) for name in NAMES}
    genesis = Genesis(
        nonce,
        tuple(Member(i, key.public_key, key.link_key) for i, key in enumerate(replicas)),
        tuple(RegisteredClient(name, key.public_key, key.link_key) for name, key in clients.items()),
        "Counter",
        limits=limits or Limits(),
    )
    return Parties(Group.of(genesis), replicas, clients)
