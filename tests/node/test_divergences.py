"""What a replica keeps about a state of its own that was not the others': one file, never half there, never large."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pbft.core.effects import Effect, StateInstalled
from pbft.core.findings import MOST_KEYS, MOST_WRITES, Did, DifferingKey, Excerpt, Written
from pbft.core.settings import Now
from pbft.encoding import encode_plain
from pbft.machine import Application, Context, Outcome, Result
from pbft.node.divergences import FILE_NAME, LARGEST_BYTES, Divergences, read_file
from pbft.node.event_log import EventLog
from tests.node.explained import FOUND, HOSTILE, OUTSIDE, SPLIT
from tests.node.guilt import PARTIES
from tests.node.tally import Tally

ME = 2


class Raw:
    """An Application that is no StateMachine: bytes in, bytes out."""

    def execute(self, operation: bytes, context: Context) -> Result:
        return Result(Outcome.OK, operation)

    def digest(self) -> bytes:
        return bytes(32)

    def snapshot(self) -> list[bytes]:
        return []

    def restore(self, pieces: Iterable[bytes]) -> None:
        assert not list(pieces)


class Watched:
    """Divergences of one replica, which may be started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / FILE_NAME
        self.log = EventLog(folder / "log.jsonl")
        self.start()

    def start(self, application: Application | None = None) -> None:
        self.watcher = Divergences(self.folder, self.log, application or Tally(), PARTIES.group, ME)

    def see(self, *effects: Effect, ms: int = 0) -> None:
        for effect in effects:
            self.watcher.watch(effect, Now(ms, ms))

    def kept(self) -> list[dict[str, Any]]:
        kept: list[dict[str, Any]] = read_file(self.path)["divergences"]
        return kept

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "log.jsonl").read_text().splitlines()]


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path)
    with closing(made.log):
        yield made


def test_the_file_says_what_was_found(watched: Watched):
    """Operation, fields, keys and values are spelled as the application's author knows them."""
    watched.see(FOUND, ms=1_000)
    (told,) = watched.kept()
    assert told["time"] == "1970-01-01T00:00:01+00:00"
    assert told["operation"] == {
        "client": "alice",
        "timestamp": 17,
        "name": "deposit",
        "args": ["crooked", 5],
        "kwargs": {},
    }
    assert (told["differs_at"], told["position"], told["equal_upto"], told["rejoined_at"]) == (6, 1, 4, 8)
    assert told["did"] == {
        "outcome": "OK",
        "result": {"value": 6},
        "writes": [{"field": "balances", "key": {"value": "crooked"}, "value": {"value": 6}}],
        "total_writes": 1,
    }
    assert [each["replicas"] for each in told["others"]] == [[0, 1, 3]]
    client, scalar, entry = told["keys"]
    assert client["field"] is None
    assert "the last request of a stranger's session" in client["key"]["value"]
    assert scalar == {"field": "total", "key": None, "own": {"value": 16}, "right": {"value": 15}}
    assert entry == {
        "field": "balances",
        "key": {"value": "crooked"},
        "own": {"value": 6},
        "right": {"value": 5},
    }
    assert list(watched.folder.glob("*.unfinished")) == []


def test_an_operator_reads_it_in_the_log(watched: Watched):
    """One line, in which the operation and the keys stand."""
    watched.see(FOUND)
    (line,) = watched.lines()
    assert (line["event"], line["level"], line["operation"], line["client"]) == (
        "divergence explained",
        "warning",
        "deposit",
        "alice",
    )
    assert line["keys"][1:] == ["total", 'balances["crooked"]']
    assert (line["file"], line["told_by"]) == (str(watched.path), "pbft doctor")


def test_an_application_of_bytes_is_told_in_bytes(watched: Watched):
    """Nothing of it is decoded, whatever it looks like."""
    watched.start(Raw())
    piece = DifferingKey("", Excerpt.of((3).to_bytes(8, "big")), Excerpt.of(b"\x05"), None)
    watched.see(replace(FOUND, keys=(piece,)))
    (told,) = watched.kept()
    assert (told["operation"]["name"], told["operation"]["bytes"]) == (None, 19)
    assert told["keys"] == [{"field": "", "key": {"value": 3}, "own": {"hex": "05", "bytes": 1}, "right": None}]


