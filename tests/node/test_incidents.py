"""Incidents in the log: what an operator hears of, and that nobody can fill the log with them."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pbft.core.effects import (
    BecameStable,
    Diverged,
    Effect,
    Evidence,
    Ignored,
    OperationFailed,
    Proposed,
    Reason,
    StateInstalled,
    ViewEntered,
)
from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import BEGINNING, CheckpointProof, PreparedCertificate, Share, ViewChange
from pbft.core.settings import Now
from pbft.machine import Application, Context, Outcome, Rejected, Result, StateMachine, encode_operation, operation
from pbft.node.event_log import EventLog, text_of
from pbft.node.evidence import EvidenceFolder
from pbft.node.incidents import Incidents
from pbft.table import Table
from tests.kiosk import CONTEXT
from tests.node.guilt import PARTIES, equivocation, word
from tests.node.tally import Tally

EVIDENCE = equivocation(2)


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError("not even that")


def passing(method: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return the method in a wrapper, as any decorator of an author's does."""

    @functools.wraps(method)
    def wrapper(self: Any) -> None:
        method(self)

    return wrapper


class Odd(StateMachine):
    total: int = 0
    seen: Table[str, int]

    @operation
    def fail(self) -> int:
        """Fail with an error that has no words."""
        raise Mute

    @operation
    @passing
    def spread(self) -> None:
        """Fail in a method of its own, in which a Table refuses a value."""
        self._put(1.5)

    def _put(self, value: Any) -> None:
        self.seen["x"] = value

    @operation
    def grow(self) -> None:
        """Fail once it has returned."""
        self.total = 2**70

    @operation
    def reject(self) -> int:
        raise Rejected("no")


class Raw:
    """An Application that tells nothing of its failures."""

    def execute(self, operation: bytes, context: Context) -> Result:
        return Result.of(Outcome.FAILED, "broken")

    def digest(self) -> bytes:
        return bytes(32)

    def snapshot(self) -> list[bytes]:
        return []

    def restore(self, pieces: Iterable[bytes]) -> None:
        assert not list(pieces)


class Watched:
    """Incidents of one application, with a log in a folder."""

    def __init__(self, folder: Path, application: Application) -> None:
        self.application = application
        self._path = folder / "log.jsonl"
        self._log = EventLog(self._path)
        self.folder = folder / "evidence"
        self.incidents = Incidents(self._log, application, EvidenceFolder(self.folder, PARTIES.group))

    def see(self, effect: Effect, ms: int = 0) -> None:
        self.incidents.watch(effect, Now(ms, 0))

    def run(self, name: str, *args: int, ms: int = 0) -> None:
        if self.application.execute(encode_operation(name, args), CONTEXT).outcome is Outcome.FAILED:
            error = getattr(self.application, "last_failure", None)
            assert error is not None
            self.see(OperationFailed(7, 2, 1, "alice", type(error).__name__, text_of(error)), ms)

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


def test_a_failed_operation_is_told_with_its_cause(watch: Watch):
    """The exception's type, its text and where it was raised, which clients are never told."""
    watched = watch(Tally())
    watched.run("divide", 0)

    (line,) = watched.lines()
    assert (line["event"], line["level"], line["sequence"], line["operations"]) == ("operation failed", "warning", 7, 1)
    assert (line["position"], line["client"], line["error"]) == (2, "alice", "ZeroDivisionError")
    assert "by zero" in line["text"]
    assert "tally.py, line " in line["where"]
    assert line["where"].endswith("in Tally.divide")
    assert line["operation"] == "divide"


def test_the_line_that_is_told_is_the_authors(watch: Watch):
    """Not the one in this package that refused what was written there; the operation is the one that was called."""
    watched = watch(Odd())
    watched.run("spread")
    watched.run("grow", ms=1_000)

    inside, after = watched.lines()
    assert (inside["error"], inside["operation"]) == ("EncodingError", "spread")
    assert inside["where"].startswith(f"{__file__}, line ")
    assert inside["where"].endswith("in Odd._put")
    assert "grow()" in after["text"]
    assert "where" not in after
    assert "operation" not in after


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
    """Both messages and both signatures, whole, and the file that keeps them."""
    watched = watch(Tally())
    watched.see(EVIDENCE)

    (line,) = watched.lines()
    assert (line["event"], line["level"], line["culprit"], line["kind"]) == ("evidence", "warning", 2, "PREPARE")
    assert [bytes.fromhex(each) for each in line["bodies"]] == [EVIDENCE.first.body, EVIDENCE.second.body]
    assert [bytes.fromhex(each) for each in line["signatures"]] == [EVIDENCE.first.signature, EVIDENCE.second.signature]
    assert (line["file"], line["not_kept"]) == (str(watched.folder / "2-prepare-v0-s1.cbor"), 0)
    assert [path.name for path in watched.folder.iterdir()] == ["2-prepare-v0-s1.cbor"]


def test_evidence_is_kept_however_few_lines_tell_of_it(watch: Watch):
    """A file each, while the log has a line a second."""
    watched = watch(Tally())
    for sequence in range(1, 6):
        watched.see(equivocation(2, sequence))
    assert len(watched.lines()) == 1
    assert sorted(path.name for path in watched.folder.iterdir()) == [f"2-prepare-v0-s{n}.cbor" for n in range(1, 6)]
    assert watched.incidents.summary() == {"left_out": {"evidence": 4}, "evidence_not_kept": 0}


