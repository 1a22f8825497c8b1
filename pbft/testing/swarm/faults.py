"""What goes wrong in a run, as data: each fault with its times, and how it begins and ends.

Owns: one frozen class a kind of fault. Their representations spell them out, so that a plan can be read, kept and cut
down. Draws nothing by chance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pbft.core.envelope import Kind
from pbft.core.group import ReplicaId
from pbft.encoding import Plain
from pbft.testing.cluster import Cluster
from pbft.testing.faulty_clients import FAULTY_CLIENTS, nonsense
from pbft.testing.network import Address

Undo = Callable[[], None]


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong from one moment on, until another if it ends."""

    begin_ms: int

    @property
    def last_ms(self) -> int:
        """When it is over, or has happened if it stays."""
        return self.begin_ms

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Whom it befalls: replicas by number, clients' sessions by label."""
        return ()

    def begin(self, group: Cluster) -> Undo | None:
        """Let it go wrong. Return what ends it; None for what stays."""
        raise ValueError("a fault of no kind")


@dataclass(frozen=True)
class _Passing(Fault):
    """A fault that ends."""

    end_ms: int

    @property
    def last_ms(self) -> int:
        """When it is over."""
        return self.end_ms


@dataclass(frozen=True)
class Cut(_Passing):
    """Nothing passes from one address to the other, nor back if it is cut both ways."""

    src: Address
    dst: Address
    both: bool

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Whom it befalls."""
        return (self.src, self.dst)

    def begin(self, group: Cluster) -> Undo:
        """Cut the link."""
        network = group.network
        if self.both:
            network.cut(self.src, self.dst)
            return lambda: network.mend(self.src, self.dst)
        network.cut_one_way(self.src, self.dst)
        return lambda: network.mend_one_way(self.src, self.dst)


@dataclass(frozen=True)
class Isolated(_Passing):
    """Nothing passes to or from an address."""

    address: Address

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Whom it befalls."""
        return (self.address,)

    def begin(self, group: Cluster) -> Undo:
        """Cut it off."""
        group.network.isolate(self.address)
        return lambda: group.network.rejoin(self.address)


@dataclass(frozen=True)
class Split(_Passing):
    """Replicas stand on sides, and nothing passes between them; clients reach all."""

    sides: tuple[tuple[ReplicaId, ...], ...]

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Whom it befalls."""
        return tuple(replica for side in self.sides for replica in side)

    def begin(self, group: Cluster) -> Undo:
        """Part the sides."""
        group.network.split(*self.sides)
        return lambda: group.network.unite(*self.sides)


@dataclass(frozen=True)
class Flapping(_Passing):
    """A link goes down and up again, each time for half a period."""

    one: Address
    other: Address
    period_ms: int

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Whom it befalls."""
        return (self.one, self.other)

    def begin(self, group: Cluster) -> None:
        """Plan every time it goes down, and up."""
        network, half_ms = group.network, max(1, self.period_ms // 2)
        for down_ms in range(self.begin_ms, self.end_ms, 2 * half_ms):
            group.at(down_ms, lambda: network.cut(self.one, self.other))
            group.at(min(down_ms + half_ms, self.end_ms), lambda: network.mend(self.one, self.other))


@dataclass(frozen=True)
class Slow(_Passing):
    """One link, in one direction, takes longer."""

    src: Address
    dst: Address
    delay_ms: tuple[int, int]

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Whom it befalls."""
        return (self.src, self.dst)

    def begin(self, group: Cluster) -> Undo:
        """Slow it down."""
        group.network.slow(self.src, self.dst, self.delay_ms)
        return lambda: group.network.hasten(self.src, self.dst)


@dataclass(frozen=True)
class Dropped(_Passing):
    """Messages of one kind do not pass a link."""

    kind: str
    src: Address
    dst: Address

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Whom it befalls."""
        return (self.src, self.dst)

    def begin(self, group: Cluster) -> Undo:
        """Drop them from now on."""
        return group.network.on(Kind[self.kind], self.src, self.dst).drop().stop


@dataclass(frozen=True)
class Doubled(_Passing):
    """Messages of one kind arrive several times over a link, each copy after a delay of its own."""

    kind: str
    src: Address
    dst: Address
    copies: int

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Whom it befalls."""
        return (self.src, self.dst)

    def begin(self, group: Cluster) -> Undo:
        """Copy them from now on."""
        return group.network.on(Kind[self.kind], self.src, self.dst).duplicate(self.copies).stop


@dataclass(frozen=True)
class Delayed(_Passing):
    """Messages of one kind take longer over a link than all others, which overtake them."""

    kind: str
    src: Address
    dst: Address
    extra_ms: int

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Whom it befalls."""
        return (self.src, self.dst)

    def begin(self, group: Cluster) -> Undo:
        """Hold each of them up from now on."""
        return group.network.on(Kind[self.kind], self.src, self.dst).delay(self.extra_ms).stop


@dataclass(frozen=True)
class Paused(_Passing):
    """A replica's process stands still."""

    replica: ReplicaId

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Whom it befalls."""
        return (self.replica,)

    def begin(self, group: Cluster) -> Undo:
        """Stop it."""
        group.pause(self.replica)
        return lambda: group.resume(self.replica)


@dataclass(frozen=True)
class LetLoose(_Passing):
    """A client misbehaves under its registered key, beside whatever programs use that key as they should.

    One that stays goes on after the run has healed: then nobody promises that client anything.
    """

    client: str
    kind: str
    stays: bool

    def begin(self, group: Cluster) -> Undo | None:
        """Let it loose: it says much that no application understands, and some words for a journal."""
        loose = group.let_loose(self.client, FAULTY_CLIENTS[self.kind], _say)
        return None if self.stays else lambda: group.stop(loose)


def _say(number: int) -> tuple[str, tuple[Plain, ...]]:
    return ("write", (f"nobody.{number}",)) if number % 2 else nonsense(number)


@dataclass(frozen=True)
class Crashed(Fault):
    """A replica dies, for good: it counts within f."""

    replica: ReplicaId

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Whom it befalls."""
        return (self.replica,)

    def begin(self, group: Cluster) -> None:
        """Kill it."""
        group.crash(self.replica)


@dataclass(frozen=True)
class WrongClock(Fault):
    """A replica's wall clock goes wrong, for good: it counts within f, for time."""

    replica: ReplicaId
    ahead_ms: int

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Whom it befalls."""
        return (self.replica,)

    def begin(self, group: Cluster) -> None:
        """Set it."""
        group.set_wall_clock(self.replica, self.ahead_ms)
