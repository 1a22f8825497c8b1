"""How long the phases of agreement take on one replica, counted into histograms.

Owns: when this replica saw each phase of the sequences in flight, when it heard a client's request, and the buckets
that the differences fall into. Knows nothing of who reads them. A driver's watcher and tap feed it, so a request's time
is the moment at which it is handed to the replica, and every other the moment at which the driver performs an effect:
after the votes of that turn were made durable, when what follows from the phase may leave.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pbft.core.effects import CommittedLocal, Effect, Executed, Persist, Prepared, Proposed, StateInstalled
from pbft.core.envelope import Envelope, Kind, Sender
from pbft.core.group import ClientKey
from pbft.core.messages import Prepare, Request, unpack
from pbft.core.settings import Now
from pbft.encoding import EncodingError
from pbft.net.waiting import fine_clock_us

BOUNDS_US: Final = (
    *(100, 250, 500),
    *(1_000, 2_500, 5_000),
    *(10_000, 25_000, 50_000),
    *(100_000, 250_000, 500_000),
    *(1_000_000, 2_500_000, 5_000_000),
    *(10_000_000, 30_000_000),
)
"""The upper bounds of a histogram's buckets in microseconds, from loopback to outages; one bucket more has none."""

_SLOTS: Final = 4_096
_REQUESTS: Final = 8_192
"""What is remembered at once. More than a window and the sessions of a busy group; what is beyond is not timed."""


class Histogram:
    """Counts of durations by size, and their sum. They only grow."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_US) + 1)
        """How many fell into each bucket: at most its bound and more than the one before; the last has no bound."""
        self.sum_us = 0

    @property
    def count(self) -> int:
        """How many durations were counted."""
        return sum(self.counts)

    def observe(self, duration_us: int) -> None:
        """Count a duration."""
        self.counts[bisect_left(BOUNDS_US, duration_us)] += 1
        self.sum_us += duration_us

    def cumulative(self) -> list[tuple[str, int]]:
        """Return each bound in seconds with how many were at most that long, as Prometheus wants them."""
        rows, total = [], 0
        for bound, count in zip((*(f"{each / 1e6:g}" for each in BOUNDS_US), "+Inf"), self.counts, strict=True):
            total += count
            rows.append((bound, total))
        return rows


@dataclass(slots=True)
class _Slot:
    """When a sequence reached which phase here, in one view."""

    view: int
    pre_prepare_us: int | None = None
    prepared_us: int | None = None
    committed_us: int | None = None


class Phases:
    """Times what one replica does with sequences and requests.

    A phase counts where both its ends were seen here in one view. Hence a batch that came by repair, or was carried
    over by a view change, counts for the phases that it went through on this replica, and what a state transfer brought
    for none.
    """

    def __init__(self, clock_us: Callable[[], int] = fine_clock_us) -> None:
        self.prepare = Histogram()
        """From the pre-prepare, proposed or accepted, to the prepared certificate."""
        self.commit = Histogram()
        """From the prepared certificate to a quorum of commits."""
        self.execution = Histogram()
        """From a quorum of commits to the end of the execution."""
        self.request = Histogram()
        """From a request's arrival from its client to the end of its execution. The replicas that a client did not ask
        itself hear of its request by the pre-prepare, and do not count it."""
        self._clock_us = clock_us
        self._slots: OrderedDict[int, _Slot] = OrderedDict()
        self._requests: OrderedDict[tuple[ClientKey, bytes], tuple[int, int]] = OrderedDict()

    def tap(self, envelope: Envelope, sender: Sender, _: Now) -> None:
        """Take a message that is handed to the replica: note when a client's request came first. Never raises."""
        if envelope.kind is not Kind.REQUEST or envelope.sender != sender or not isinstance(sender, bytes):
            return
        try:
            request = unpack(Request, envelope.body)
        except EncodingError:
            return
        key = (sender, request.session)
        known = self._requests.get(key)
        if known is not None and known[0] == request.timestamp:
            return
        self._requests[key] = (request.timestamp, self._clock_us())
        self._requests.move_to_end(key)
        if len(self._requests) > _REQUESTS:
            self._requests.popitem(last=False)

    def watch(self, effect: Effect, _: Now) -> None:
        """Take an effect that is about to be performed. Never raises."""
        match effect:
            case Proposed(view, sequence):
                self._begin(view, sequence)
            case Persist(vote) if vote.kind is Kind.PREPARE:
                # A backup votes for a pre-prepare in the moment that it accepts it. A liar's vote may be no vote.
                with contextlib.suppress(EncodingError):
                    prepare = unpack(Prepare, vote.body)
                    self._begin(prepare.view, prepare.sequence)
            case Prepared(view, sequence):
                slot = self._slot(view, sequence)
                slot.prepared_us = self._count(self.prepare, slot.pre_prepare_us)
            case CommittedLocal(view, sequence):
                slot = self._slot(view, sequence)
                slot.committed_us = self._count(self.commit, slot.prepared_us)
            case Executed():
                self._on_executed(effect)
            case StateInstalled(sequence):
                for passed in [each for each in self._slots if each <= sequence]:
                    del self._slots[passed]
            case _:
                pass

    def _on_executed(self, executed: Executed) -> None:
        slot = self._slots.pop(executed.sequence, None)
        if slot is not None:
            self._count(self.execution, slot.committed_us)
        for request in executed.requests:
            heard = self._requests.get((request.client, request.session))
            if heard is None or heard[0] > request.timestamp:
                continue
            del self._requests[request.client, request.session]
            # What changed nothing was no service, and an older request's time says nothing of this one.
            if request.outcomes and heard[0] == request.timestamp:
                self._count(self.request, heard[1])

    def _begin(self, view: int, sequence: int) -> None:
        slot = self._slot(view, sequence)
        if slot.pre_prepare_us is None:
            slot.pre_prepare_us = self._clock_us()

    def _slot(self, view: int, sequence: int) -> _Slot:
        """Return what is known of a sequence in a view; another view's times end with it."""
        slot = self._slots.get(sequence)
        if slot is None or slot.view != view:
            slot = self._slots[sequence] = _Slot(view)
            if len(self._slots) > _SLOTS:
                self._slots.popitem(last=False)
        return slot

    def _count(self, histogram: Histogram, since_us: int | None) -> int:
        """Count what passed since the phase's begin, where that is known; return the time now."""
        now_us = self._clock_us()
        if since_us is not None:
            histogram.observe(now_us - since_us)
        return now_us
