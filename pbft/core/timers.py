"""When a replica gives up on a primary (OSDI'99 sections 4.4 and 4.5.2; design 4.8, 4.10, 4.14).

Owns: how long it waits, for what, and since when, and how the wait grows and shrinks. Knows no message and changes
nothing: what it finds, the replica acts upon. A clock is not in here: whoever was paused hears first what came
meanwhile, so that its late tick judges by that (design 4.10). Time spent executing counts, so the longest batch that
the group's limits allow should run within the timeout.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pbft.core.effects import Cause
from pbft.core.fairness import EIGHTH, Fairness
from pbft.core.group import ClientKey, Limits, Quorums
from pbft.core.pace import Pace
from pbft.core.requests import WaitingRequests
from pbft.core.settings import ReplicaSettings
from pbft.core.situation import TimerStanding

_CALM: Final = 4
"""What is done within this part of a timeout shows that the timeout is too long."""


class Timers:
    """How long this replica waits for a primary, and whether it has waited long enough.

    In a view it waits while a request waits whose patience has begun, or a proposal is under way. It leaves the view

    - STALLED, or NO_PROGRESS in a view that executed nothing fresh since it was entered, when nothing fresh ran here
      for a timeout, counted from when the earliest of these began to wait, from the entry, or from the last progress,
      whichever was last. Null and replayed requests are no progress for a request that waits.
    - UNFAIR, when others are served but somebody is passed over (`Fairness`).
    - SLOW, when all are served, but later than need be (`Pace`), and something waits.

    Out of a view it waits for the NEW-VIEW, from when a quorum asks for the view: who is alone with its wish waits, and
    never runs on through views by itself (OSDI'99 section 4.5.2). It goes on to the next one with NO_NEW_VIEW.

    The timeout doubles when a view is left that came to nothing: never entered, without anything fresh, or unfair.
    There is no greatest timeout, since one could lie below what messages really take. It is halved again, down to the
    setting, when something fresh runs and for as long as a timeout nothing took longer than a quarter of it: neither a
    request from its arrival here to its execution, nor a proposal under way from one execution to the next.

    It is for a backup to ask: a primary is not impatient with itself. It keeps nothing but a few numbers for each
    registered client, and looks through the waiting requests an eighth of a timeout apart at most.
    """

    def __init__(
        self,
        waiting: WaitingRequests,
        settings: ReplicaSettings,
        limits: Limits,
        quorums: Quorums,
        now_ms: int = 0,
    ) -> None:
        self._waiting = waiting
        self._settings = settings
        self._fairness = Fairness(waiting, settings, limits, now_ms)
        self._pace = Pace(settings, quorums, now_ms)
        self._level = 0
        self._in_view = True
        self._first_view = True
        self._fresh = False
        """Whether this view executed anything fresh since it was entered."""
        self._unfair = False
        self._slow = False
        self._entered_ms = now_ms
        self._progressed_ms = now_ms
        self._begun_ms: int | None = None
        self._proposed = 0
        self._quorum_ms: int | None = None
        self._looked_ms = now_ms
        self._calm_ms = now_ms
        """Since when nothing was slow enough to need this timeout."""

    @property
    def timeout_ms(self) -> int:
        """How long the next wait may take."""
        return self._settings.view_timeout_ms << self._level

    # What the replica tells.

    def begun(self, now_ms: int, last: int) -> None:
        """Wait for what is proposed, too: a proposal beyond execution is under way. Told again, it still is.

        `last` is the greatest sequence that is known to be proposed, or executed elsewhere.
        """
        if self._begun_ms is None:
            self._begun_ms = now_ms
        self._proposed = last

    def idle(self) -> None:
        """Wait for no proposal any more: none is under way."""
        self._begun_ms = None

    def executed(
        self, sequence: int, clients: Sequence[ClientKey], now_ms: int, agreeing_ms: int | None = None
    ) -> None:
        """Note that a batch ran, after what it settled was settled: `clients` has one entry for each fresh request.

        `agreeing_ms` is how long it took from its proposal to its commit, None where these were not in this view.
        """
        settled_ms = self._waiting.take_settled_ms()
        delays = self._fairness.executed(sequence, clients, now_ms)
        if not self._in_view:
            return
        self._pace.served(delays)
        if agreeing_ms is not None:
            self._pace.agreed(agreeing_ms)
        if clients:
            self._decay(settled_ms, now_ms)
            self._fresh = True
            self._progressed_ms = now_ms
        elif self._begun_ms is not None:
            self._begun_ms = now_ms

    def progressed(self, now_ms: int) -> None:
        """Start to wait anew, since it is not the primary's fault.

        The others are seen to go on, so what waits here may have run there, or state arrives from them.
        """
        self._progressed_ms = now_ms
        if self._quorum_ms is not None:
            self._quorum_ms = now_ms

    def left(self, cause: Cause, now_ms: int) -> None:
        """Leave a view, or give up one that was asked for: this replica asks for a higher one."""
        if cause is Cause.SLOW:
            self._pace.called(now_ms)
        elif cause is Cause.JOINED and self._in_view:
            self._pace.joined(now_ms)
        if not self._in_view or not self._fresh or self._unfair:
            self._level += 1
        self._in_view = False
        self._quorum_ms = None

    def quorum(self, now_ms: int) -> None:
        """Wait for the NEW-VIEW from now on, unless already: a quorum asks for the view."""
        if self._quorum_ms is None:
            self._quorum_ms = now_ms

    def entered(self, now_ms: int) -> None:
        """Start every wait anew, with the primary of the view that was entered."""
        self._in_view = True
        self._first_view = False
        self._fresh = False
        self._unfair = self._slow = False
        self._quorum_ms = None
        self._entered_ms = now_ms
        self._calm_ms = now_ms
        self._fairness.restart(now_ms)
        self._pace.restart()

    # What the replica asks.

    def cause(self, now_ms: int) -> Cause | None:
        """Say whether it is time to leave the view, or the one that was asked for, and why."""
        if not self._in_view:
            return Cause.NO_NEW_VIEW if _is_due(self._no_new_view_ms, now_ms) else None
        if _is_due(self._stalled_ms, now_ms):
            return Cause.STALLED if self._fresh or self._first_view else Cause.NO_PROGRESS
        if _is_due(self._look_ms, now_ms):
            self._looked_ms = now_ms
            self._unfair = self._fairness.passed_over(now_ms, self.timeout_ms, self._proposed)
            self._slow = self._pace.is_slow(now_ms, self.timeout_ms)
        if self._unfair:
            return Cause.UNFAIR
        return Cause.SLOW if self._slow else None

    @property
    def deadline_ms(self) -> int | None:
        """When `cause` is to be asked next; None while nothing waits.

        Then it is true that nothing went on, or that no NEW-VIEW came, unless something does until then.
        """
        if not self._in_view:
            return self._no_new_view_ms
        due = [each for each in (self._stalled_ms, self._look_ms) if each is not None]
        return min(due) if due else None

    def standing(self, now_ms: int) -> TimerStanding | None:
        """Return when this replica gives up on a primary if nothing more comes; None while it awaits none."""
        due_ms = self._stalled_ms if self._in_view else self._no_new_view_ms
        if due_ms is None:
            return None
        what = "leave the view" if self._in_view else "ask for the next view"
        return TimerStanding(what, max(0, due_ms - now_ms))

    # What is due when.

    @property
    def _no_new_view_ms(self) -> int | None:
        return None if self._quorum_ms is None else self._quorum_ms + self.timeout_ms

    @property
    def _stalled_ms(self) -> int | None:
        began = [each for each in (self._waiting.earliest_ms, self._begun_ms) if each is not None]
        if not began:
            return None
        return max(min(began), self._entered_ms, self._progressed_ms) + self.timeout_ms

    @property
    def _look_ms(self) -> int | None:
        earliest_ms = self._waiting.earliest_ms
        if earliest_ms is None:
            return None
        return max(self._looked_ms, earliest_ms) + max(1, self.timeout_ms // EIGHTH)

    def _decay(self, settled_ms: int | None, now_ms: int) -> None:
        """Halve the timeout if it has proven too long, now that something fresh ran."""
        began = [] if settled_ms is None else [max(settled_ms, self._entered_ms)]
        if self._begun_ms is not None:
            began.append(max(self._begun_ms, self._entered_ms, self._progressed_ms))
        if began and _CALM * (now_ms - min(began)) > self.timeout_ms:
            self._calm_ms = now_ms
        elif self._level and now_ms >= self._calm_ms + self.timeout_ms:
            self._level -= 1
            self._calm_ms = now_ms


def _is_due(due_ms: int | None, now_ms: int) -> bool:
    return due_ms is not None and now_ms >= due_ms
