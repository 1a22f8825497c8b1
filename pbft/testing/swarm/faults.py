"""What goes wrong in a run, as data: each fault with its times, and how it begins and ends.

Owns: one frozen class a kind of fault. Their representations spell them out, so that a plan can be read, kept and cut
down. Draws nothing by chance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pbft.core.envelope import Kind
from pbft.core.group import ReplicaId
from pbft.testing.cluster import Cluster
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

    def begin(self, group: Cluster) -> Undo:
        """Cut it off."""
        group.network.isolate(self.address)
        return lambda: group.network.rejoin(self.address)


@dataclass(frozen=True)
class Split(_Passing):
    """Replicas stand on sides, and nothing passes between them; clients reach all."""

    sides: tuple[tuple[ReplicaId, ...], ...]

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

    def begin(self, group: Cluster) -> Undo:
        """Drop them from now on."""
        return group.network.on(Kind[self.kind], self.src, self.dst).drop().stop


@dataclass(frozen=True)
class Paused(_Passing):
    """A replica's process stands still."""

    replica: ReplicaId

    def begin(self, group: Cluster) -> Undo:
        """Stop it."""
        group.pause(self.replica)
        return lambda: group.resume(self.replica)


@dataclass(frozen=True)
class Crashed(Fault):
    """A replica dies, for good: it counts within f."""

    replica: ReplicaId

    def begin(self, group: Cluster) -> None:
        """Kill it."""
        group.crash(self.replica)


@dataclass(frozen=True)
class WrongClock(Fault):
    """A replica's wall clock goes wrong, for good: it counts within f, for time."""

    replica: ReplicaId
    ahead_ms: int

    def begin(self, group: Cluster) -> None:
        """Set it."""
        group.set_wall_clock(self.replica, self.ahead_ms)
