"""The swarm: whole runs drawn from a seed, each another group, workload, network and mix of faults.

Owns: what a seed draws, what every run must come to, and bugs to plant, since a swarm that catches nothing proves
nothing. Knows no protocol: the oracles judge each delivery, and here only the ends are held together.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from pbft.core.group import Quorums, ReplicaId
from pbft.core.settings import ReplicaSettings
from pbft.testing.byzantine import Adversary, BadSignature, Equivocator, Impostor, Silent, WrongReply
from pbft.testing.clients import Call
from pbft.testing.cluster import Cluster
from pbft.testing.journal import Journal
from pbft.testing.signers import Scheme

ED25519_SHARE: Final = 0.04
"""The share of runs under real signatures, which cost most of a run's time."""

FAULTY_SHARE: Final = 0.5

PLANTS: Final = ("prepared", "committed")
"""Bugs that can be planted: that quorum one short."""

ADVERSARIES: Final[tuple[type[Adversary], ...]] = (Silent, WrongReply, BadSignature, Equivocator, Impostor)


@dataclass(frozen=True)
class Plan:
    """What one seed draws."""

    seed: int
    n: int
    window: int
    sessions: tuple[str, ...]
    """The clients, one entry a session: a name that repeats is one key used by several programs."""
    rounds: int
    words: int
    """Words that each session writes in a round; those of one round are called together."""
    loss: float
    duplicate: float
    reorder: float
    delay_ms: tuple[int, int]
    signatures: Scheme
    byzantine: dict[ReplicaId, type[Adversary]]
    """At most f, and never the first primary: a group cannot replace its primary before it can change views."""
    crash: ReplicaId | None
    """A backup that dies half-way, counted within f."""

    @classmethod
    def draw(cls, seed: int) -> Plan:
        """Return the plan of a seed."""
        chance = random.Random(f"{seed}/plan")
        n = chance.choice((4, 5, 6, 7))
        faults = (n - 1) // 3
        faulty = chance.sample(range(1, n), chance.randint(1, faults) if chance.random() < FAULTY_SHARE else 0)
        crash = faulty.pop() if faulty and chance.random() < 0.3 else None
        low = chance.choice((1, 1, 2, 10))
        return cls(
            seed=seed,
            n=n,
            window=chance.choice((1, 2, 4, 16)),
            sessions=tuple(chance.choice(("alice", "bob", "carol")) for _ in range(chance.randint(1, 4))),
            rounds=chance.randint(2, 6),
            words=chance.randint(1, 3),
            loss=chance.choice((0.0, 0.02, 0.05, 0.1, 0.2)),
            duplicate=chance.choice((0.0, 0.1, 0.3)),
            reorder=chance.choice((0.0, 0.05, 0.2)),
            delay_ms=(low, low + chance.choice((0, 3, 10, 40))),
            signatures="ed25519" if chance.random() < ED25519_SHARE else "simulated",
            byzantine={replica: chance.choice(ADVERSARIES) for replica in sorted(faulty)},
            crash=crash,
        )


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    plan: Plan
    deliveries: int
    virtual_ms: int
    sequences: int
    trace_digest: str


def run(seed: int, plant: str | None = None, echo: Callable[[str], None] | None = None) -> Outcome:
    """Run a seed's plan to its end, with one of PLANTS if you like, and every trace line to `echo`.

    Raises AssertionError when anything broke, with the command that shows it again.
    """
    plan = Plan.draw(seed)
    group = Cluster(
        Journal,
        seed,
        plan.n,
        clients=("alice", "bob", "carol"),
        byzantine=plan.byzantine,
        loss=plan.loss,
        duplicate=plan.duplicate,
        reorder=plan.reorder,
        delay_ms=plan.delay_ms,
        signatures=plan.signatures,
        settings=ReplicaSettings(window=plan.window),
        quorums=_planted(plan.n, plant),
        replay=f"python -m pbft.testing --seed {seed} --trace" + (f" --plant {plant}" if plant else ""),
    )
    group.trace.echo = echo
    sessions = group.clients(*plan.sessions)
    written: list[Call] = []
    for number in range(plan.rounds):
        if plan.crash is not None and number == plan.rounds // 2:
            group.crash(plan.crash)
        calls = [
            session.call("write", f"{session.label} {number}.{word}")
            for session in sessions
            for word in range(plan.words)
        ]
        written += group.settle(*calls)
    # Whoever missed the last of it learns so from the next message, so one more word goes round once nothing is lost.
    group.network.calm()
    written += group.settle(sessions[0].call("write", "the last word"))
    group.run_until_level()
    _check(group, written)
    return Outcome(plan, group.deliveries, group.now_ms, len(group.history(0)), group.trace_digest())


def _planted(n: int, plant: str | None) -> Quorums | None:
    quorums = Quorums.of(n)
    return None if plant is None else replace(quorums, **{plant: getattr(quorums, plant) - 1})


def _check(group: Cluster, written: list[Call]) -> None:
    """Hold the ends together: each word has a place of its own, in the one history that all correct replicas share."""
    places = sorted(call.value() for call in written)
    assert places == list(range(1, len(written) + 1)), f"words were lost or doubled: {places}\n{group.story()}"
    assert group.histories_agree(), f"histories differ\n{group.story()}"
