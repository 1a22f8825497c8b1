"""The Byzantine replica of a ByzzFuzz run: lies in the rounds, and to the receivers, that the scenario names."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from pbft.core.envelope import Envelope
from pbft.core.group import ClientKey, ReplicaId
from pbft.core.replica import Replica
from pbft.testing.byzantine import Means, Mutator
from pbft.testing.byzantine.mutations import ANY_SCOPE, SMALL_SCOPE, Hand, mutated
from pbft.testing.byzzfuzz.rounds import Rounds
from pbft.testing.byzzfuzz.scenario import ProcessFault, Scope


class Planned(Mutator):
    """Tells the truth until it is told which lies are planned, and in all other rounds."""

    def __init__(self, core: Replica, means: Means) -> None:
        super().__init__(core, means)
        self.lies = 0
        """Messages that were not sent as they were meant."""
        self.told: dict[str, int] = {}
        """How often each mutation was used, by name."""
        self._rounds = Rounds()
        self._faults: dict[int, ProcessFault] = {}
        self._tell: Callable[[str], None] = lambda _: None

    def plan(self, rounds: Rounds, faults: Sequence[ProcessFault], scope: Scope, tell: Callable[[str], None]) -> None:
        """Lie as planned from now on; `rounds` counts for the whole run, and `tell` takes each lie in words."""
        self._rounds, self._tell = rounds, tell
        self._faults = {fault.round: fault for fault in faults}
        self.ways = SMALL_SCOPE if scope == "small" else ANY_SCOPE

    def corrupt(self, to: ReplicaId | ClientKey, envelope: Envelope) -> tuple[Envelope, ...]:
        """Lie if this is the round, and this receiver one of those."""
        fault = self._faults.get(self._rounds.met(envelope))
        if fault is None or not (to in fault.receivers if isinstance(to, int) else fault.clients):
            return (envelope,)
        # Drawn anew for each message from the same beginning: all receivers of one message hear the same lie.
        hand = Hand(self, random.Random(fault.lie), self._said)
        name, told = mutated(self.ways, hand, envelope)
        if name:
            self.lies += 1
            self.told[name] = self.told.get(name, 0) + 1
            whom = f"r{to}" if isinstance(to, int) else "a client"
            self._tell(f"lies to {whom} in round {fault.round}, {name}: {envelope.kind.name}")
        return told
