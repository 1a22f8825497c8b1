"""Hosts on which an application does something else: what operations read of the world differs from host to host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from pbft.core.effects import Effect, Send
from pbft.core.envelope import Envelope, Kind, Sender
from pbft.core.messages import pack, unpack
from pbft.core.replica import Replica
from pbft.core.settings import Now
from pbft.core.state_messages import BATCHES, Recalled
from pbft.encoding import digest
from pbft.machine import Context, Rejected, StateMachine, operation
from pbft.table import Table
from pbft.testing.byzantine import Adversary, Means

_RUNNING: list[int] = []
"""The replica whose turn it is."""


@contextmanager
def _on_host(replica: int) -> Iterator[None]:
    _RUNNING.append(replica)
    try:
        yield
    finally:
        _RUNNING.pop()


class Hosted(Replica):
    """A correct replica; its application can find out on which host it runs, as it should not."""

    def receive(self, envelope: Envelope, sender: Sender, now: Now) -> list[Effect]:
        with _on_host(self.me):
            return super().receive(envelope, sender, now)

    def tick(self, now: Now) -> list[Effect]:
        with _on_host(self.me):
            return super().tick(now)


class Unsound(Adversary):
    """Follows the protocol to the letter: it is the host that is not like the others, and the oracles know."""


class RecallLiar(Adversary):
    """Follows the protocol, but whoever asks what it remembers is told nonsense of every kind."""

    def __init__(self, core: Replica, means: Means) -> None:
        super().__init__(core, means)
        self._lies = 0

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Spoil each RECALLED in another way."""
        return [self._lie(each) if isinstance(each, Send) else each for each in super().twist(effects, now)]

    def _lie(self, sent: Send) -> Send:
        if sent.envelope.kind is not Kind.RECALLED:
            return sent
        true = unpack(Recalled, sent.envelope.body)
        self._lies += 1
        wrong = digest(b"pbft/lie", bytes([self._lies % 256]))
        items = (
            (wrong,) * len(true.items),
            (),
            (b"no digest",) * len(true.items),
            (wrong,) * (len(true.items) + 1),
            true.items[:1] if true.asked.level == BATCHES else (b"", b""),
        )[self._lies % 5]
        return Send(sent.to, Envelope(Kind.RECALLED, self.me, pack(Recalled(true.asked, items))))


class Book(StateMachine):
    """A book of amounts, some of whose operations depend on the host where they run when the name begins with odd."""

    total: int = 0
    amounts: Table[str, int]
    odd_hosts: ClassVar[tuple[int, ...]] = (3,)

    @operation
    def put(self, name: str, amount: int) -> int:
        """Add to an amount; on an odd host something more."""
        self.amounts[name] = self.amounts.get(name, 0) + amount + self._odd(name)
        return 0

    @operation
    def count(self, name: str, amount: int) -> int:
        """Add to the total, a scalar."""
        self.total += amount + self._odd(name)
        return 0

    @operation
    def tell(self, name: str) -> int:
        """Say something else on an odd host, and write the same everywhere."""
        return self._odd(name)

    @operation
    def insist(self, name: str) -> int:
        """Raise on an odd host."""
        self.amounts[name] = 1
        if self._odd(name):
            raise LookupError("no such file on this host")
        return 0

    @operation
    def drop(self, name: str) -> int:
        """Remove an amount, but on an odd host."""
        if name not in self.amounts:
            raise Rejected("nothing there")
        if not self._odd(name):
            del self.amounts[name]
        return 0

    @operation
    def scatter(self, names: tuple[str, ...], context: Context) -> int:
        """Give numbers to names in an order that each host has of its own, as that of a set."""
        host = _RUNNING[-1] if _RUNNING else 0
        for place, name in enumerate(names):
            self.amounts[name] = (place + host) % len(names)
        return len(names)

    def _odd(self, name: str) -> int:
        return int(name.startswith("odd") and bool(_RUNNING) and _RUNNING[-1] in self.odd_hosts)
