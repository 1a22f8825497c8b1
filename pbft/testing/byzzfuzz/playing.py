"""Playing a ByzzFuzz scenario: the faulty rounds, the healed end, and what it came to.

Owns: how one run is set up and what it must come to. The oracles judge each step.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from pbft.core.envelope import Envelope
from pbft.core.group import Limits, Quorums
from pbft.core.settings import ReplicaSettings, SessionSettings
from pbft.testing import runs
from pbft.testing.byzzfuzz.planned import Planned
from pbft.testing.byzzfuzz.rounds import Rounds
from pbft.testing.byzzfuzz.scenario import CALLS, N, NetworkFault, Scenario, Shape
from pbft.testing.clients import Call, SimulatedClient
from pbft.testing.cluster import Cluster
from pbft.testing.journal import Journal
from pbft.testing.network import Address
from pbft.testing.oracles import OracleFailure
from pbft.testing.runs import Echo, tell

HEAL_MS: Final = 3_000
"""When the network heals at the latest; before that it does once all calls are answered."""

COLLUDER: Final = "mallory"
"""A client whose key the Byzantine replica holds. It asks for something twice, and may wait for ever."""

_LIMITS: Final = Limits(checkpoint_interval=2, log_size=4)
"""A checkpoint lies within the rounds that may be faulty."""
_SETTINGS: Final = ReplicaSettings(window=1, view_timeout_ms=150)
"""One sequence is in flight at a time, as rounds have it."""
_SESSION_SETTINGS: Final = SessionSettings(retransmit_ms=100)


@dataclass(frozen=True, kw_only=True)
class Outcome(runs.Outcome):
    """What a run came to."""

    rounds: int
    """The greatest round come to before the network healed."""
    parted: int
    """Messages that network faults lost."""
    lies: int
    """Messages that the Byzantine replica did not send as it should."""
    mutations: tuple[tuple[str, int], ...]
    """How often each mutation was used, by name."""


Report = runs.Report[Outcome]


def report(number: int, shape: Shape | None = None, echo: Echo | None = None) -> Report:
    """Draw a number's scenario, play it, and tell its end, whatever that is."""
    replay = command(number, shape)
    return tell(number, replay, lambda: play(Scenario.draw(number, shape), echo, replay=replay))


def command(number: int, shape: Shape | None = None) -> str:
    """Return the command that shows a run again, line by line."""
    shape, usual = shape or Shape(), Shape()
    words = [f"pbft byzzfuzz --runs {number}:{number + 1} --trace"]
    if shape.scope is not None:
        words.append(f"--{shape.scope}-scope")
    numbers = {name: getattr(shape, name) for name in ("rounds", "network_faults", "process_faults")}
    unusual = {name: number for name, number in numbers.items() if number != getattr(usual, name)}
    return " ".join([*words, *(f"--{name.replace('_', '-')} {number}" for name, number in unusual.items())])


def play(
    scenario: Scenario,
    echo: Echo | None = None,
    *,
    quorums: Quorums | None = None,
    without_oracles: Collection[str] = (),
    replay: str | None = None,
) -> Outcome:
    """Play a scenario to its end, with every trace line to `echo`.

    Raises AssertionError when anything broke. A test that plants a bug may give wrong `quorums` and leave oracles out.
    """
    group = Cluster(
        Journal,
        scenario.number,
        N,
        byzantine={scenario.liar: Planned},
        clients=("alice", COLLUDER),
        colluders=(COLLUDER,),
        limits=_LIMITS,
        settings=_SETTINGS,
        session_settings=_SESSION_SETTINGS,
        quorums=quorums,
        without_oracles=without_oracles,
        replay=replay,
    )
    group.trace.echo = echo
    rounds, liar = Rounds(), group.replica(scenario.liar)
    assert isinstance(liar, Planned)
    name = f"r{scenario.liar}"
    liar.plan(rounds, scenario.process, scenario.scope, lambda words: group.trace.note(group.now_ms, name, words))
    network = _Partitions(scenario, rounds)
    group.network.lose(network)
    alice = _Program(group, "alice", CALLS)
    _Program(group, COLLUDER, 2)
    while group.now_ms < HEAL_MS and not alice.done:
        group.run(50)
    come_to = rounds.now
    group.heal()
    while not alice.done:
        group.finish(*alice.calls, level=False)
    alice.call()
    group.finish(*alice.calls)
    _check(group, alice.calls)
    return Outcome.of(
        group,
        len(alice.calls),
        rounds=come_to,
        parted=network.lost,
        lies=liar.lies,
        mutations=tuple(sorted(liar.told.items())),
    )


class _Partitions:
    """Loses what a round's partition keeps from passing; counts rounds by what replicas say on the way."""

    def __init__(self, scenario: Scenario, rounds: Rounds) -> None:
        self.lost = 0
        self._liar = scenario.liar
        self._rounds = rounds
        self._faults: dict[int, NetworkFault] = {fault.round: fault for fault in scenario.network}

    def __call__(self, src: Address, dst: Address, envelope: Envelope) -> bool:
        """Say whether an envelope is lost."""
        if not isinstance(src, int):
            return False
        # What the Byzantine replica truly had to say it has counted itself; what it sends may be anything.
        true = src != self._liar and envelope.sender == src
        at = self._rounds.met(envelope) if true else self._rounds.of(envelope)
        fault = self._faults.get(at)
        if fault is None or not isinstance(dst, int) or not fault.parts(src, dst):
            return False
        self.lost += 1
        return True


class _Program:
    """A client that calls so many times, each once the call before has ended."""

    def __init__(self, group: Cluster, name: str, calls: int) -> None:
        self.calls: list[Call] = []
        self._client: SimulatedClient = group.client(name)
        self._wanted = calls
        self._next()

    @property
    def done(self) -> bool:
        """Whether all its calls have ended."""
        return len(self.calls) >= self._wanted and all(call.done for call in self.calls)

    def call(self) -> Call:
        """Call once more."""
        call = self._client.call("write", f"{self._client.label}.{len(self.calls)}")
        self.calls.append(call)
        return call

    def _next(self) -> None:
        if len(self.calls) < self._wanted:
            self.call().then = self._next


def _check(group: Cluster, calls: list[Call]) -> None:
    """Hold the ends together: every call was answered, each word after the one before, and all share one history."""
    refused = next((call for call in calls if call.outcome is None), None)
    if refused is not None:
        raise OracleFailure("end", f"{refused!r} was refused: {refused.refusal}\n{group.story()}")
    places = [call.value() for call in calls]
    if places != sorted(dict.fromkeys(places)):
        raise OracleFailure("end", f"words were lost, doubled or moved: {places}\n{group.story()}")
    if not group.histories_agree():
        raise OracleFailure("end", f"histories differ\n{group.story()}")
