"""What a run is: everything that one seed draws, as plain data.

Owns: the plan of a run, what makes one impossible, and how it is told. A plan is complete: once drawn it can be kept,
printed, cut down and played without the draw. Knows nothing of what ought to come of it.

Faulty replicas are those that crash for good, lie, or have a wrong wall clock: at most f together. Everything else
(cuts, loss, delays, replicas that stand still) may befall anybody, as many as it likes, and ends before the run heals.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from pbft.core.group import Limits, ReplicaId
from pbft.core.settings import ReplicaSettings, SessionSettings
from pbft.errors import PbftError
from pbft.testing.network import Spread
from pbft.testing.signers import Scheme
from pbft.testing.swarm.draws import draw_colluders, draw_faulty, draw_loose, draw_programs, draw_transient
from pbft.testing.swarm.faults import Crashed, Fault, LetLoose, WrongClock
from pbft.testing.swarm.programs import Program, session_labels
from pbft.testing.swarm.soundness import wrong_with
from pbft.testing.swarm.staged import Staged, draw_staged
from pbft.testing.swarm.tuning import draw_limits, draw_session_settings, draw_settings
from pbft.wording import count

ED25519_SHARE: Final = 0.03
"""The share of runs under real signatures, which cost most of a run's time."""


class PlanError(PbftError, ValueError):
    """A run that cannot be; the message is one sentence that says why."""


