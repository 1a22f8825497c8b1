"""An application of bytes: its answers, digests and snapshots are compared, and held to the protocol."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from pbft.application import Outcome
from pbft.conformance.findings import Rule
from pbft.conformance.steps import Step
from pbft.conformance.worlds import Worlds
from tests.conformance.honest import RAW
from tests.conformance.plants import write_application

pytestmark = pytest.mark.processes


@dataclass(frozen=True)
class Mistake:
    """What an author wrote instead, and what is said of it."""

    name: str
    old: str
    new: str
    rule: Rule
    place: int
    where: str = ""
    sentence: str = ""


_OK = "return Result.of(Outcome.OK, self.counts[operation[0]])"
_REFUSAL = 'return Result.of(Outcome.INVALID, "one byte below 128")'
_CHECK = "if len(pieces) != 1 or len(pieces[0]) != 128:"
_SNAPSHOT = "return [bytes(self.counts)]"

MISTAKES = (
    Mistake(
        "changed and then refused",
        "        if len(operation)",
        "        self.counts[1] += 1\n        if len(operation)",
        Rule.REFUSED_CHANGED,
        1,
        "piece 0 of the snapshot",
    ),
    Mistake("an exception", _REFUSAL, "raise KeyError(1)", Rule.RAISED, 1, sentence="execute() raised KeyError"),
    Mistake("an exit", _REFUSAL, "raise SystemExit", Rule.RAISED, 1, sentence="execute() raised SystemExit"),
    Mistake("no answer", _REFUSAL, "return None", Rule.BAD_ANSWER, 1, sentence="NoneType, not a Result"),
    Mistake(
        "bytes for an answer", _OK, "return Result(Outcome.OK, b'yes')", Rule.BAD_ANSWER, 0, sentence="Result.of()"
    ),
    Mistake("a short digest", "digest_size=32", "digest_size=16", Rule.BAD_ANSWER, -1, sentence="32 bytes"),
    Mistake("restores anything", _CHECK, "if len(pieces) == 0:", Rule.BAD_SNAPSHOT, 0, sentence="accepted"),
    Mistake(
        "another exception", 'raise ValueError("no snapshot', 'raise KeyError("no', Rule.BAD_SNAPSHOT, 0, "", "KeyError"
    ),
    Mistake(
        "changed, then refused a snapshot",
        f"        {_CHECK}",
        f"        self.counts[0] = 9\n        {_CHECK}",
        Rule.BAD_SNAPSHOT,
        0,
        sentence="changed the state all the same",
    ),
    Mistake(
        "a part that is forgotten",
        "self.counts = list(pieces[0])",
        "self.counts[1:] = list(pieces[0])[1:]",
        Rule.RESTORED_DIFFERS,
        0,
    ),
    Mistake("a snapshot to be read once", _SNAPSHOT, "return iter([bytes(self.counts)])", Rule.SNAPSHOT_DIFFERS, 0),
    Mistake(
        "a snapshot that goes on changing",
        _SNAPSHOT,
        'return type("Late", (), {"__iter__": lambda _: iter([bytes(self.counts)])})()',
        Rule.SNAPSHOT_DIFFERS,
        1,
        "the snapshot",
    ),
    Mistake(
        "something that no snapshot has",
        _OK,
        "self.calls = getattr(self, 'calls', 0) + 1\n        return Result.of(Outcome.OK, self.calls)",
        Rule.ANSWER_DIFFERS,
        2,
        "the answer",
    ),
    Mistake(
        "another order of bytes",
        _SNAPSHOT,
        "return [bytes(self.counts), *map(str.encode, {'a', 'b', 'c', 'd', 'e'})]",
        Rule.SNAPSHOT_DIFFERS,
        0,
        "the snapshot",
    ),
)

STEPS = [Step("alice", 1_000 + at, each) for at, each in enumerate((b"\x00", b"\xff", b"\x00", b"\x05"))]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_broken_promise_is_named(mistake: Mistake, tmp_path: Path):
    source = RAW.replace(mistake.old, mistake.new)
    assert source != RAW
    if mistake.name == "another order of bytes":
        # It takes back what it gives, so that only the order is wrong.
        source = source.replace("len(pieces) != 1 or", "len(pieces) != 6 or")
    with Worlds(write_application(tmp_path, source, name="Tally")) as worlds:
        finding = worlds.attempt(STEPS, (1, 2)).finding

    assert finding is not None
    assert (finding.rule, finding.place, finding.where) == (mistake.rule, mistake.place, mistake.where)
    assert mistake.sentence in finding.sentence


def test_one_that_keeps_them_passes_restored_at_every_place(tmp_path: Path):
    with Worlds(write_application(tmp_path, RAW, name="Tally")) as worlds:
        found = worlds.attempt(STEPS, range(len(STEPS) + 1))

    assert (found.finding, found.warnings) == (None, ())
    assert [result.outcome for result in found.results] == [Outcome.OK, Outcome.INVALID, Outcome.OK, Outcome.OK]
