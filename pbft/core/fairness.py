"""Which clients a primary passes over while it serves others (Aardvark, NSDI'09; design 4.10; attack P6).

Owns: how each client's oldest request is treated, as far as a backup can know, and how long the primary let it lie.
What follows from that, the timers say. Knows no message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pbft.core.group import ClientKey, Limits
from pbft.core.requests import Waiting, WaitingRequests
from pbft.core.settings import ReplicaSettings

EIGHTH: Final = 8
"""Of a timeout: how far apart waiting requests are looked through, and how late others may do what we did."""
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
    first_count: int = 0
    """How many requests of its client had executed by then."""
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

    def executed(self, sequence: int, clients: Sequence[ClientKey], now_ms: int) -> dict[ClientKey, int]:
        """Note whom a batch served: one entry for each fresh request, since a replayed one serves nobody.

        Return how long each of them had waited since the primary surely had its request; 0 where that was not seen.
        """
        if sequence != self._executed + 1:
            # What lies between came as state: whom it served is not known.
            self.restart(now_ms)
        self._executed = sequence
        delays = {client: self._delay_ms(client, now_ms) for client in clients}
        for client in clients:
            service = self._services.get(client, _NOTHING)
            if service.sequence < sequence:
                self._twice = max(self._twice, service.sequence)
            self._services[client] = _Service(service.count + 1, sequence, now_ms)
        return delays

    def _delay_ms(self, client: ClientKey, now_ms: int) -> int:
        """How long a client that is now served again has waited, or that one request of it which runs now.

        The latter where so few of its requests ran meanwhile that the primary's room for it cannot have been full: who
        serves a client's requests one by one makes each of them wait, though the client is served all the time.
        """
        watch, service = self._watches.get(client), self._services.get(client, _NOTHING)
        if watch is None:
            return 0
        told_ms = watch.told_ms if watch.served == service.sequence else None
        if (
            watch.first_told_ms is not None
            and service.count - watch.first_count < self._share // 2
            and not self._waiting.is_waiting(client, watch.number)
        ):
            told_ms = watch.first_told_ms
        return 0 if told_ms is None else now_ms - told_ms

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
                watch.first_told_ms, watch.first_count = relayed_ms, service.count
            # Until the primary has executed what served this client, its room for this client may be full.
            has_room = service.at_ms is None or relayed_ms >= service.at_ms + timeout_ms // EIGHTH
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
