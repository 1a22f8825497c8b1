"""Who may follow others out of a view (O6).

Owns: the oracle that finds a member counted twice where replicas keep no certificate: among the f+1 that pull another
one along.
"""

from __future__ import annotations

from pbft.core.effects import Cause, Effect, ViewChangeStarted
from pbft.core.group import ReplicaId
from pbft.testing.oracles.base import Facts, Oracle


class Joins(Oracle):
    """O6: nobody follows f+1 others out of a view before a correct replica has left it on its own.

    Among f+1 distinct members there is a correct one; so the first correct replica that asks for a view, or for one
    beyond it, has reasons of its own. With more than f liars this says nothing, and judges nothing.
    """

    id = "O6"
    watches = (ViewChangeStarted,)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._asked = 0
        """The highest view that a correct replica asked for by itself."""

    def observe(self, replica: ReplicaId, effect: Effect) -> None:
        """Note who leaves a view, and hold those that follow against it."""
        assert isinstance(effect, ViewChangeStarted)
        if effect.cause is not Cause.JOINED:
            self._asked = max(self._asked, effect.view)
        elif effect.view > self._asked and self._judges:
            self.fail(
                f"replica {replica} followed {self.facts.faults + 1} others to view {effect.view}, which no correct "
                "replica has asked for: one was counted twice"
            )

    @property
    def _judges(self) -> bool:
        return len(self.facts.group.genesis.members) - len(self.facts.correct) <= self.facts.faults


__all__ = ["Joins"]
