"""The table of refusals: how a case enters it, and what every case must show.

A case is a function that hands a replica what it must refuse, and returns those turns. The replica watched is backup 1
of view 0.
"""

from __future__ import annotations

from collections.abc import Callable

from pbft.core.effects import Broadcast, Evidence, Executed, Persist, Reason, Send, StateInstalled, ViewEntered
from pbft.core.envelope import Envelope
from pbft.core.group import Limits
from pbft.core.settings import ReplicaSettings
from tests.core.builders import Microscope, Scene, Turn

ME = 1
LIMITS = Limits(sessions_per_client=2, checkpoint_interval=4, log_size=16)
SETTINGS = ReplicaSettings(waiting_requests=3, waiting_requests_per_client=2, early_bytes=4_096, unexecuted_bytes=2_048)

Case = Callable[[Microscope], list[Turn]]


class Table:
    """Cases by name, each with the Reason that it meets."""

    def __init__(self) -> None:
        self._cases: dict[str, tuple[Reason, Case]] = {}

    @property
    def names(self) -> list[str]:
        """Every case."""
        return list(self._cases)

    def __getitem__(self, name: str) -> tuple[Reason, Case]:
        return self._cases[name]

    def refused(self, reason: Reason) -> Callable[[Case], Case]:
        """Enter a case into the table."""

        def enter(case: Case) -> Case:
            assert case.__name__ not in self._cases
            self._cases[case.__name__] = (reason, case)
            return case

        return enter

    def check(self, name: str, n: int) -> None:
        """Show that a case meets its Reason and nothing else: nothing voted, executed, sent or installed."""
        reason, case = self[name]
        watched = Scene(n, limits=LIMITS).watch(ME, SETTINGS)
        turns = case(watched)
        assert turns
        for turn in turns:
            assert turn.reasons == [reason]
            acts = Persist | Broadcast | Send | Executed | ViewEntered | StateInstalled
            assert not [each for each in turn.effects if isinstance(each, acts)]
            if reason is not Reason.CONFLICTING:
                assert turn.of(Evidence) == []

    @property
    def reasons(self) -> set[Reason]:
        """Every Reason that some case meets."""
        return {reason for reason, _ in self._cases.values()}


def phases(watched: Microscope, view: int = 0, sequence: int = 1) -> list[Envelope]:
    """Return one message of each phase about one sequence."""
    proposal = watched.scene.pre_prepare(sequence, view=view)
    backup = next(number for number in range(watched.scene.n) if number not in (ME, watched.scene.group.primary(view)))
    return [proposal, watched.scene.prepare(backup, proposal), watched.scene.commit(backup, proposal)]