def test_a_large_message_does_not_fill_the_log(watch: Watch):
    """A line shows the beginning of what the file holds whole."""
    certificates = tuple(PreparedCertificate(0, n, bytes(32), bytes(64), ()) for n in range(1, 1_000))
    votes = [word(3, Kind.VIEW_CHANGE, ViewChange(1, BEGINNING, each)) for each in ((), certificates)]
    assert len(votes[1].body) > 100_000
    watched = watch(Tally())
    watched.see(Evidence(3, votes[0], votes[1]))

    (line,) = watched.lines()
    assert [bytes.fromhex(line["bodies"][0]), line["bodies"][1]] == [votes[0].body, votes[1].body.hex()[:500] + "…"]
    (file,) = watched.folder.iterdir()
    assert file.name == "3-view-change-v1.cbor"
    assert votes[1].body in file.read_bytes()


def test_a_disk_that_fails_is_a_warning(watch: Watch):
    """One line says what hinders, the other tells the evidence all the same; the next piece is tried again."""
    watched = watch(Tally())
    watched.folder.write_text("in the way")
    watched.see(EVIDENCE)

    hindered, told = watched.lines()
    assert (hindered["event"], hindered["level"]) == ("evidence cannot be kept", "warning")
    assert (hindered["file"], hindered["error"]) == (str(watched.folder), "Not a directory")
    assert (told["event"], told["file"], told["not_kept"]) == ("evidence", None, 1)
    assert [bytes.fromhex(each) for each in told["bodies"]] == [EVIDENCE.first.body, EVIDENCE.second.body]

    watched.folder.unlink()
    watched.see(EVIDENCE, 5_000)
    last = watched.lines()[-1]
    assert (last["event"], last["not_kept"]) == ("evidence", 1)
    assert last["file"] == str(watched.folder / "2-prepare-v0-s1.cbor")


def test_what_finds_no_room_is_counted(watch: Watch):
    """Once a culprit's part is full, each further piece counts, in the next line and to the end."""
    watched = watch(Tally())
    for sequence in range(1, 70):
        watched.see(equivocation(2, sequence), ms=sequence)
    assert len(list(watched.folder.iterdir())) == 64
    watched.see(equivocation(2, 70), ms=5_000)

    last = watched.lines()[-1]
    assert (last["file"], last["not_kept"]) == (None, 6)
    assert watched.incidents.summary() == {"left_out": {}, "evidence_not_kept": 6}


def test_what_speaks_for_no_place_is_told_without_a_file(watch: Watch):
    """Whatever is handed in, watching never raises."""
    watched = watch(Tally())
    odd = Envelope(Kind.PREPARE, 2, b"not a prepare", bytes(64))
    watched.see(Evidence(2, odd, odd))
    (line,) = watched.lines()
    assert (line["culprit"], line["file"], line["not_kept"]) == (2, None, 1)
    assert not watched.folder.exists()


def test_a_cause_is_never_anothers(watch: Watch):
    """A failure that the application did not raise, as an answer beyond the limit, gets no older one's cause."""
    watched = watch(Tally())
    watched.run("divide", 0)
    watched.run("divide", 0)
    watched.see(OperationFailed(8, 0, 1, "bob", "", "the answers exceed the limit"), 5_000)

    first, second = watched.lines()
    assert "where" in first
    assert "error" not in second
    assert "where" not in second


def test_whatever_an_application_does_it_is_told(watch: Watch):
    """An error without words of its own, and an application that keeps no failure."""
    odd = watch(Odd())
    odd.run("fail")
    odd.run("reject")
    (line,) = odd.lines()
    assert (line["error"], line["text"]) == ("Mute", "its text cannot be read")

    raw = watch(Raw())
    raw.see(OperationFailed(7, 0, 1, "alice", "", "broken"))
    (line,) = raw.lines()
    assert (line["operations"], line["text"], "error" in line) == (1, "broken", False)


def test_stable_checkpoints_are_told_with_who_signed_them_and_never_fill_the_log(watch: Watch):
    """One line in ten seconds, with how many were left out; a primary's proposals are no incident at all."""
    watched = watch(Tally())
    for second in range(25):
        proof = CheckpointProof(128 * (second + 1), bytes(32), tuple(Share(member, bytes(64)) for member in (3, 0, 2)))
        watched.see(BecameStable(proof), ms=1_000 * second)
        watched.see(Proposed(0, second, bytes(32), 1), ms=1_000 * second)
    first, second_line, third = watched.lines()
    assert (first["event"], first["sequence"], first["signers"], first["left_out"]) == (
        "stable checkpoint",
        128,
        [0, 2, 3],
        0,
    )
    assert first["cause"] == "3 replicas signed the same state"
    assert [(each["sequence"], each["left_out"]) for each in (second_line, third)] == [(128 * 11, 9), (128 * 21, 9)]


def test_a_state_that_was_taken_over_is_told_with_why(watch: Watch):
    """Behind it was, or of another state than the others; and who asked for a view stands with its entry."""
    watched = watch(Tally())
    watched.see(StateInstalled(128, bytes(32), 3, 900), ms=0)
    watched.see(Diverged(256, bytes(32), bytes([1]) * 32), ms=2_000)
    watched.see(StateInstalled(256, bytes(32), 3, 900), ms=3_000)
    votes = tuple(Envelope(Kind.VIEW_CHANGE, member, b"", bytes(64)) for member in (2, 0, 3))
    watched.see(ViewEntered(1, 256, (), votes), ms=4_000)
    behind, diverged, repaired, entered = watched.lines()
    assert behind["cause"] == "it was too far behind to execute"
    assert diverged["event"] == "state diverged"
    assert repaired["cause"] == "its own state was another"
    assert (entered["view"], entered["asked_by"]) == (1, [0, 2, 3])
