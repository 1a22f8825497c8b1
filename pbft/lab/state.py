"""What a lab's keeper knows of its group: processes, links, and who counts as faulty.

Owns: this knowledge as plain data, its form in JSON, and the fault budget. Knows no sockets and no processes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, cast, get_args

Condition = Literal["running", "paused", "killed", "stopped", "ended"]
"""How a replica's process is: "killed" by a fault; "stopped" by itself, when asked to; "ended" in any other way."""

_CONDITIONS: Final = get_args(Condition)

EVERY: Final = "*"
"""Stands for every replica where links are named."""

Party = int | Literal["*"]


@dataclass(frozen=True)
class ReplicaState:
    """One replica's place, and who sits in it."""

    id: int
    pid: int | None
    state: Condition
    misbehaviour: str | None = None
    """How it lies, as whoever started it put it; None of a correct one."""
    restarted: bool = False
    """Whether it is another process than the group's start gave it: until stores are durable it forgot its votes."""
    exit_code: int | None = None
    """How its process ended, where that is known; negative when a signal ended it."""
    words: str = ""
    """The last line that a process which has ended wrote to standard error. A liar's own, perhaps: not cleaned."""

    @property
    def fault(self) -> str | None:
        """Why it counts against f, None when it does not."""
        if self.misbehaviour is not None and self.pid is not None:
            return f"lies: {self.misbehaviour}"
        if self.state != "running":
            return self.state
        return "restarted: forgot its votes" if self.restarted else None

    @property
    def truthful(self) -> bool:
        """Whether all that was ever said in its place holds: nobody lied there, and nobody forgot what was said.

        That a liar is gone takes nothing back: what it signed may still arrive.
        """
        return self.misbehaviour is None and not self.restarted


@dataclass(frozen=True)
class LinksState:
    """Which faults of the network are in force between replicas."""

    cut: tuple[tuple[int, int], ...] = ()
    loss: tuple[tuple[Party, Party, int], ...] = ()
    """Between whom, and how much, in percent."""
    delay: tuple[tuple[Party, Party, int], ...] = ()
    """Between whom, and how long, in milliseconds."""
    sentences: tuple[str, ...] = ()
    stepping: bool = False
    """Whether all messages are held, to be let through one by one."""
    held: int = 0
    """How many messages are held."""

    @property
    def calm(self) -> bool:
        """Whether no fault of the network is in force."""
        return not (self.cut or self.loss or self.delay or self.sentences or self.stepping or self.held)


@dataclass(frozen=True)
class LabState:
    """A lab's group, at one moment."""

    replicas: tuple[ReplicaState, ...]
    faults: int
    """How many faulty replicas the group survives (f)."""
    links: LinksState = field(default_factory=LinksState)

    @property
    def faulty(self) -> tuple[tuple[int, str], ...]:
        """Each replica that counts against f, with why. What the network does counts against nobody."""
        return tuple((each.id, why) for each in self.replicas if (why := each.fault) is not None)

    @property
    def budget(self) -> tuple[int, int]:
        """How many replicas are faulty, and how many may be."""
        return len(self.faulty), self.faults

    @property
    def answers_hold(self) -> bool:
        """Whether answers stay right, if perhaps none come: no more than f replicas ever lied or forgot their votes."""
        return sum(not each.truthful for each in self.replicas) <= self.faults

    def to_json(self) -> dict[str, Any]:
        """Return the state as JSON has it."""
        return {
            "replicas": [asdict(each) for each in self.replicas],
            "links": asdict(self.links),
            "faulty": [list(each) for each in self.faulty],
            "faults": self.faults,
        }

    @classmethod
    def from_json(cls, value: Any) -> LabState:
        """Return the state that JSON tells. Raises ValueError where it is none."""
        try:
            replicas = tuple(_replica(each) for each in value["replicas"])
            links = value["links"]
            state = LinksState(
                tuple((int(one), int(other)) for one, other in links["cut"]),
                tuple(_amount(each) for each in links["loss"]),
                tuple(_amount(each) for each in links["delay"]),
                tuple(str(each) for each in links["sentences"]),
                links["stepping"] is True,
                int(links["held"]),
            )
            return cls(replicas, int(value["faults"]), state)
        except (AttributeError, LookupError, OverflowError, TypeError) as error:
            raise ValueError(f"this is no state of a lab: {error}") from None


def _replica(value: Mapping[str, Any]) -> ReplicaState:
    state = value["state"]
    if state not in _CONDITIONS:
        raise ValueError(f"a replica is not {state!r}")
    lies, pid, code = value["misbehaviour"], value["pid"], value["exit_code"]
    return ReplicaState(
        int(value["id"]),
        None if pid is None else int(pid),
        cast(Condition, state),
        None if lies is None else str(lies),
        value["restarted"] is True,
        None if code is None else int(code),
        str(value["words"]),
    )


def _amount(value: Any) -> tuple[Party, Party, int]:
    one, other, amount = value
    return _party(one), _party(other), int(amount)


def _party(value: Any) -> Party:
    return EVERY if value == EVERY else int(value)
