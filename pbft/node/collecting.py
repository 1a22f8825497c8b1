"""What a replica's metrics are called, and where each comes from.

Owns: every name, unit, label and sentence of help that Prometheus sees, after its conventions: `pbft_` first, base
units, `_total` for what only grows. Reads a driver and changes nothing of it. Labels take their values from what is
fixed with the code or the group, so that the number of time series is the same whatever liars and clients do.

Needs the package prometheus-client: whoever imports this has made sure of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.registry import Collector

from pbft.core.effects import Cause, Reason
from pbft.core.group import Group
from pbft.net.drops import Drop
from pbft.net.mailbox import Mailbox
from pbft.net.metrics import rss_bytes
from pbft.net.waiting import system_now
from pbft.node.driver import Driver
from pbft.node.phases import Histogram, Phases
from pbft.node.tallies import Tallies

_REASONS: Final = tuple(each.value for each in (*Drop, *Reason))


class ReplicaCollector(Collector):
    """Tells everything that is counted about one replica, at the moment it is asked.

    Only from the thread of the driver's loop: what it reads changes there without locks.
    """

    def __init__(self, group: Group, driver: Driver, phases: Phases, tallies: Tallies) -> None:
        self._group = group
        self._driver = driver
        self._phases = phases
        self._tallies = tallies

    def collect(self) -> Iterator[Metric]:
        """Yield every metric with its samples."""
        yield from self._who()
        yield from self._place()
        yield from self._work()
        yield from self._trouble()
        yield from self._times()
        yield from self._traffic()
        yield from self._sockets()
        yield from self._process()

    def _who(self) -> Iterator[Metric]:
        group = self._group
        yield InfoMetricFamily(
            "pbft_replica",
            "Which replica of which group this is",
            {
                "replica": str(self._driver.replica.me),
                "group": group.id.hex(),
                "application": group.genesis.application,
            },
        )
        yield GaugeMetricFamily("pbft_group_replicas", "Replicas of the group (n)", group.n)
        yield GaugeMetricFamily(
            "pbft_group_faults", "How many of them may be faulty before nothing is promised (f)", group.quorums.faults
        )

    def _place(self) -> Iterator[Metric]:
        status = self._driver.replica.status()
        for name, words, value in (
            ("view", "The view entered last", status.view),
            ("target_view", "The view asked for; the one entered last unless that was left", status.target),
            ("primary", "1 on the primary of its view, 0 on backups", int(status.role == "primary")),
            ("executed_sequence", "The sequence executed last", status.executed),
            (
                "stable_checkpoint_sequence",
                "The greatest sequence whose state a quorum vouches for",
                status.stable_checkpoint,
            ),
            ("low_watermark_sequence", "Sequences up to here are done with (h)", status.low_watermark),
            ("high_watermark_sequence", "Sequences beyond are not voted on yet (H = h + L)", status.high_watermark),
            ("behind_sequences", "How much further f+1 others claim to have executed", status.behind),
            ("in_flight_sequences", "Sequences heard of and not yet executed", status.in_flight),
            ("waiting_requests", "Requests heard of and not yet executed", status.waiting),
            (
                "state_transfer_active",
                "1 while the state is being fetched from others",
                int(status.transferring is not None),
            ),
            ("view_timeout_seconds", "How long the next wait for the primary may take", status.timeout_ms / 1000),
            ("agreed_timestamp_seconds", "The time that operations see, since the epoch", status.agreed_time_ms / 1000),
        ):
            yield GaugeMetricFamily(f"pbft_{name}", words, value)

    def _work(self) -> Iterator[Metric]:
        tallies = self._tallies
        yield CounterMetricFamily("pbft_batches", "Batches executed", tallies.batches)
        yield CounterMetricFamily("pbft_requests", "Requests executed that did something", tallies.requests)
        yield _labelled(
            CounterMetricFamily("pbft_operations", "Operations executed, by how they ended", labels=["outcome"]),
            ((outcome.name.lower(), count) for outcome, count in tallies.operations.items()),
        )
        yield CounterMetricFamily("pbft_checkpoints", "Checkpoints that became stable", tallies.checkpoints)

    def _trouble(self) -> Iterator[Metric]:
        tallies = self._tallies
        yield _labelled(
            CounterMetricFamily("pbft_view_changes", "How often this replica left its view, by why", labels=["cause"]),
            ((cause.name.lower(), tallies.view_changes[cause]) for cause in Cause),
        )
        yield CounterMetricFamily("pbft_views_entered", "New views accepted or made", tallies.views_entered)
        yield _labelled(
            CounterMetricFamily(
                "pbft_evidence", "Pairs of signed messages that exclude each other, by who signed", labels=["culprit"]
            ),
            ((str(culprit), tallies.evidence[culprit]) for culprit in range(self._group.n)),
        )
        yield CounterMetricFamily("pbft_state_transfers", "States taken over from others", tallies.state_transfers)
        yield CounterMetricFamily("pbft_state_bytes", "Bytes of state fetched for these", tallies.state_bytes)
        yield CounterMetricFamily(
            "pbft_state_divergences",
            "How often the own state was not the one a quorum vouches for",
            tallies.divergences,
        )

    def _times(self) -> Iterator[Metric]:
        phases = self._phases
        family = HistogramMetricFamily(
            "pbft_phase_duration_seconds",
            "Of one sequence: prepare, from the pre-prepare to the prepared certificate; commit, from there to a "
            "quorum of commits; execution, from there to its end",
            labels=["phase"],
        )
        for name, histogram in (
            ("prepare", phases.prepare),
            ("commit", phases.commit),
            ("execution", phases.execution),
        ):
            family.add_metric([name], histogram.cumulative(), histogram.sum_us / 1e6)
        yield family
        yield _histogram(
            "pbft_request_duration_seconds",
            "From a request's arrival from its client to the end of its execution",
            phases.request,
        )

    def _traffic(self) -> Iterator[Metric]:
        metrics = self._driver.metrics
        yield _labelled(
            CounterMetricFamily(
                "pbft_ignored", "Datagrams and messages that were not acted upon, by reason", labels=["reason"]
            ),
            ((reason, metrics.ignored[reason]) for reason in _REASONS),
        )
        yield CounterMetricFamily("pbft_messages_received", "Whole messages received", metrics.messages_in)
        yield CounterMetricFamily("pbft_messages_sent", "Messages sent", metrics.messages_out)
        yield CounterMetricFamily(
            "pbft_unaddressed_messages", "Messages with nowhere to go: no proven or known address", metrics.unaddressed
        )

    def _sockets(self) -> Iterator[Metric]:
        boxes = dict(zip(("replicas", "clients"), self._driver.mailboxes, strict=True))
        for name, words, values in (
            ("queued_messages", "Messages that wait to be served", [len(each) for each in boxes.values()]),
            (
                "queued_datagrams",
                "Datagrams that wait to be looked at",
                [each.socket.queued for each in boxes.values()],
            ),
            (
                "receive_buffer_bytes",
                "What the kernel granted",
                [each.socket.granted_receive_bytes for each in boxes.values()],
            ),
        ):
            yield _labelled(
                GaugeMetricFamily(f"pbft_{name}", f"{words}, by socket", labels=["socket"]),
                zip(boxes, values, strict=True),
            )
        for name, words, counts in (
            ("datagrams_received", "Datagrams received", [each.socket.arrived for each in boxes.values()]),
            ("datagrams_sent", "Datagrams sent", [each.socket.sent for each in boxes.values()]),
            ("received_bytes", "Bytes received in datagrams", [each.socket.arrived_bytes for each in boxes.values()]),
            ("sent_bytes", "Bytes sent in datagrams", [each.socket.sent_bytes for each in boxes.values()]),
            ("send_errors", "Datagrams that could not be sent", [each.socket.send_errors for each in boxes.values()]),
            ("outgoing_drops", "Datagrams given up: too much waited", [each.outgoing_drops for each in boxes.values()]),
        ):
            yield _labelled(
                CounterMetricFamily(f"pbft_{name}", f"{words}, by socket", labels=["socket"]),
                zip(boxes, counts, strict=True),
            )
        yield _labelled(
            CounterMetricFamily(
                "pbft_kernel_drops",
                "Datagrams that the kernel dropped, by socket; none where it does not tell",
                labels=["socket"],
            ),
            _known_drops(boxes),
        )

    def _process(self) -> Iterator[Metric]:
        driver = self._driver
        yield CounterMetricFamily("pbft_turns", "Turns of the replica's loop", driver.metrics.turns)
        yield GaugeMetricFamily("pbft_durable", "1 when votes survive the process", int(driver.durable))
        yield GaugeMetricFamily("pbft_resident_memory_bytes", "Memory that the process holds", rss_bytes())
        yield GaugeMetricFamily(
            "pbft_uptime_seconds",
            "Since the process began",
            (system_now().monotonic_ms - driver.metrics.started_ms) / 1000,
        )


def _known_drops(boxes: dict[str, Mailbox]) -> Iterator[tuple[str, int]]:
    for name, mailbox in boxes.items():
        drops = mailbox.socket.kernel_drops()
        if drops is not None:
            yield name, drops


def _labelled(
    family: CounterMetricFamily | GaugeMetricFamily, samples: Iterable[tuple[str, int]]
) -> CounterMetricFamily | GaugeMetricFamily:
    for label, value in samples:
        family.add_metric([label], value)
    return family


def _histogram(name: str, words: str, histogram: Histogram) -> HistogramMetricFamily:
    return HistogramMetricFamily(name, words, histogram.cumulative(), histogram.sum_us / 1e6)
