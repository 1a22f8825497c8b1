"""What reports amount to together, lies included."""

from __future__ import annotations

from typing import Any

import pytest

from pbft.group_file import GroupFile
from pbft.lab.making import make_group
from pbft.lab.survey import judge
from pbft.node.marks import Mark


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> GroupFile:
    return make_group(tmp_path_factory.mktemp("groups") / "group", "pbft_apps.counter:Counter")


def report(replica: int, executed: Any = 5, state: Any = "aa", **more: Any) -> dict[str, Any]:
    return {"id": replica, "pid": 100 + replica, "executed": executed, "state_digest": state, "health": "ok", **more}


def test_a_quorum_that_agrees(files: GroupFile):
    """Three of four that agree are enough, and who lags behind contradicts nobody."""
    found = judge(files, {0: report(0), 1: report(1), 2: report(2, executed=4, state="bb"), 3: None})
    assert found.answering == (0, 1, 2)
    assert found.has_quorum
    assert found.contradictions() == []
    assert found.settled
    assert found.seen[3].health == "not running"


def test_too_few(files: GroupFile):
    """Two of four are no quorum."""
    found = judge(files, {0: report(0), 1: report(1)})
    assert not found.has_quorum
    assert not found.settled


def test_a_quorum_without_its_primary(files: GroupFile):
    """The primary of the view that f+1 report is missed; a view that one liar makes up is not believed."""
    found = judge(files, {1: report(1, view=4), 2: report(2, view=4), 3: report(3, view=3)})
    assert (found.has_quorum, found.silent_primary, found.settled) == (True, 0, True)
    found = judge(files, {0: report(0, view=0), 1: report(1, view=0), 2: report(2, view=3)})
    assert (found.silent_primary, found.settled) == (None, True)


def test_a_paused_replica_is_told_from_a_stopped_one(files: GroupFile):
    """A process that runs and does not answer is named; the group is not settled while it is missing."""
    mark = Mark.take(files.data(2))
    assert mark is not None
    found = judge(files, {0: report(0), 1: report(1), 3: report(3)})
    assert (found.seen[2].health, found.seen[2].pid is None) == ("no answer", False)
    assert found.has_quorum
    assert not found.settled
    mark.release()


def test_different_states_after_the_same_operations(files: GroupFile):
    """Same sequence, different digest: somebody is faulty; the larger camp is named first."""
    reports = {0: report(0, state="bb"), 1: report(1), 2: report(2), 3: report(3, state="cc")}
    assert judge(files, reports).contradictions() == [(5, (1, 2), (0,)), (5, (1, 2), (3,))]


@pytest.mark.parametrize(
    "lie",
    [
        {},
        report(1, executed="5", state=["aa"]),
        report(1, executed=None, state={"a": 1}),
        {**report(1), "health": {"x": 1}, "pid": "1", "ignored": 5, "view": -1.5, "rss_bytes": "much"},
    ],
)
def test_a_report_may_say_anything(files: GroupFile, lie: dict[str, Any]):
    """A faulty replica's report breaks nothing, and its fields are null where they are not what they should be."""
    found = judge(files, {0: report(0), 1: lie, 2: report(2), 3: report(3)})
    assert found.contradictions() == []
    entry = found.seen[1].to_json()
    assert type(entry["health"]) is str
    assert entry["pid"] is None or type(entry["pid"]) is int
    assert entry["ignored"] == {}
    assert entry["rss_bytes"] is None


def test_a_liar_of_a_lab_is_named_as_one(files: GroupFile):
    """Whoever started it put it in its mark; what it says of itself stands beside, and nobody waits for it."""
    mark = Mark.take(files.data(3))
    assert mark is not None
    mark.note(lies="WrongReply")
    found = judge(files, {0: report(0), 1: report(1), 2: report(2), 3: report(3)})
    assert found.seen[3].health == "lies: WrongReply (and says: ok)"
    assert found.seen[3].to_json()["lies"] == "WrongReply"
    silent = judge(files, {0: report(0), 1: report(1), 2: report(2), 3: None})
    assert silent.seen[3].health == "lies: WrongReply (no answer)"
    assert found.settled
    assert silent.settled
    mark.release()
