"""Incidents in the log: what an operator hears of, and that nobody can fill the log with them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pbft.core.effects import Effect, Evidence, Executed, ExecutedRequest, Ignored, Reason
from pbft.core.envelope import Envelope, Kind
from pbft.core.settings import Now
from pbft.machine import Application, Context, Outcome, Rejected, Result, StateMachine, encode_operation, operation
from pbft.node.event_log import EventLog
from pbft.node.incidents import Incidents
from tests.kiosk import CONTEXT
from tests.node.tally import Tally

EVIDENCE = Evidence(2, Envelope(Kind.PREPARE, 2, b"one", b"s1"), Envelope(Kind.PREPARE, 2, b"other", b"s2"))


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("not even that")


class Odd(StateMachine):
    total: int = 0

    @operation
    def fail(self) -> int:
        """Fail with an error that has no words."""
        raise Mute

    @operation
    def reject(self) -> int:
        raise Rejected("no")


class Raw:
    """An Application that tells nothing of its failures."""

    def execute(self, operation: bytes, context: Context) -> Result:
        return Result.of(Outcome.FAILED, "broken")

    def digest(self) -> bytes:
        return bytes(32)


class Watched:
    """Incidents of one application, with a log in a folder."""

    def __init__(self, folder: Path, application: Application) -> None:
        self.application = application
        self._path = folder / "log.jsonl"
        self._log = EventLog(self._path)
        self.incidents = Incidents(self._log, application)

    def see(self, effect: Effect, ms: int = 0) -> None:
        self.incidents.watch(effect, Now(ms, 0))

    def run(self, name: str, *args: int, ms: int = 0) -> None:
        outcome = self.application.execute(encode_operation(name, args), CONTEXT).outcome
        self.see(executed(int(outcome)), ms)

    def close(self) -> None:
        self._log.close()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._path.read_text().splitlines()]


Watch = Callable[[Application], Watched]


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    """Give a function that watches an application, and close all logs at the end."""
    with contextlib.ExitStack() as logs:

        def begin(application: Application) -> Watched:
            folder = tmp_path / type(application).__name__
            folder.mkdir()
            watched = Watched(folder, application)
            logs.callback(watched.close)
            return watched

        yield begin


def executed(*outcomes: int) -> Executed:
    return Executed(0, 7, bytes(32), 0, (ExecutedRequest(bytes(32), bytes(16), 1, bytes(32), outcomes),))


def test_a_failed_operation_is_told_with_its_cause(watch: Watch):
    """The exception's type, its text and where it was raised, which clients are never told."""
    watched = watch(Tally())
    watched.run("divide", 0)

    (line,) = watched.lines()
    assert (line["event"], line["level"], line["sequence"], line["operations"]) == ("operation failed", "warning", 7, 1)
    assert line["error"] == "ZeroDivisionError"
    assert "by zero" in line["text"]
    assert "tally.py, line " in line["where"]
    assert line["where"].endswith("in Tally.divide")


def test_what_is_no_failure_is_no_incident(watch: Watch):
    """Answers, rejections, mistaken calls and refused messages have their own places."""
    watched = watch(Tally())
    watched.run("add", 5)
    watched.run("add", -5)
    watched.run("subtract", 5)
    watched.see(Ignored(Reason.DUPLICATE, 1, Kind.PREPARE))
    assert watched.lines() == []


def test_one_line_of_each_kind_a_second(watch: Watch):
    """Whoever repeats it fills no log: what was left out is counted, in the next line and to the end."""
    watched = watch(Tally())
    for ms in range(0, 2_500, 100):
        watched.run("divide", 0, ms=ms)
        watched.see(EVIDENCE, ms)

    lines = watched.lines()
    for event in ("operation failed", "evidence"):
        told = [line for line in lines if line["event"] == event]
        assert [(line["monotonic_ms"], line["left_out"]) for line in told] == [(0, 0), (1_000, 9), (2_000, 9)]
    assert watched.incidents.left_out == {"operation failed": 4, "evidence": 4}


def test_evidence_holds_what_proves_it(watch: Watch):
    """Both messages and both signatures, whole."""
    watched = watch(Tally())
    watched.see(EVIDENCE)

    (line,) = watched.lines()
    assert (line["culprit"], line["kind"]) == (2, "PREPARE")
    assert [bytes.fromhex(each) for each in line["bodies"]] == [b"one", b"other"]
    assert [bytes.fromhex(each) for each in line["signatures"]] == [b"s1", b"s2"]


def test_a_cause_is_never_anothers(watch: Watch):
    """A failure that the application did not raise, as an answer beyond the limit, gets no older one's cause."""
    watched = watch(Tally())
    watched.run("divide", 0)
    watched.see(executed(Outcome.OK, Outcome.FAILED), 5_000)

    first, second = watched.lines()
    assert "error" in first
    assert "error" not in second


def test_whatever_an_application_does_it_is_told(watch: Watch):
    """An error without words of its own, and an application that keeps no failure."""
    odd = watch(Odd())
    odd.run("fail")
    odd.run("reject")
    (line,) = odd.lines()
    assert (line["error"], line["text"]) == ("Mute", "its text cannot be read")

    raw = watch(Raw())
    raw.see(executed(Outcome.FAILED))
    (line,) = raw.lines()
    assert (line["operations"], "error" in line) == (1, False)
