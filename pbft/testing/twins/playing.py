"""Playing a scenario of twins: the group in its phases, healed at last, and what it came to.

Owns: when phases and calls happen, and what every run must come to at its end. The oracles judge each step: that no
certificate counts a double replica twice is O6's.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from pbft.core.envelope import Kind
from pbft.core.group import Limits, Quorums
from pbft.core.settings import ReplicaSettings, SessionSettings
from pbft.testing import runs
from pbft.testing.clients import Call, SimulatedClient
from pbft.testing.cluster import Cluster
from pbft.testing.journal import Journal
from pbft.testing.oracles import OracleFailure
from pbft.testing.runs import Echo, tell
from pbft.testing.twins.scenario import CLIENTS, Scenario
from pbft.testing.twins.space import SPACE
from pbft.testing.twins.stage import Stage

SEED: Final = 0
"""Keys and clocks are the same in every scenario: chance has no part in what happens."""

HOP_MS: Final = 1
"""What every envelope takes."""

OPENING_MS: Final = 3
"""A greeting and a welcome, before the first phase."""

LIMITS: Final = Limits(checkpoint_interval=2, log_size=4)

SETTINGS: Final = ReplicaSettings(
    relay_gap_ms=10,
    reply_gap_ms=10,
    view_timeout_ms=20,
    status_interval_ms=60,
    status_interval_max_ms=480,
    transfer_timeout_ms=50,
)
"""Short, since every envelope is quick: a view that fails is over within a phase."""

SESSION_SETTINGS: Final = SessionSettings(retransmit_ms=25, retransmit_max_ms=200)


@dataclass(frozen=True, kw_only=True)
class Outcome(runs.Outcome):
    """What a scenario came to."""

    accusers: int
    """Correct replicas that can prove that some double replica contradicted itself."""


Report = runs.Report[Outcome]


def report(number: int, echo: Echo | None = None) -> Report:
    """Play a numbered scenario and tell its end, whatever that is."""
    replay = command(number)
    return tell(number, replay, lambda: play(SPACE.scenario(number), echo=echo, replay=replay))


def command(number: int) -> str:
    """Return the command that shows a scenario again, line by line."""
    return f"pbft twins --scenarios {number}:{number + 1} --trace"


def play(
    scenario: Scenario,
    *,
    quorums: Quorums | None = None,
    without_oracles: Collection[str] = (),
    echo: Echo | None = None,
    replay: str | None = None,
) -> Outcome:
    """Play a scenario to its end, with every trace line to `echo`.

    `quorums` plants wrong counts, and `without_oracles` leaves some out, as for a Cluster. Raises AssertionError when
    anything broke, with the command that shows it again.
    """
    stage = Stage(scenario.n, scenario.twins)
    group = Cluster(
        Journal,
        SEED,
        scenario.n,
        byzantine=dict.fromkeys(scenario.twins, stage.adversary()),
        clients=CLIENTS,
        delay_ms=(HOP_MS, HOP_MS),
        clock_skew_ms=0,
        limits=LIMITS,
        settings=SETTINGS,
        session_settings=SESSION_SETTINGS,
        quorums=quorums,
        without_oracles=without_oracles,
        replay=replay or f"pbft.testing.twins.play({scenario!r})",
    )
    group.trace.echo = echo
    sessions = group.clients(*CLIENTS)
    calls = _phases(group, stage, sessions, scenario)
    group.heal()
    stage.heal()
    if not scenario.stays:
        for twin in scenario.twins:
            group.crash(twin)
    _finish(group, sessions, calls)
    _check(group, calls)
    accusers = sum(1 for i in group.correct if group.evidence(i))
    return Outcome.of(group, len(calls), accusers=accusers)


def _phases(group: Cluster, stage: Stage, sessions: list[SimulatedClient], scenario: Scenario) -> list[Call]:
    """Let every phase pass; return all calls."""
    stage.names.update((session.key, session.label) for session in sessions)
    # Replicas that start say so to each other, and nobody has anything to tell yet.
    group.network.on(Kind.STATUS).drop()
    group.run(OPENING_MS)
    calls: list[Call] = []
    for number, phase in enumerate(scenario.phases, start=1):
        group.trace.note(group.now_ms, f"phase {number}", str(phase))
        group.network.heal()
        group.network.split(*stage.part(phase.blocks))
        for session in sessions:
            if session.label in phase.calls and all(call.done for call in calls if call.client == session.label):
                calls.append(session.call("write", f"{session.label}.{number}"))
        group.run(phase.lasts_ms)
    return calls


def _finish(group: Cluster, sessions: list[SimulatedClient], calls: list[Call]) -> None:
    """Demand that the healed group answers what is pending, and something new if all was answered; then, one history.

    Whoever was cut off and hears nothing new may not know that it is behind: only then is a call made for its sake.
    """
    pending = [call for call in calls if not call.done]
    group.finish(*pending, level=False)
    if not pending or len(dict.fromkeys(map(group.executed, group.living))) > 1:
        calls.append(sessions[0].call("write", "at last"))
        group.finish(calls[-1])


def _check(group: Cluster, calls: list[Call]) -> None:
    """Hold the ends together: every word has one place, and correct replicas share one history and one state."""
    refused = next((call for call in calls if call.outcome is None), None)
    if refused is not None:
        raise OracleFailure("end", f"{refused!r} was refused: {refused.refusal}\n{group.story()}")
    if not group.histories_agree():
        raise OracleFailure("end", f"histories differ\n{group.story()}")
    places = sorted(call.value() for call in calls)
    if places != list(range(1, len(calls) + 1)):
        raise OracleFailure("end", f"words were lost or doubled: {places}\n{group.story()}")
