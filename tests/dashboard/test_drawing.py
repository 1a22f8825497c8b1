"""How a sequence is drawn: exactly, for small ones, and within its room, for all."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from pbft.dashboard.drawing import diagram_rows, matrix, sequence_diagram, sparkline
from pbft.dashboard.mermaid import mermaid
from pbft.dashboard.views import FlowView
from tests.dashboard.telling import BEGIN_US, OTHER, flow, started


def shown(n: int = 4, tellers: int | None = None, **fields: Any) -> FlowView:
    """The flow that so many of n replicas tell of."""
    model = started(n)
    for replica in range(n - 1 if tellers is None else tellers):
        model.apply(flow(replica, n=n, **fields), BEGIN_US + 10_000)
    drawn = model.flow()
    assert drawn is not None
    return drawn


def test_a_matrix_shows_counts_and_times_where_there_is_room():
    """Replica 3 is away; the primary bears a star; who is done is counted at the right."""
    assert matrix(shown(), 72).plain.split("\n") == [
        "            r0*          r1           r2           r3              done",
        "request     ✓ +0.00      ·            ·            –                1/1",
        "pre-prepare ✓ +0.50      ✓ +0.51      ✓ +0.52      –                3/3",
        "prepare     ✓3/2 +1.10   ✓3/2 +1.11   ✓3/2 +1.12   –                3/3",
        "commit      ✓4/3 +1.60   ✓4/3 +1.61   ✓4/3 +1.62   –                3/3",
        "reply       ✓ +2.00      ✓ +2.01      ✓ +2.02      –                3/2",
    ]


def test_a_narrow_matrix_keeps_the_counts():
    """Forty columns are enough for four replicas."""
    assert matrix(shown(), 40).plain.split("\n") == [
        "            r0*  r1   r2   r3      done",
        "request     ✓    ·    ·    –        1/1",
        "pre-prepare ✓    ✓    ✓    –        3/3",
        "prepare     ✓3/2 ✓3/2 ✓3/2 –        3/3",
        "commit      ✓4/3 ✓4/3 ✓4/3 –        3/3",
        "reply       ✓    ✓    ✓    –        3/2",
    ]


def test_a_matrix_shows_what_is_missing_and_who_votes_otherwise():
    """A quorum is not there yet at replica 1, whose neighbour voted for another batch."""
    model = started()
    unfinished: dict[str, Any] = {"commits": {}, "committed_us": None, "executed_us": None}
    model.apply(flow(0, **unfinished), BEGIN_US + 10_000)
    prepares = {"1": BEGIN_US + 1000}
    model.apply(flow(1, prepares=prepares, prepared_us=None, differing=[3], **unfinished), BEGIN_US + 10_000)
    model.apply(flow(3, digest=OTHER, prepares={}, prepared_us=None, **unfinished), BEGIN_US + 10_000)
    drawn = model.flow()
    assert drawn is not None
    assert matrix(drawn, 60).plain.split("\n") == [
        "            r0*       r1        r2        r3           done",
        "request     ✓ +0.00   ·         –         ·             1/1",
        "pre-prepare ✓ +0.50   ✓ +0.51   –         ✓ +0.53       2/3",
        "prepare     ✓3/2      ✗1/2 ✗3   –         ·0/2          1/3",
        "commit      ·0/3      ·0/3      –         ·0/3          0/3",
        "reply       ·         ·         –         ·             0/2",
        "≠ replica 3: another batch or view than the others tell of",
    ]


def test_a_diagram_shows_messages_in_the_order_of_time():
    """Each row is a message as its receiver had it; times count from the request."""
    quick: dict[str, Any] = {"prepares": {"1": BEGIN_US + 1000}, "commits": {"0": BEGIN_US + 1_234_567}}
    drawn = sequence_diagram(shown(tellers=2, **quick), 66, 20)
    assert drawn.plain.split("\n") == [
        "                         client  r0*     r1      r2      r3      ",
        "    +0.00 ms request     ├──────→│       │       │       │       ",
        "    +0.51 ms pre-prepare │       ├──────→│       │       │       ",
        "    +1.00 ms prepare     │       │←──────┤       │       │       ",
        "    +2.00 ms reply       │←──────┤       │       │       │       ",
        "    +2.01 ms reply       │←──────┼───────┤       │       │       ",
    ]


def test_a_late_message_is_drawn_late():
    """The commit of a slow replica comes at its own time, with fewer digits."""
    late: dict[str, Any] = {"commits": {"1": BEGIN_US + 234_567, "0": BEGIN_US + 9000}}
    drawn = sequence_diagram(shown(tellers=2, **late), 66, 20).plain.split("\n")
    assert drawn[-1] == "   +234.6 ms commit      │       │←──────┤       │       │       "


def test_a_diagram_of_thirteen_fits_eighty_columns_and_scrolls():
    """A bounded part of the arrows is shown, and how many are below it."""
    large = shown(13)
    rows = diagram_rows(large)
    assert rows > 200
    first = sequence_diagram(large, 80, 10).plain.split("\n")
    assert len(first) == 10
    assert first[0].split() == ["c", "r0*", *(f"r{each}" for each in range(1, 13))]
    assert first[-1] == f"… {rows - 8} more below"
    last = sequence_diagram(large, 80, 10, top=rows - 9).plain.split("\n")
    assert len(last) == 10
    assert "reply" in last[-1]
    beyond = sequence_diagram(large, 80, 10, top=10**9).plain.split("\n")
    assert beyond[1:] == last[-1:]


def test_what_does_not_fit_says_what_it_takes():
    """A sentence stands where a drawing would be unreadable, itself within the width."""
    said = matrix(shown(13), 40).plain
    assert said.replace("\n", " ") == "The table of 13 replicas takes 58 columns, and here are 40: widen the window."
    assert matrix(shown(13), 58).plain.count("✓") > 40
    said = sequence_diagram(shown(13), 40, 10).plain
    assert said.replace("\n", " ") == "The diagram of 13 replicas takes 72 columns, and here are 40: widen the window."
    assert "→" in sequence_diagram(shown(13), 72, 10).plain


@pytest.mark.parametrize("n", [4, 5, 7, 10, 13, 31])
def test_nothing_is_drawn_beyond_its_room(n: int):
    """From 1 to 130 columns, and from no line to thirty."""
    drawn = shown(n, differing=[1, 2], digest=OTHER)
    for width in range(1, 131):
        for text in (matrix(drawn, width), sequence_diagram(drawn, width, 30, top=3)):
            assert all(cell_len(line) <= width for line in text.plain.split("\n")), width
    for height in range(1, 30):
        assert sequence_diagram(drawn, 130, height).plain.count("\n") < height


def test_a_sparkline_shows_the_latest_points_from_nothing_to_the_greatest():
    """Gaps stay blank, and a line shorter than its room stands at the right."""
    assert sparkline((0, 1, 2, 4, 8, None, 8), 7).plain == "▁▂▃▅█ █"
    assert sparkline((8, 0, 8), 2).plain == "▁█"
    assert sparkline((1.0,), 4).plain == "   █"
    assert sparkline((None, 0.0, 0.0), 3).plain == " ▁▁"
    assert sparkline((), 3).plain == "   "
    assert sparkline((1.0,), 0).plain == ""


STATEMENTS = (
    r"sequenceDiagram",
    r" +participant (C|R\d+) as (?P<text>[^#;:\n]+)",
    r" +Note over C,R\d+: (?P<text>[^#;:\n]+)",
    r" +(C|R\d+)(->>|-->>|-x)(C|R\d+): (?P<text>[^#;:\n]+)",
)
"""What we write of Mermaid's grammar for sequence diagrams. In its lexer `#` opens a comment, `;` ends a statement, and
"end" closes a block wherever it stands alone; entity codes are taken out before it reads."""


def parse(text: str) -> list[str]:
    """The texts of a diagram as a reader sees them; raises AssertionError for what Mermaid would not parse."""
    texts = []
    without_codes = re.sub(r"#(\d+);", lambda code: f"\ufdd0{code[1]}\ufdd1", text)
    for line in without_codes.removesuffix("\n").split("\n"):
        found = next((match for form in STATEMENTS if (match := re.fullmatch(form, line))), None)
        assert found is not None, line
        words = found.groupdict().get("text", "")
        assert not re.search(r"\bend\b", words, re.IGNORECASE), line
        texts.append(re.sub("\ufdd0(\\d+)\ufdd1", lambda code: chr(int(code[1])), words))
    return texts


def test_mermaid_tells_the_same_story():
    """Participants first, then what it is about, then every message."""
    quick: dict[str, Any] = {"prepares": {"1": BEGIN_US + 1000}, "commits": {}, "executed_us": None}
    text = mermaid(shown(tellers=2, **quick))
    assert text.split("\n")[:3] == [
        "sequenceDiagram",
        "    participant C as client alice",
        "    participant R0 as replica 0 #40;primary#41;",
    ]
    assert parse(text)[6:] == [
        "sequence 12 in view 0: alice #3: 1 operation",
        "request +0.00 ms",
        "pre-prepare +0.51 ms",
        "prepare +1.00 ms",
    ]
    assert "\n    R1->>R0: prepare #43;1.00 ms\n" in text


def test_mermaid_marks_another_batch():
    """A vote that named another batch ends in a cross."""
    model = started()
    for replica in range(3):
        model.apply(flow(replica, differing=[3] if replica == 1 else []), BEGIN_US + 10_000)
    drawn = model.flow()
    assert drawn is not None
    assert "R3-xR1: prepare" in mermaid(drawn)


@pytest.mark.parametrize("name", ["end", "End", "a;b", "a#b", "#35;", "x: y", "a\nR0->>R1: lie", "<b>", "%%{init}%%"])
def test_no_name_breaks_mermaid(name: str):
    """A client may be called what ends a statement, opens a comment or is a word of the language."""
    texts = parse(mermaid(shown(requests=[{"client": name, "timestamp": 1, "operations": 1}])))
    assert texts[1] == f"client {name}".replace("\n", "\\u000a")


@given(st.text(max_size=50))
def test_any_name_is_drawn_within_mermaids_grammar(name: str):
    """Whatever a name is made of, the diagram parses and no line is added."""
    drawn = shown(requests=[{"client": name, "timestamp": 1, "operations": 1}])
    assert mermaid(drawn).count("\n") == 6 + 1 + len(drawn.arrows)
    parse(mermaid(drawn))
