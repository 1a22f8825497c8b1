"""What each replica last said of itself, and what f+1 of them say together.

Owns: the latest counters of every replica, whether it is heard, its rates, and its health in words. A number is a
replica's own word; only what f+1 tell is a fact about the group.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pbft.dashboard.checks import digits, supported, text, whole
from pbft.dashboard.laboratory import Laboratory
from pbft.dashboard.views import Row

QUIET_US: Final = 2_000_000
"""A replica tells of itself four times a second: after so long without a word it gives no answer."""

_RATE_US: Final = 2_000_000
_KEPT_SAMPLES: Final = 32
_KEPT_DIGESTS: Final = 16
_LAG_US: Final = 2_000_000
_LIE_CELLS: Final = 32
_BEHIND: Final = "behind by "


@dataclass(slots=True)
class Told:
    """One replica's word, and when it was heard."""

    id: int
    connected: bool = False
    heard_us: int | None = None
    """When it last spoke of itself; None before it ever did, or once its stream has ended."""
    met: bool = False
    pid: int | None = None
    lies: str = ""
    group: str = ""
    application: str = ""
    view: int | None = None
    target: int | None = None
    executed: int | None = None
    stable: int | None = None
    high_watermark: int | None = None
    transferring: int | None = None
    behind: int = 0
    memory_bytes: int | None = None
    digest: str = ""
    states: OrderedDict[int, str] = field(default_factory=OrderedDict)
    """Digests of its state, by the sequence that they follow."""
    differs: int | None = None
    """The latest sequence after which f+1 others report another state."""
    samples: deque[tuple[int, int, int]] = field(default_factory=lambda: deque(maxlen=_KEPT_SAMPLES))
    """(time, operations, messages) of late."""

    def greet(self, event: Mapping[str, Any], now_us: int) -> bool:
        """Take a hello; say whether another process speaks than before, which may have forgotten all."""
        fresh = self._identify(whole(event.get("pid")))
        self.lies = text(event.get("lies"), _LIE_CELLS)
        self.group = digits(event.get("group"), 64)
        self.application = text(event.get("application"), 40)
        self._hear(now_us)
        return fresh

    def report(self, report: Mapping[str, Any], now_us: int) -> bool:
        """Take counters; say whether another process speaks than before."""
        fresh = self._identify(whole(report.get("pid")))
        self._hear(now_us)
        self.view, self.target = whole(report.get("view")), whole(report.get("target"))
        self.executed, self.stable = whole(report.get("executed")), whole(report.get("stable_checkpoint"))
        self.high_watermark = whole(report.get("high_watermark"))
        self.transferring = whole(report.get("transferring"))
        self.memory_bytes = whole(report.get("rss_bytes"))
        health = report.get("health")
        self.behind = _read_behind(health) if isinstance(health, str) else 0
        self._sample(report, now_us)
        sequence, digest = whole(report.get("digest_sequence")), digits(report.get("state_digest"), 64)
        self.digest = digest
        if sequence is not None and digest:
            self.states[sequence] = digest
            self.states.move_to_end(sequence)
            if len(self.states) > _KEPT_DIGESTS:
                self.states.popitem(last=False)
        return fresh

    def leave(self) -> None:
        """Note that its stream has ended: what it said last stands, its rate does not."""
        self.connected = False
        self.heard_us = None
        self.samples.clear()

    def is_heard(self, now_us: int) -> bool:
        """Say whether it has spoken of itself of late."""
        return self.heard_us is not None and now_us - self.heard_us <= QUIET_US

    def rate(self, column: int, now_us: int) -> float | None:
        """Return operations (1) or messages (2) a second; None where it has not told enough, or not of late."""
        if len(self.samples) < 2 or now_us - self.samples[-1][0] > QUIET_US:
            return None
        first, last = self.samples[0], self.samples[-1]
        return (last[column] - first[column]) * 1e6 / (last[0] - first[0]) if last[0] > first[0] else None

    def _hear(self, now_us: int) -> None:
        self.connected = self.met = True
        self.heard_us = now_us

    def _identify(self, pid: int | None) -> bool:
        fresh = pid is not None and pid != self.pid
        if fresh:
            self.pid = pid
            self._forget()
        return fresh

    def _forget(self) -> None:
        self.view = self.target = self.executed = self.stable = self.high_watermark = self.transferring = None
        self.behind, self.digest, self.differs, self.memory_bytes = 0, "", None, None
        self.states.clear()
        self.samples.clear()

    def _sample(self, report: Mapping[str, Any], now_us: int) -> None:
        operations = whole(report.get("operations"))
        came, went = whole(report.get("messages_in")), whole(report.get("messages_out"))
        if operations is None or came is None or went is None:
            return
        sample = (now_us, operations, came + went)
        if self.samples and (sample[1] < self.samples[-1][1] or sample[2] < self.samples[-1][2]):
            # Counts only grow within one process: it began anew.
            self.samples.clear()
        self.samples.append(sample)
        while len(self.samples) > 2 and now_us - self.samples[1][0] >= _RATE_US:
            self.samples.popleft()