@dataclass(frozen=True)
class Plan:
    """One run, whole."""

    seed: int
    """What the network draws each envelope's fate from, and keys and clocks too."""
    n: int
    loss: float
    duplicate: float
    reorder: float
    delay_ms: tuple[int, int]
    spread: Spread
    clock_skew_ms: int
    """How far correct replicas' wall clocks are off, at most."""
    signatures: Scheme
    workload: str
    word_bytes: int
    programs: tuple[Program, ...]
    byzantine: tuple[tuple[ReplicaId, str], ...]
    """Liars by number, with the names of what they do: "Censor", or several at once as in "Censor+TimeLiar"."""
    colluders: tuple[str, ...]
    """Clients whose keys the liars hold: what these clients' programs ask for need not be answered."""
    faults: tuple[Fault, ...]
    """By the time at which they begin."""
    heal_ms: int
    """From here on nothing new goes wrong, and the group has to make progress."""
    limits: Limits = field(default_factory=Limits)
    settings: ReplicaSettings = field(default_factory=ReplicaSettings)
    session_settings: SessionSettings = field(default_factory=SessionSettings)

    def __post_init__(self) -> None:
        wrong = wrong_with(self)
        if wrong is not None:
            raise PlanError(wrong)

    @classmethod
    def draw(cls, seed: int, n: int | None = None, staged: str | None = None) -> Plan:
        """Return the plan of a seed, for a group of n if that is given.

        `staged` names one of `staged.STAGES`, which lead where chance comes seldom: "states" makes a replica take over
        a state.
        """
        chance = random.Random(f"{seed}/plan")
        drawn_n = chance.choice((4, 4, 4, 5, 6, 7, 7, 7))
        n = drawn_n if n is None else n
        heal_ms = chance.randint(1_200, 4_500)
        byzantine, lasting = draw_faulty(chance, n, heal_ms)
        low_ms = chance.choice((1, 1, 1, 2, 10))
        programs = draw_programs(chance, heal_ms)
        stage = draw_staged(chance, n, heal_ms, staged)
        if stage is not None:
            byzantine, lasting, programs = stage.byzantine, stage.faults, stage.programs or programs
        colluders = draw_colluders(chance, programs) if byzantine else ()
        labels = session_labels(programs)
        faults = (*lasting, *draw_transient(chance, n, labels, heal_ms), *draw_loose(chance, heal_ms))
        return cls(
            seed=seed,
            n=n,
            loss=chance.choice((0.0, 0.0, 0.02, 0.05, 0.1, 0.3)),
            duplicate=chance.choice((0.0, 0.0, 0.1, 0.5)),
            reorder=chance.choice((0.0, 0.05, 0.2)),
            delay_ms=(low_ms, low_ms + chance.choice((0, 3, 10, 40))),
            spread=chance.choice(("even", "even", "exponential")),
            clock_skew_ms=chance.choice((0, 50, 50, 4_000)),
            signatures="ed25519" if chance.random() < ED25519_SHARE else "simulated",
            workload=_workload(chance, stage),
            word_bytes=3_000 if chance.random() < 0.1 else 16,
            programs=programs,
            byzantine=byzantine,
            colluders=colluders,
            faults=tuple(sorted(faults, key=lambda fault: fault.begin_ms)),
            heal_ms=heal_ms,
            limits=replace(draw_limits(chance), **(stage.limits if stage is not None else {})),
            settings=draw_settings(chance),
            session_settings=draw_session_settings(chance),
        )

    @property
    def faulty(self) -> tuple[ReplicaId, ...]:
        """The replicas that lie, crash for good or have a wrong wall clock, each once, in order."""
        lasting = [fault.replica for fault in self.faults if isinstance(fault, Crashed | WrongClock)]
        return tuple(sorted(dict.fromkeys([*(replica for replica, _ in self.byzantine), *lasting])))

    @property
    def unheard(self) -> tuple[str, ...]:
        """The clients to whom nobody promises anything: liars hold their keys, or they misbehave to the end."""
        loose = [fault.client for fault in self.faults if isinstance(fault, LetLoose) and fault.stays]
        return tuple(sorted(dict.fromkeys([*self.colluders, *loose])))

    @property
    def meddled(self) -> bool:
        """Whether anybody else than the programs may have operations executed."""
        return bool(self.colluders) or any(isinstance(fault, LetLoose) for fault in self.faults)

    @property
    def size(self) -> str:
        """How large it is, in words."""
        calls = sum(program.calls for program in self.programs)
        liars, programs = count(len(self.byzantine), "liar"), count(len(self.programs), "program")
        return f"n={self.n}, {count(len(self.faults), 'fault')}, {liars}, {programs}, {count(calls, 'call')}"

    def shares_table(self, client: str) -> bool:
        """Say whether a client's sessions, all that use its key together, may be more than its table has room for."""
        sessions = sum(1 for program in self.programs if program.client == client)
        loose = any(isinstance(fault, LetLoose) and fault.client == client for fault in self.faults)
        return loose or sessions > self.limits.sessions_per_client

    def told(self) -> list[str]:
        """Return the plan for people, a line each for what is not a number; settings where they are not the usual."""
        lines = [f"{name}={value!r}" for name, value in self._plain().items()]
        several = [*self.programs, *(f"replica {replica} is {name}" for replica, name in self.byzantine)]
        several += [f"the liars have {client}'s key" for client in self.colluders]
        return [", ".join(lines), *map(str, [*several, *self.faults]), f"healed from {self.heal_ms} ms on"]

    def _plain(self) -> dict[str, Any]:
        lists = ("programs", "byzantine", "colluders", "faults", "heal_ms")
        plain = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in lists}
        for name, usual in (
            ("limits", Limits()),
            ("settings", ReplicaSettings()),
            ("session_settings", SessionSettings()),
        ):
            plain |= unusual(plain.pop(name), usual)
        return plain


def _workload(chance: random.Random, stage: Staged | None) -> str:
    drawn = chance.choice(("journal", "journal", "shelf", "shelf", "warehouse", "scroll"))
    return drawn if stage is None or stage.workload is None else stage.workload


def unusual(settings: Any, usual: Any) -> dict[str, Any]:
    """Return those of some settings that differ from the usual ones, by name."""
    told = {each.name: getattr(settings, each.name) for each in fields(settings)}
    return {name: value for name, value in told.items() if value != getattr(usual, name)}