def test_strangers_bytes_make_a_small_file_of_plain_ascii(watched: Watched):
    """Whatever an operation brings: what is long is cut, what cannot be decoded is shown as digits."""
    watched.see(HOSTILE)
    data = watched.path.read_bytes()
    assert all(32 <= byte < 127 or byte == 10 for byte in data)
    assert len(data) < 10_000
    (told,) = watched.kept()
    assert told["did"]["outcome"] is None
    assert told["keys"][1]["own"]["bytes"] == 2**20
    assert len(told["keys"][1]["own"]["hex"]) == 128


def test_the_largest_file_can_be_read_again(watched: Watched):
    """As many keys and writes as a finding has, each as long as it is told, in letters that JSON makes six of."""
    text = Excerpt.of(encode_plain("\u0001" * 1_000))
    keys = (DifferingKey("balances", text, text, text),) * MOST_KEYS
    did = Did(0, text, (Written(1, text, text),) * MOST_WRITES, MOST_WRITES)
    largest = replace(FOUND, keys=keys, did=did, others_did=(replace(FOUND.others_did[0], did=did),))
    for number in range(9):
        watched.see(largest, ms=10_000 * number)
    assert len(watched.kept()) == 8
    assert 16 * 2**20 < watched.path.stat().st_size < LARGEST_BYTES


def test_the_first_and_the_latest_are_kept(watched: Watched):
    """Those between go, and those that come at once are counted only."""
    for number in range(12):
        watched.see(replace(FOUND, sequence=number), ms=10_000 * number)
        watched.see(replace(FOUND, sequence=900 + number), ms=10_000 * number + 900)
    assert [each["sequence"] for each in watched.kept()] == [0, 5, 6, 7, 8, 9, 10, 11]
    assert read_file(watched.path)["left_out"] == 11
    assert len(watched.lines()) == 12


def test_who_rejoins_later_is_noted(watched: Watched):
    """A state that is taken over after the finding was told; later ones change nothing."""
    watched.see(replace(FOUND, rejoined_at=None))
    assert watched.kept()[-1]["rejoined_at"] is None
    watched.see(StateInstalled(16, bytes(32), 1, 1), StateInstalled(24, bytes(32), 1, 1))
    assert watched.kept()[-1]["rejoined_at"] == 16


def test_a_state_taken_over_without_a_finding_writes_nothing(watched: Watched):
    """A replica that was only behind has no such file."""
    watched.see(StateInstalled(16, bytes(32), 1, 1))
    assert not watched.path.exists()


def test_what_an_earlier_run_found_stays(watched: Watched):
    """A replica that is started again adds to its own file."""
    watched.see(FOUND)
    watched.start()
    watched.see(OUTSIDE)
    watched.start()
    watched.see(SPLIT)
    assert [each["proven_digest"] is None for each in watched.kept()] == [False, False, True]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 100_000,
        b"\xff",
        b'{"version": 1, "group": "other", "replica": 2, "divergences": [{}]}',
        b'{"version": 2, "group": "other", "replica": 2, "divergences": []}',
        b'{"version": 1, "group": 5, "replica": 2, "divergences": []}',
        b'{"version": 1, "group": "", "replica": 2, "divergences": [5]}',
    ],
)
def test_a_file_that_is_none_of_its_own_is_replaced(watched: Watched, content: bytes):
    """Damaged, of another release, or another group's."""
    watched.path.write_bytes(content)
    watched.see(FOUND)
    assert len(watched.kept()) == 1


def test_a_disk_that_fails_is_a_warning(watched: Watched):
    """The line tells the finding all the same, and the next one is tried again."""
    watched.path.mkdir()
    watched.see(FOUND)
    hindered, told = watched.lines()
    assert (hindered["event"], hindered["error"]) == ("divergence cannot be kept", "Is a directory")
    assert (told["event"], told["file"]) == ("divergence explained", None)
    watched.path.rmdir()
    watched.see(FOUND, ms=5_000)
    assert len(watched.kept()) == 2