def _read_behind(health: str) -> int:
    number = health[len(_BEHIND) : len(_BEHIND) + 19] if health.startswith(_BEHIND) else ""
    return int(number) if number.isascii() and number.isdigit() else 0


class Replicas:
    """All replicas of a group."""

    def __init__(self, n: int, faults: int, starting: bool = False) -> None:
        self.n = n
        self.weak = faults + 1
        self.each = tuple(Told(replica) for replica in range(n))
        self._past: deque[tuple[int, int]] = deque(maxlen=16)
        """(time, sequence that f+1 had executed), some times a second."""
        self._since_us: int | None = None
        """When all this began."""
        self._starting = starting
        self._begun_us: int | None = None

    def fact(self, name: str) -> int | None:
        """Return the greatest count under a name that f+1 replicas have told or passed."""
        told = [value for each in self.each if (value := getattr(each, name)) is not None]
        return supported(told, self.weak)

    @property
    def primary(self) -> int | None:
        """The primary of the view that f+1 replicas are in or beyond."""
        view = self.fact("view")
        return None if view is None else view % self.n

    def agreed(self, name: str) -> str:
        """Return a text under a name that f+1 replicas tell alike, "" where there is none."""
        told = [value for each in self.each if (value := getattr(each, name))]
        return next((value for value in told if told.count(value) >= self.weak), "")

    def throughput(self, now_us: int) -> float | None:
        """Return the operations a second that f+1 replicas reach."""
        return supported([rate for each in self.each if (rate := each.rate(1, now_us)) is not None], self.weak)

    def messages(self, now_us: int) -> float | None:
        """Return the messages a second of all together; whoever claims more than f+1 reach counts as one of them."""
        rates = [rate for each in self.each if (rate := each.rate(2, now_us)) is not None]
        most = supported(rates, self.weak)
        return None if most is None else sum(min(rate, most) for rate in rates)

    def begun(self, well: bool, now_us: int) -> None:
        """Note that all processes were started, or that this failed."""
        self._starting, self._begun_us = self._starting and well, now_us

    def is_starting(self, told: Told, now_us: int) -> bool:
        """Say whether a replica was never heard because it has only just been started, or will be in a moment."""
        begun_us = now_us if self._begun_us is None else self._begun_us
        return self._starting and not told.met and now_us - begun_us <= QUIET_US

    def compare(self, replica: int) -> tuple[int, ...]:
        """Compare states after the sequence that a replica told last.

        Return those who report another one than f+1 do, and did not a moment ago.
        """
        told = self.each[replica]
        if not told.states:
            return ()
        sequence = next(reversed(told.states))
        states = [each.states.get(sequence, "") for each in self.each]
        known = [each for each in states if each]
        right = next((each for each in known if known.count(each) >= self.weak), None)
        if right is None:
            return ()
        found = []
        for each, state in zip(self.each, states, strict=True):
            if state and state != right:
                if each.differs is None:
                    found.append(each.id)
                each.differs = sequence
            elif state and each.differs is not None and each.differs <= sequence:
                each.differs = None
        return tuple(found)

    def remember(self, now_us: int) -> None:
        """Note how far the group is, to tell who lags from who merely spoke a moment earlier."""
        if self._since_us is None:
            self._since_us = now_us
        executed = self.fact("executed")
        if executed is not None and self._past and executed < self._past[-1][1]:
            # The group began anew.
            self._past.clear()
        if executed is not None and (not self._past or now_us - self._past[-1][0] >= _LAG_US // 8):
            self._past.append((now_us, executed))

    def lag(self, told: Told, now_us: int) -> int:
        """Return by how many sequences a replica is behind: by its own word, or behind where f+1 were a while ago."""
        earlier = [executed for us, executed in self._past if now_us - us >= _LAG_US]
        if not earlier or told.executed is None:
            return told.behind
        return max(told.behind, earlier[-1] - told.executed)

    def rows(self, laboratory: Laboratory | None, now_us: int) -> tuple[Row, ...]:
        """Return a row for each replica."""
        primary = self.primary
        return tuple(self._row(each, primary, laboratory, now_us) for each in self.each)

    def faulty(self, laboratory: Laboratory | None, now_us: int) -> dict[int, str]:
        """Return who counts against f, with why: by the keeper's word, else by what is heard of them."""
        found = {} if laboratory is None else dict(laboratory.faulty)
        # Who was never heard while others were is as far away as who fell silent.
        waited = any(each.met for each in self.each) and now_us - (self._since_us or now_us) > QUIET_US
        for each in self.each:
            if laboratory is None and each.lies:
                found[each.id] = f"lies: {each.lies}"
            elif self.is_starting(each, now_us):
                continue
            elif laboratory is None and (each.met or waited) and not each.is_heard(now_us):
                found[each.id] = "no answer"
            elif each.differs is not None:
                found.setdefault(each.id, "another state than f+1 others")
        return dict(sorted(found.items()))

    def answers_hold(self, laboratory: Laboratory | None) -> bool:
        """Say whether answers stay right, if perhaps none come: at most f lied, forgot votes, or have another state."""
        false = {each.id for each in self.each if each.differs is not None or (laboratory is None and each.lies)}
        return len(false.union(laboratory.untruthful if laboratory else ())) < self.weak

    def _row(self, told: Told, primary: int | None, laboratory: Laboratory | None, now_us: int) -> Row:
        away = laboratory.away(told.id) if laboratory else ""
        lies = (laboratory.misbehaviour(told.id) if laboratory else "") or told.lies
        health, style = self._health(told, laboratory, lies, now_us)
        # What was said of a process that is gone says nothing of now, save where it stood.
        here = told.connected and away in ("", "paused")
        return Row(
            id=told.id,
            role="" if primary is None else "primary" if told.id == primary else "backup",
            view=told.view,
            executed=told.executed,
            stable=told.stable,
            digest=told.digest[:8],
            digest_style="" if told.differs is None else "red",
            health=health,
            style=style,
            memory_bytes=told.memory_bytes if here else None,
            pid=told.pid if here else None,
            running=not away and told.is_heard(now_us),
            misbehaviour=lies,
        )

    def _health(self, told: Told, laboratory: Laboratory | None, lies: str, now_us: int) -> tuple[str, str]:
        away = laboratory.away(told.id) if laboratory else ""
        if laboratory and away:
            words = laboratory.last_words(told.id)
            return f"{away}: {words}" if words else away, "yellow" if away == "paused" else "red"
        if lies:
            return f"lying: {lies}", "magenta"
        if not told.is_heard(now_us):
            if self.is_starting(told, now_us):
                return "starting", "dim"
            return "no answer", "red" if told.met else "dim"
        if told.differs is not None:
            return f"another state than f+1 others after {told.differs}", "red"
        if told.transferring is not None:
            return f"fetching the state at {told.transferring}", "yellow"
        if told.target is not None and told.view is not None and told.target != told.view:
            return f"view change to {told.target}", "yellow"
        lag = self.lag(told, now_us)
        if lag > 0:
            return f"behind by {lag}", "yellow"
        if laboratory and laboratory.faulty.get(told.id, "").startswith("restarted"):
            return "ok, but forgot its votes", "yellow"
        return ("ok", "green") if told.view is not None else ("says nothing of itself", "yellow")
