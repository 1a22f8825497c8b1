"""Whatever a replica says of itself, the dashboard stands, stays small, and shows harmless text."""

from __future__ import annotations

import pickle
import unicodedata
from dataclasses import fields, is_dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pbft.dashboard.drawing import matrix, sequence_diagram
from pbft.dashboard.mermaid import mermaid
from pbft.dashboard.model import Model
from pbft.lab.state import LinksState
from tests.dashboard.telling import BEGIN_US, DIGEST, OTHER, SECOND_US, counters, flow, hello, incident, lab, started

HUGE = 10**18
HOSTILE = "\x1b]0;owned\x07[red]x[/red]\u202e\n\u0301" * 40


def test_no_text_of_a_stranger_steers_a_terminal():
    """Escapes, direction marks and line ends are spelled out wherever a text comes through."""
    model = Model(4, 1)
    for replica in range(4):
        model.apply(hello(replica, lies=HOSTILE, application=HOSTILE, group=HOSTILE), BEGIN_US)
        model.apply(counters(replica, state_digest=HOSTILE, health=HOSTILE), BEGIN_US)
        request = {"client": HOSTILE, "timestamp": HOSTILE, "operations": HOSTILE}
        model.apply(flow(replica, digest=HOSTILE, requests=[request] * 50), BEGIN_US + 10_000)
        for what in ("view left", "operation failed", "evidence", HOSTILE):
            told = {
                "cause": HOSTILE,
                "error": HOSTILE,
                "text": HOSTILE,
                "where": HOSTILE,
                "kind": HOSTILE,
                HOSTILE: HOSTILE,
            }
            numbers = {"left": 0, "asks_for": 1, "sequence": 3, "culprit": 1, "file": HOSTILE}
            model.apply(incident(replica, what, "error", **told, **numbers), BEGIN_US)
        model.apply({"event": "dropped", "replica": replica, "why": HOSTILE}, BEGIN_US)
    links = LinksState(sentences=(HOSTILE,) * 50)
    model.apply(lab({1: "ended"}, lies={2: HOSTILE}, links=links, words=HOSTILE), BEGIN_US)
    model.apply({"event": "fault", "command": HOSTILE, "said": HOSTILE}, BEGIN_US)
    model.note(HOSTILE, source=HOSTILE)
    shown = list(texts_in((model.header(), model.rows(), model.flow(), model.lines())))
    assert len(shown) > 50
    for each in shown:
        assert not any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in each)
        assert len(each) <= 1000


def texts_in(value: Any) -> Any:
    """All texts within views."""
    if isinstance(value, str):
        yield value
    elif is_dataclass(value):
        for each in fields(value):
            yield from texts_in(getattr(value, each.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from texts_in(item)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.integers(),
    st.sampled_from([HUGE, 2**63, 10**400, BEGIN_US, BEGIN_US + 5, -(10**400)]),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["0", "1", "3", "*", DIGEST, OTHER, "running", "killed", "behind by ٣", "behind by ²", HOSTILE]),
)
NAMES = st.sampled_from(
    [
        *flow(0),
        *counters(0)["report"],
        *hello(0),
        *("what", "level", "fields", "report", "state", "command", "said", "why"),
        *("replicas", "links", "cut", "loss", "delay", "sentences", "stepping", "held", "faulty", "words", "restarted"),
        *("left", "asks_for", "cause", "culprit", "kind", "file", "client", "timestamp", "misbehaviour", "exit_code"),
        *("0", "1", "2", "3", "12"),
    ]
)
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=6),
    max_leaves=12,
)
KINDS = st.sampled_from(["hello", "counters", "flow", "incident", "gone", "dropped", "lab", "fault"])
TRUE = st.sampled_from([hello(1), counters(1), flow(1), lab(), incident(1, "view left"), incident(1, "evidence")])


@st.composite
def lies(draw: st.DrawFn) -> dict[str, Any]:
    """A true event with some fields replaced by junk, at the top or one level down."""
    event = dict(draw(TRUE))
    for name, value in draw(st.dictionaries(NAMES, JUNK, max_size=4)).items():
        inner = next((key for key, held in event.items() if isinstance(held, dict) and name in held), None)
        if inner is None:
            event[name] = value
        else:
            event[inner] = event[inner] | {name: value}
    return event


EVENTS = (
    lies()
    | st.fixed_dictionaries({"event": KINDS | JUNK, "replica": st.integers(-1, 5) | JUNK, "report": JUNK})
    | (st.dictionaries(NAMES, JUNK))
)


@given(st.lists(st.tuples(EVENTS, st.integers(0, 3 * SECOND_US)), max_size=30))
def test_no_event_whatever_makes_the_model_raise(told: list[tuple[dict[str, Any], int]]):
    """Any junk is folded and every view and drawing of it can be had."""
    model = started()
    now_us = BEGIN_US
    for event, later_us in told:
        now_us += later_us
        model.apply(event, now_us)
        model.tick(now_us)
        model.header()
        model.rows()
        shown = model.flow()
        if shown is not None:
            matrix(shown, 80)
            sequence_diagram(shown, 80, 20)
            mermaid(shown)
    model.series()
    model.lines()


def test_memory_is_bounded_whatever_comes():
    """Once a liar has filled its room, as much again of it changes nothing much."""

    def flood(model: Model, rounds: range) -> int:
        for number in rounds:
            now_us = BEGIN_US + number * SECOND_US // 10
            many = {str(each): now_us for each in range(100)}
            model.apply(flow(3, number, begin_us=now_us, prepares=many, commits=many, requests=[{}] * 100), now_us)
            model.apply(counters(3, executed=number, digest_sequence=number, state_digest="a" * 1000), now_us)
            model.apply(counters(2, executed=number, health="x" * 1000, junk=many), now_us)
            model.apply(incident(3, f"alarm {number}" * 50, "error", **many), now_us)
            model.apply(incident(3, "view left", left=0, asks_for=number, cause="x" * 1000), now_us)
            model.apply(incident(3, "evidence", culprit=number % 4, kind=f"K{number}", file="x" * 1000), now_us)
            model.apply(incident(3, "operation failed", sequence=number), now_us)
            model.apply(hello(3, pid=number, application="x" * 1000), now_us)
            model.note_call(number, now_us)
            model.note("x" * 1000)
            model.tick(now_us)
        return len(pickle.dumps(model))

    model = started()
    filled = flood(model, range(1, 2_000))
    assert filled < 1_000_000
    assert flood(model, range(2_000, 4_000)) < filled * 1.2


def test_what_is_read_of_an_event_does_not_grow_with_it():
    """A million keys, votes, members and requests leave what the group can have of each."""
    many = {str(each): BEGIN_US + 1000 for each in range(10**6)}
    model = started()
    for replica in range(2):
        model.apply(
            flow(replica, prepares=many, commits=many, differing=[7] * 10**6, requests=[{}] * 10**6), BEGIN_US + 10_000
        )
    shown = model.flow()
    assert shown is not None
    assert len(shown.arrows) < 4 * 4 * 5
    assert shown.requests == ("a client", "a client", "a client", "and 999997 more")
