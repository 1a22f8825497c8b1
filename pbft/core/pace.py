"""Whether a primary is slow: alive and fair, and yet it lets requests lie (design 4.14; attack P7).

Owns: how long each client's requests lay with this primary and with those before it, how long the group takes to agree,
and how often a primary may be called slow. Knows no message, and nothing of who waits for what.

Aardvark (NSDI'09, section 4.3) and RBFT (ICDCS'13) expect of a primary a share of what others reached, in requests a
second, which follows the clients' load as much as the primary: one that serves a single client after a thousand looks
slow. The time for which a request lies with the primary does not: a correct one proposes all it has as soon as it may.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pbft.core.group import ClientKey, Quorums
from pbft.core.settings import ReplicaSettings

_LEAST: Final = 4
"""Requests of one client that a primary has served before that says anything. Each counts for a quarter of the mean."""
_SHARE: Final = 4
"""A primary that lets requests lie for less than this part of the timeout is never slow."""
_AGREEING: Final = 8
"""Nor is one that takes less than so many times as long as the group itself takes to agree: the load is to blame..."""
_EXCUSED: Final = 2
"""...but for no more than this part of the timeout: by telling some late a primary can lengthen what others time."""
_BETTER: Final = 2
"""Nor one less than so many times as slow as the quickest of those before it: the network is to blame."""
_EVERYBODY: Final = b""
"""All clients together: many that ask little each say as much as one that asks a lot."""
_REST: Final = 8
"""Timeouts, of the setting, that pass between the first call and the next; twice as many before the one after it."""
_PEACE: Final = 100
"""After as many times that rest for each replica, all is as if nobody had been called slow."""


@dataclass(slots=True)
class _Service:
    """How one client was served in this view."""

    count: int = 0
    delay_ms: int = 0
    """The mean over its requests, of which the last four count most."""


class Pace:
    """How quickly primaries serve.

    A primary is slow when it lets the requests of one and the same client lie for longer than it may, on the average:
    longer than a quarter of the timeout, than eight times what the group takes to agree on a batch (of which no more
    than half of the timeout counts), and than twice what the quickest of the last n primaries did, once f+1 are known,
    of which one was correct. Or those of all clients, taken together.

    What a liar can do with it is little. How long requests lie is measured from when the primary surely had one and
    room for it, and a client's own patience starts over whenever it is served (`Fairness`), so that no client by itself
    makes a correct primary look slow. Agreement is timed up to the commit, which no other batch can hold up. Where all
    this errs, since links are bad or the load is heavy in ways that nobody can tell from a bad primary, f+1 primaries
    are tried, and then what all of them need is what is expected. And calls become rare: the rest between two of one
    replica doubles, and is forgotten only after n hundred times as long, so that in the long run the n replicas of a
    group together spend a small part of a hundredth of their time on it.
    """

    def __init__(self, settings: ReplicaSettings, quorums: Quorums, now_ms: int) -> None:
        self._on = settings.replace_slow_primary
        self._rest_ms = _REST * settings.view_timeout_ms
        self._quorums = quorums
        self._served: dict[ClientKey, _Service] = {}
        self._before: deque[int] = deque(maxlen=quorums.n)
        """How long requests lay with each primary before this one that served anybody."""
        self._agreed_ms = 0
        """How long a batch takes from its proposal to its commit, in the mean."""
        self._calls = 0
        self._rests_until_ms = now_ms
        self._remembered_until_ms = now_ms

    def agreed(self, took_ms: int) -> None:
        """Note how long a batch took from when its proposal was accepted here until it committed."""
        self._agreed_ms = _mean(self._agreed_ms, took_ms)

    def served(self, delays: Mapping[ClientKey, int]) -> None:
        """Note for how long the primary let the requests lie that a batch served, one of each client."""
        for client, delay_ms in delays.items():
            for whose in (client, _EVERYBODY):
                service = self._served.setdefault(whose, _Service())
                service.count += 1
                service.delay_ms = _mean(service.delay_ms, delay_ms)

    def restart(self) -> None:
        """Judge another primary from now on, and keep in mind how this one was."""
        if any(each.count >= _LEAST for each in self._served.values()):
            self._before.append(self._slowest_ms)
        self._served.clear()

    def is_slow(self, now_ms: int, timeout_ms: int) -> bool:
        """Say whether the primary is slow, and may be called so."""
        return self._on and now_ms >= self._rests_until_ms and self._slowest_ms > self.expected_ms(timeout_ms)

    def expected_ms(self, timeout_ms: int) -> int:
        """Return for how long a primary may let requests lie, in the mean."""
        others_ms = min(self._before) if len(self._before) >= self._quorums.weak else 0
        agreeing_ms = min(_AGREEING * self._agreed_ms, timeout_ms // _EXCUSED)
        return max(timeout_ms // _SHARE, agreeing_ms, _BETTER * others_ms)

    def called(self, now_ms: int) -> None:
        """Rest after this replica called a primary slow: each time for twice as long."""
        self._calls = self._calls + 1 if now_ms < self._remembered_until_ms else 1
        rest_ms = self._rest_ms << (self._calls - 1)
        self._rests_until_ms = now_ms + rest_ms
        self._remembered_until_ms = now_ms + _PEACE * self._quorums.n * rest_ms

    def joined(self, now_ms: int) -> None:
        """Rest as well after others replaced a primary: they may have called it slow, and count for all."""
        self._rests_until_ms = max(self._rests_until_ms, now_ms + self._rest_ms)

    @property
    def _slowest_ms(self) -> int:
        return max((each.delay_ms for each in self._served.values() if each.count >= _LEAST), default=0)


def _mean(mean: int, value: int) -> int:
    """Return a running mean of which the new value is a quarter."""
    return (3 * mean + value) // 4
