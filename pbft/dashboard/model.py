"""The dashboard's model: a pure fold of what replicas, keeper and our own calls tell.

Owns: what is known of a group, and the frozen views of it. Has no clock, no terminal and no event loop: whoever feeds
it hands the time in, in microseconds of this machine's monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pbft.console.text import fit
from pbft.dashboard.checks import mapping, member, text
from pbft.dashboard.chronicle import Chronicle
from pbft.dashboard.flows import Flows
from pbft.dashboard.laboratory import Laboratory, beyond
from pbft.dashboard.meter import Load, Meter
from pbft.dashboard.replicas import Replicas, Told
from pbft.dashboard.views import FlowView, Header, LogLine, Row, Series

_GROUP_DIGITS: Final = 8


class Model:
    """Folds events into views. Never raises for anything that an event holds, and its memory is bounded."""

    def __init__(self, n: int, faults: int, group: str = "", application: str = "", *, starting: bool = False) -> None:
        """Take what group.toml says of the group; `group` is the group's id in hexadecimal digits.

        `starting` says that this program starts it: until `begun` a replica that was never heard is no surprise.
        """
        self.n = n
        self.faults = faults
        self._group = fit(group, 64)
        self._application = fit(application, 40)
        self._now_us = 0
        self._replicas = Replicas(n, faults, starting)
        self._flows = Flows(n, faults)
        self._meter = Meter()
        self._chronicle = Chronicle(n, faults)
        self._laboratory: Laboratory | None = None
        self._view: int | None = None
        self._stable: int | None = None
        self._silent: set[int] = set()
        """Replicas whose silence the log has told of."""
        self._handlers: Mapping[str, Callable[[Told, Mapping[str, Any]], None]] = {
            "hello": self._on_hello,
            "counters": self._on_counters,
            "flow": self._on_flow,
            "incident": self._on_incident,
            "gone": self._on_gone,
            "dropped": self._on_dropped,
        }

    def apply(self, event: Mapping[str, Any], now_us: int) -> None:
        """Take one event of a replica's stream or of the keeper's, as `pbft.lab.listening` yields it."""
        self._now_us = max(self._now_us, now_us)
        kind = event.get("event")
        if not isinstance(kind, str):
            return
        if kind == "lab":
            self._on_lab(event)
        elif kind == "fault":
            self._chronicle.fault(event, self._now_us)
        elif kind == "gone" and event.get("replica") is None:
            self._on_keeper_gone()
        else:
            replica, handler = member(event.get("replica"), self.n), self._handlers.get(kind)
            if replica is not None and handler is not None:
                handler(self._replicas.each[replica], event)

    def tick(self, now_us: int) -> None:
        """Let time pass where no event came: about four times a second."""
        self._now_us = max(self._now_us, now_us)
        self._replicas.remember(self._now_us)
        for told in self._replicas.each:
            if told.connected and not told.is_heard(self._now_us) and told.id not in self._silent:
                self._silent.add(told.id)
                self._chronicle.write(self._now_us, f"replica {told.id}", "yellow", "has fallen silent")
        if self._meter.due(self._now_us):
            throughput, messages = self._replicas.throughput(self._now_us), self._replicas.messages(self._now_us)
            self._meter.add_point(throughput, messages, self._now_us)

    def note_call(self, ms: float, now_us: int | None = None) -> None:
        """Count the latency of one of our own calls."""
        self._meter.calls.add(ms, self._now_us if now_us is None else now_us)

    def note_load(self, load: Load | None) -> None:
        """Take what a load of ours measures now, None while there is none."""
        self._meter.load = load

    def begun(self, well: bool, now_us: int) -> None:
        """Note that this program has started the group, or failed to."""
        self._replicas.begun(well, now_us)

    def note(self, text: str, style: str = "", source: str = "you") -> None:
        """Add a line of the user's own to the event log: a command, or what it came to."""
        self._chronicle.note(self._now_us, source, style, text)

    def header(self) -> Header:
        """Return the group in one line."""
        now_us, replicas = self._now_us, self._replicas
        faulty = replicas.faulty(self._laboratory, now_us)
        p50_ms, p99_ms, latency_of = self._meter.latency(now_us)
        used = len(faulty)
        return Header(
            group=(self._group or replicas.agreed("group"))[:_GROUP_DIGITS],
            application=self._application or replicas.agreed("application"),
            n=self.n,
            faults=self.faults,
            speaking=sum(each.is_heard(now_us) for each in replicas.each),
            starting=all(replicas.is_starting(each, now_us) for each in replicas.each),
            view=replicas.fact("view"),
            primary=replicas.primary,
            executed=replicas.fact("executed"),
            stable=replicas.fact("stable"),
            throughput=replicas.throughput(now_us),
            messages=replicas.messages(now_us),
            p50_ms=p50_ms,
            p99_ms=p99_ms,
            latency_of=latency_of,
            used=used,
            budget_style="green" if not used else "yellow" if used <= self.faults else "bold red",
            beyond=beyond(self.n, self.faults, faulty, replicas.answers_hold(self._laboratory)),
            faulty=tuple(faulty.items()),
            network=self._laboratory.network if self._laboratory else "",
        )

    def rows(self) -> tuple[Row, ...]:
        """Return the replicas, one row each, by id."""
        return self._replicas.rows(self._laboratory, self._now_us)

    def flow(self) -> FlowView | None:
        """Return the latest sequence of which something is known; None before the first."""
        return self._flows.latest(self._replicas.primary, self._replicas.fact("high_watermark"), self._now_us)

    def series(self) -> Series:
        """Return the last minute, a point a second."""
        return self._meter.series()

    @property
    def logged(self) -> int:
        """How many lines the log ever got, whether they are still kept or not."""
        return self._chronicle.logged

    def lines(self, since: int = 0) -> Sequence[LogLine]:
        """Return the kept lines after the first `since` that there ever were: `lines(seen)`, then `seen = logged`."""
        return self._chronicle.lines(since)

    def _on_hello(self, told: Told, event: Mapping[str, Any]) -> None:
        self._welcome(told)
        if told.greet(event, self._now_us):
            self._begin_anew(told)

    def _on_counters(self, told: Told, event: Mapping[str, Any]) -> None:
        self._welcome(told)
        fetching = told.transferring
        # A group that is asked from afar says no hello: a new process shows by its counters.
        if told.report(mapping(event.get("report")), self._now_us):
            self._begin_anew(told)
        if told.transferring is not None and fetching is None:
            self._chronicle.fetching(told.id, told.transferring, self._now_us)
        for replica in self._replicas.compare(told.id):
            sequence = self._replicas.each[replica].differs
            if sequence is not None:
                self._chronicle.differs(replica, sequence, self._now_us)
        self._tell_of_group()

    def _welcome(self, told: Told) -> None:
        """Tell that a replica is heard again; the first time is no event."""
        if told.met and not told.connected:
            self._chronicle.write(self._now_us, f"replica {told.id}", "green", "is back")
        elif told.id in self._silent:
            self._chronicle.write(self._now_us, f"replica {told.id}", "green", "speaks again")
        self._silent.discard(told.id)

    def _begin_anew(self, told: Told) -> None:
        """Drop what the process before this one said: it may begin at the first sequence, in view 0."""
        self._flows.forget(told.id)
        self._chronicle.forget(told.id)

    def _tell_of_group(self) -> None:
        """Write a line about each fact that f+1 replicas tell anew; what was so when we came is no event."""
        view, stable = self._replicas.fact("view"), self._replicas.fact("stable")
        if view is not None:
            if self._view is not None and view > self._view:
                self._chronicle.view_began(view, self._now_us)
            self._view = view
        if stable is not None:
            if self._stable is not None and stable > self._stable:
                self._chronicle.checkpoint(stable, self._now_us)
            self._stable = stable

    def _on_flow(self, told: Told, event: Mapping[str, Any]) -> None:
        took_ms = self._flows.apply(told.id, event, self._now_us)
        if took_ms is not None and told.id == self._replicas.primary:
            self._meter.flows.add(took_ms, self._now_us)

    def _on_incident(self, told: Told, event: Mapping[str, Any]) -> None:
        self._chronicle.incident(told.id, event, self._now_us)

    def _on_gone(self, told: Told, event: Mapping[str, Any]) -> None:
        if told.connected:
            told.leave()
            self._silent.discard(told.id)
            self._chronicle.write(self._now_us, f"replica {told.id}", "yellow", "is gone: its stream has ended")

    def _on_dropped(self, told: Told, event: Mapping[str, Any]) -> None:
        why = text(event.get("why"), 80)
        words = "ended its stream to this dashboard" + (f": {why}" if why else "")
        self._chronicle.write(self._now_us, f"replica {told.id}", "yellow", words)

    def _on_lab(self, event: Mapping[str, Any]) -> None:
        before, now = self._laboratory, Laboratory.read(event.get("state"), self.n)
        if now is None:
            return
        self._laboratory = now
        for replica in now.processes:
            # What a fault does is told as that fault; what a process does by itself nobody else tells.
            if before and now.away(replica) == "ended" and before.away(replica) != "ended":
                words = now.last_words(replica)
                self._chronicle.note(
                    self._now_us, f"replica {replica}", "red", f"ended by itself{': ' if words else ''}{words}"
                )

    def _on_keeper_gone(self) -> None:
        """Forget what the keeper said: nobody knows of faults any more."""
        if self._laboratory is not None:
            self._laboratory = None
            words = "the keeper of this group has ended, and its replicas with it"
            self._chronicle.note(self._now_us, "lab", "red", words)
