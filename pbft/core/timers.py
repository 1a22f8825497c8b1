"""When a replica gives up on a primary (OSDI'99 sections 4.4 and 4.5.2; design 4.8, 4.10).

Owns: how long it waits, for what, and since when; which clients a primary passes over; and how the wait grows and
shrinks. Knows no message and changes nothing: what it finds, the replica acts upon. A clock is not in here: whoever was
paused hears first what came meanwhile, so that its late tick judges by that (design 4.10). Time spent executing counts,
so the longest batch that the group's limits allow should run within the timeout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pbft.core.effects import Cause
from pbft.core.group import ClientKey, Limits
from pbft.core.requests import Waiting, WaitingRequests
from pbft.core.settings import ReplicaSettings

_EIGHTH: Final = 8
"""Of a timeout: how far apart waiting requests are looked through, and how late others may do what we did."""
_CALM: Final = 4
"""What is done within this part of a timeout shows that the timeout is too long."""
_PEACE: Final = 100
"""After as many times its patience, a client is given its first patience again."""


@dataclass(frozen=True, slots=True)
class _Service:
    """What a client got: how many fresh requests, the last one at which sequence and when."""

    count: int = 0
    sequence: int = 0
    at_ms: int | None = None


_NOTHING: Final = _Service()


@dataclass(slots=True)
class _Watch:
    """How the primary treats the oldest request of a client.

    `told_ms` and `mark` start over whenever the client is served, `first_told_ms` and `count` never do.
    """

    number: int
    """Which request, by its arrival."""
    served: int = 0
    """At which sequence its client was last served, when `told_ms` and `mark` started over."""
    told_ms: int | None = None
    """When this replica relayed it to the primary, which by then had room for it."""
    mark: int | None = None
    """The greatest sequence proposed before the primary surely had it: whatever is beyond was made in its presence."""
    first_told_ms: int | None = None
    count: int | None = None
    """How many requests of its client had executed when the primary surely had it for the first time."""


class Fairness:
    """Whether a primary passes a client over while it serves others (Aardvark, NSDI'09; design 4.10).

    A correct primary gives clients turns (`WaitingRequests.take`): from when it has somebody's request, nobody else
    gets two turns before that client gets one. It has the request once a backup relayed it, unless its room for this
    client is full, and then the client is served soon. So with T the timeout, a primary is unfair

    - *to a client*, which was not served since this replica relayed its oldest request, T ago: if meanwhile one and the
      same other client was served in two batches beyond those proposed within half of T after the relay. How busy the
      primary is does not matter, nor how many others there are, nor does it help to serve them by turns.
    - *to a request*, whose client is served, if more of its client's requests ran since half of T after the first relay
      than a client may have waiting at once: they go first come, first served.

    The second rule can be played false by a client that keeps its share of the primary's room full whenever a backup
    relays that request. Hence each time it speaks for a client, that client's patience doubles, until a hundred times
    as much has passed: no client can keep replicas changing views for more than a hundredth of the time.

    Both rest on relays and proposals that take less than a quarter of T each. Where they do not, T grows, since who
    leaves a view as unfair doubles it.
    """

    def __init__(self, waiting: WaitingRequests, settings: ReplicaSettings, limits: Limits, now_ms: int) -> None:
        self._waiting = waiting
        self._share = max(settings.waiting_requests_per_client, limits.sessions_per_client)
        self._since_ms = now_ms
        self._executed = 0
        self._services: dict[ClientKey, _Service] = {}
        self._twice = 0
        """The greatest sequence at which a client was served that was served again at a later one."""
        self._watches: dict[ClientKey, _Watch] = {}
        self._doubts: dict[ClientKey, tuple[int, int]] = {}
        """How often patience was doubled for a client, and until when that is remembered."""

    def restart(self, now_ms: int) -> None:
        """Judge by what happens from now on."""
        self._since_ms = now_ms
        self._watches.clear()

    def executed(self, sequence: int, clients: Sequence[ClientKey], now_ms: int) -> None:
        """Note whom a batch served: one entry for each fresh request, since a replayed one serves nobody."""
        if sequence != self._executed + 1:
            # What lies between came as state: whom it served is not known.
            self.restart(now_ms)
        self._executed = sequence
        for client in clients:
            service = self._services.get(client, _NOTHING)
            if service.sequence < sequence:
                self._twice = max(self._twice, service.sequence)
            self._services[client] = _Service(service.count + 1, sequence, now_ms)

    def passed_over(self, now_ms: int, timeout_ms: int, proposed: int) -> bool:
        """Look through the oldest requests, and say whether the primary is unfair to one.

        `proposed` is the greatest sequence that anything is known to be proposed for.
        """
        found = False
        for waiting in self._waiting.oldest():
            client = waiting.signed.request.client
            service = self._services.get(client, _NOTHING)
            watch = self._watches.get(client)
            if watch is None or watch.number != waiting.number:
                watch = self._watches[client] = _Watch(waiting.number)
            self._observe(watch, waiting, service, now_ms, timeout_ms, proposed)
            found = found or self._is_client_passed_over(watch, now_ms, timeout_ms)
            found = found or self._is_request_passed_over(watch, waiting, service, now_ms, timeout_ms)
        return found

    def _observe(
        self, watch: _Watch, waiting: Waiting, service: _Service, now_ms: int, timeout_ms: int, proposed: int
    ) -> None:
        """Note when the primary was told, and half a timeout later what was proposed by then."""
        if watch.served != service.sequence:
            watch.served, watch.told_ms, watch.mark = service.sequence, None, None
        relayed_ms = waiting.relayed_ms
        if relayed_ms is not None and relayed_ms >= max(waiting.starts_ms, self._since_ms):
            if watch.first_told_ms is None:
                watch.first_told_ms = relayed_ms
            # Until the primary has executed what served this client, its room for this client may be full.
            has_room = service.at_ms is None or relayed_ms >= service.at_ms + timeout_ms // _EIGHTH
            if watch.told_ms is None and has_room:
                watch.told_ms = relayed_ms
        if watch.mark is None and watch.told_ms is not None and now_ms >= watch.told_ms + timeout_ms // 2:
            watch.mark = max(proposed, self._executed)
        if watch.count is None and watch.first_told_ms is not None and now_ms >= watch.first_told_ms + timeout_ms // 2:
            watch.count = service.count

    def _is_client_passed_over(self, watch: _Watch, now_ms: int, timeout_ms: int) -> bool:
        """Apply the first rule. Whoever was served twice beyond the mark is another client: this one was not since."""
        if watch.mark is None or watch.told_ms is None:
            return False
        return now_ms >= watch.told_ms + timeout_ms and self._twice > watch.mark

    def _is_request_passed_over(
        self, watch: _Watch, waiting: Waiting, service: _Service, now_ms: int, timeout_ms: int
    ) -> bool:
        """Apply the second rule, and if it speaks, ask twice the patience of this client next time."""
        if watch.count is None or service.count - watch.count <= self._share:
            return False
        client = waiting.signed.request.client
        level, until_ms = self._doubts.get(client, (0, now_ms))
        patience_ms = timeout_ms << (level if now_ms < until_ms else 0)
        if now_ms < max(waiting.starts_ms, self._since_ms) + patience_ms:
            return False
        self._doubts[client] = (level + 1 if now_ms < until_ms else 1, now_ms + _PEACE * 2 * patience_ms)
        return True


class Timers:
    """How long this replica waits for a primary, and whether it has waited long enough.

    In a view it waits while a request waits whose patience has begun, or a proposal is under way. It leaves the view

    - STALLED, or NO_PROGRESS in a view that executed nothing fresh since it was entered, when nothing fresh ran here
      for a timeout, counted from when the earliest of these began to wait, from the entry, or from the last progress,
      whichever was last. Null and replayed requests are no progress for a request that waits.
    - UNFAIR, when others are served but somebody is passed over (`Fairness`).

    Out of a view it waits for the NEW-VIEW, from when a quorum asks for the view: who is alone with its wish waits, and
    never runs on through views by itself (OSDI'99 section 4.5.2). It goes on to the next one with NO_NEW_VIEW.

    The timeout doubles when a view is left that came to nothing: never entered, without anything fresh, or unfair.
    There is no greatest timeout, since one could lie below what messages really take. It is halved again, down to the
    setting, when something fresh runs and for as long as a timeout nothing took longer than a quarter of it: neither a
    request from its arrival here to its execution, nor a proposal under way from one execution to the next.

    It is for a backup to ask: a primary is not impatient with itself. It keeps nothing but a few numbers for each
    registered client, and looks through the waiting requests an eighth of a timeout apart at most.
    """

    def __init__(self, waiting: WaitingRequests, settings: ReplicaSettings, limits: Limits, now_ms: int = 0) -> None:
        self._waiting = waiting
        self._settings = settings
        self._fairness = Fairness(waiting, settings, limits, now_ms)
        self._level = 0
        self._in_view = True
        self._first_view = True
        self._fresh = False
        """Whether this view executed anything fresh since it was entered."""
        self._unfair = False
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

    def executed(self, sequence: int, clients: Sequence[ClientKey], now_ms: int) -> None:
        """Note that a batch ran, after what it settled was settled: `clients` has one entry for each fresh request."""
        settled_ms = self._waiting.take_settled_ms()
        self._fairness.executed(sequence, clients, now_ms)
        if not self._in_view:
            return
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

    def left(self) -> None:
        """Leave a view, or give up one that was asked for: this replica asks for a higher one."""
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
        self._unfair = False
        self._quorum_ms = None
        self._entered_ms = now_ms
        self._calm_ms = now_ms
        self._fairness.restart(now_ms)

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
        return Cause.UNFAIR if self._unfair else None

    @property
    def deadline_ms(self) -> int | None:
        """When `cause` is to be asked next; None while nothing waits.

        Then it is true that nothing went on, or that no NEW-VIEW came, unless something does until then.
        """
        if not self._in_view:
            return self._no_new_view_ms
        due = [each for each in (self._stalled_ms, self._look_ms) if each is not None]
        return min(due) if due else None

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
        return max(self._looked_ms, earliest_ms) + max(1, self.timeout_ms // _EIGHTH)

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
