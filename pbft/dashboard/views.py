"""What the dashboard shows, as frozen values: everything in them is checked, cleaned and bounded.

Owns: the shapes that widgets and drawings read. Knows neither where the values come from nor how they are drawn.
Styles are names that rich and Textual both know, such as "green" or "bold red"; "" is plain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Phase = Literal["request", "pre-prepare", "prepare", "commit", "reply"]
PHASES: Final[tuple[Phase, ...]] = ("request", "pre-prepare", "prepare", "commit", "reply")
"""The steps of one sequence, in the paper's order (OSDI'99 section 4.2)."""

POINTS: Final = 60
"""How many seconds a series goes back."""


@dataclass(frozen=True, slots=True)
class Header:
    """The group in one line: facts that f+1 replicas tell, so that at least one correct replica stands behind them."""

    group: str
    """The first digits of the group's id; "" until a replica has spoken."""
    application: str
    n: int
    faults: int
    """f: how many faulty replicas the group bears."""
    speaking: int
    """How many replicas are heard from."""
    starting: bool
    """Whether this program is starting the group, and none was heard yet."""
    view: int | None
    primary: int | None
    """The primary of that view."""
    executed: int | None
    stable: int | None
    """The greatest stable checkpoint."""
    throughput: float | None
    """Operations a second."""
    messages: float | None
    """Messages that all replicas send and receive a second."""
    p50_ms: float | None
    p99_ms: float | None
    latency_of: Literal["load", "calls", "flows", ""]
    """Whose latency that is: of our load or our own calls as a client sees them, sampled sequences' at the primary, or
    nobody's."""
    used: int
    """Replicas that count against f now."""
    budget_style: str
    """Green while nobody is faulty, yellow up to f, red beyond."""
    beyond: str
    """A sentence about what is no longer promised, "" while all is."""
    faulty: tuple[tuple[int, str], ...]
    """Each replica that counts against f, with why."""
    network: str
    """Network faults in force, in words; "" where there are none."""

    @property
    def budget(self) -> str:
        """The fault budget, as in "1/1"."""
        return f"{self.used}/{self.faults}"


@dataclass(frozen=True, slots=True)
class Row:
    """One replica. Numbers are its own word, None where it gives none."""

    id: int
    role: str
    """"primary" or "backup" of the group's view; "" while that is unknown."""
    view: int | None
    executed: int | None
    stable: int | None
    digest: str
    """The first 8 digits of its state's digest, "" while unknown."""
    digest_style: str
    """Red where f+1 others report another state after the same sequence."""
    health: str
    """In words: ok, behind by 3, view change to 2, fetching the state at 128, killed, paused, starting, no answer,
    lying: …"""
    style: str
    """For the health."""
    memory_bytes: int | None
    pid: int | None
    running: bool
    """Whether its process is there and not paused, as far as is known."""
    misbehaviour: str
    """How it lies, "" where it is not known to."""

    @property
    def memory(self) -> str:
        """Resident memory as people read it."""
        return "" if self.memory_bytes is None else f"{self.memory_bytes / 2**20:.0f} MiB"


@dataclass(frozen=True, slots=True)
class Cell:
    """What one replica has of one phase of a sequence, by its own word."""

    told: bool
    """Whether this replica tells of the sequence at all."""
    received: int
    """Votes that it holds; for request, pre-prepare and reply 1 or 0."""
    needed: int
    done: bool
    after_us: int | None
    """When the phase was complete here, since the sequence began."""
    differing: tuple[int, ...]
    """Members whose vote named another batch than this one."""


@dataclass(frozen=True, slots=True)
class PhaseView:
    """One phase, at all replicas."""

    name: Phase
    cells: tuple[Cell, ...]
    """One a replica, by id."""
    done: int
    """At how many replicas it is complete."""
    needed: int
    """At how many it must be for the group to go on: the client believes f+1 replies, all else takes a quorum."""


@dataclass(frozen=True, slots=True)
class Arrow:
    """One message of a sequence, at the moment when its receiver had it (a reply: when its sender executed)."""

    after_us: int
    """Since the sequence began."""
    phase: Phase
    sender: int | None
    """None is the client."""
    receiver: int | None
    differing: bool
    """Whether the receiver says that it named another batch."""


@dataclass(frozen=True, slots=True)
class FlowView:
    """How the group agreed on one sequence, put together from what its replicas say."""

    sequence: int
    view: int
    primary: int
    n: int
    digest: str
    """The first 8 digits of the batch's digest that most replicas tell."""
    requests: tuple[str, ...]
    """What the batch holds, as in "alice #3: 1 operation"; a few at most."""
    client: str
    """Whose request came first, "client" where that is unknown."""
    tellers: tuple[int, ...]
    """Whose word this is."""
    others: tuple[int, ...]
    """Replicas that tell of another batch, or of another view, at this sequence."""
    phases: tuple[PhaseView, ...]
    """In the order of PHASES."""
    arrows: tuple[Arrow, ...]
    """In the order of time."""
    finished: bool
    """Whether f+1 replicas have executed it."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the event log, for people who need not know the log's own words."""

    us: int
    """When it was heard, on the clock of this machine."""
    source: str
    """"group", "replica 2", "lab" or "you"."""
    style: str
    text: str


@dataclass(frozen=True, slots=True)
class Series:
    """The last minute, a point a second, oldest first and always POINTS long; None where nothing is known."""

    throughput: tuple[float | None, ...]
    """Operations a second."""
    latency_ms: tuple[float | None, ...]
    """The median of that second."""
    messages: tuple[float | None, ...]
    """Messages a second."""
