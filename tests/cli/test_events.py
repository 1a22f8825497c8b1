"""How events read as lines: what is told, what is left out, and that no replica's words steer a terminal or end us."""

from __future__ import annotations

import time
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft.cli.events import Telling
from pbft.lab.state import LabState, ReplicaState

REPORT: dict[str, Any] = {"role": "primary", "view": 0, "executed": 7, "stable_checkpoint": 0, "health": "ok"}
FLOW: dict[str, Any] = {
    "sequence": 12,
    "view": 1,
    "requests": [{"client": "alice", "timestamp": 3, "operations": 1}],
    "request_count": 3,
    "pre_prepare_us": 1_000,
    "prepares": {"1": 5, "10": 6, "2": 7},
    "prepared_us": 2_500,
    "commits": {},
    "committed_us": 4_000,
    "executed_us": 4_100,
    "differing": [3],
}


def event(kind: str, replica: int | None = 2, **fields: Any) -> dict[str, Any]:
    who = {} if replica is None else {"replica": replica}
    return {"event": kind, "us": time.monotonic_ns() // 1_000, **who, **fields}


def text_of(line: str | None) -> str:
    """Return what a line says after its time."""
    assert line is not None
    return line.partition("  ")[2]


def test_every_kind_of_event_reads_as_a_line():
    """Who, what, and the numbers that matter."""
    telling = Telling()
    for told, line in (
        (
            event("hello", application="Counter", pid=7, lies="Equivocator"),
            "replica 2  hello      Counter in process 7, and lies: Equivocator",
        ),
        (
            event("counters", report=REPORT),
            "replica 2  counters   primary in view 0, executed 7, stable 0: ok",
        ),
        (
            event("flow", **FLOW),
            (
                "replica 2  flow       sequence 12 in view 1, alice's request 3 and 2 more; prepared +1.5 ms; "
                "committed +3.0 ms; executed +3.1 ms; prepares 1 2 10; commits none; another digest from replica 3"
            ),
        ),
        (
            event("incident", level="warning", what="evidence", fields={"culprit": 3, "left_out": 0, "kind": "a b"}),
            'replica 2  warning    evidence: culprit=3 kind="a b"',
        ),
        (event("dropped", why="too slow"), "replica 2  dropped    too slow"),
        (event("gone"), "replica 2  gone       its stream ended"),
        (event("gone", None), "keeper     gone       the group's keeper has ended"),
        (
            event("fault", None, command="kill 2", said="replica 2 was killed"),
            "keeper     fault      kill 2: replica 2 was killed",
        ),
        (
            event("lab", None, state=LabState((ReplicaState(2, None, "killed"),), 1).to_json()),
            "keeper     lab        faulty: 1 of 1 allowed (replica 2: killed)",
        ),
    ):
        assert text_of(telling.line(told)) == line


def test_counters_are_told_when_they_say_something_new():
    """Another view, role or health; not each quarter of a second, nor how far behind it is just now. All with --all."""
    telling, everything = Telling(), Telling(everything=True)
    reports = [
        (REPORT, True),
        (REPORT, False),
        (REPORT | {"executed": 8}, False),
        (REPORT | {"health": "behind by 3"}, True),
        (REPORT | {"health": "behind by 40"}, False),
        (REPORT | {"role": "backup", "view": 1}, True),
    ]
    for report, worth in reports:
        told = event("counters", report=report)
        assert (telling.line(told) is not None) == worth
        assert everything.line(told) is not None
    telling.line(event("gone"))
    assert telling.line(event("counters", report=reports[-1][0])) is not None


def test_a_sequence_is_told_once_when_it_was_executed():
    """Unless somebody turns out to differ later."""
    telling = Telling()
    assert telling.line(event("flow", **FLOW | {"executed_us": None})) is None
    assert telling.line(event("flow", **FLOW)) is not None
    assert telling.line(event("flow", **FLOW | {"commits": {"1": 9}})) is None
    assert telling.line(event("flow", **FLOW | {"differing": [1, 3]})) is not None
    assert telling.line(event("flow", 3, **FLOW)) is not None


@pytest.mark.parametrize("text", ["\x1b]0;title\x07", "\x1b[2J", "a\nb", "\u202egnp.exe", "\x9b31m", "\ud800"])
def test_no_word_of_a_replica_steers_a_terminal(text: str):
    """Titles, cursor moves, newlines and turned lines appear as harmless text, wherever they stand."""
    telling = Telling(everything=True)
    for told in (
        event("hello", application=text, pid=1, lies=text),
        event("counters", report=REPORT | {"role": text, "health": text}),
        event("flow", **FLOW | {"requests": [{"client": text, "timestamp": 1}]}),
        event("incident", level=text, what=text, fields={text: text, "why": text}),
        event("dropped", why=text),
        event("fault", None, command=text, said=text),
    ):
        line = telling.line(told)
        assert line is not None
        assert not [each for each in line if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
        assert len(line) < 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    [
        *("application", "pid", "lies", "report", "sequence", "view", "requests", "request_count", "pre_prepare_us"),
        *("prepares", "prepared_us", "commits", "executed_us", "differing", "level", "what", "fields", "why", "state"),
    ]
)


@given(
    st.sampled_from(["hello", "counters", "flow", "incident", "dropped", "gone", "lab", "fault"]),
    st.none() | st.integers(0, 3),
    st.integers(),
    st.dictionaries(NAMES, JSON),
    JSON,
)
def test_whatever_an_event_holds_nothing_is_raised(kind: str, replica: int | None, us: int, fields: Any, report: Any):
    """A liar's values of any type and size are passed over."""
    told = {**fields, "event": kind, "us": us} | ({} if replica is None else {"replica": replica})
    if kind == "counters":
        told["report"] = dict.fromkeys(REPORT, report)
    for telling in (Telling(), Telling(everything=True)):
        line = telling.line(told)
        assert line is None or "\n" not in line
