"""The sharing out of a terminal's lines."""

from __future__ import annotations

import pytest

from pbft.dashboard.arrangement import MIN_COLUMNS, MIN_LINES, Arrangement, arrange


def total(found: Arrangement) -> int:
    return found.header + found.table + found.flow + found.log + found.panel + found.results


@pytest.mark.parametrize("replicas", [4, 7, 13, 31])
@pytest.mark.parametrize("lines", [24, 25, 30, 41, 80])
@pytest.mark.parametrize(("panel", "tall"), [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("alarm", [False, True])
def test_every_line_is_given_to_somebody(replicas: int, lines: int, panel: bool, tall: bool, alarm: bool) -> None:
    """The parts fill the screen above input line, hint and keys exactly, and none that is shown is too small."""
    found = arrange(MIN_COLUMNS, lines, replicas, panel, tall, alarm)

    assert found is not None
    assert total(found) == lines - 3
    assert found.table >= 4
    assert found.header == 2 + alarm
    assert found.results >= 4 - alarm
    assert bool(found.panel) is panel
    assert found.panel >= 5 if panel else found.flow >= 6
    assert (found.log >= 3) is not panel


def test_all_replicas_are_seen_where_there_is_room() -> None:
    """Four replicas have their four lines below a heading even on the smallest screen."""
    for alarm in (False, True):
        found = arrange(MIN_COLUMNS, MIN_LINES, 4, False, False, alarm)

        assert found is not None
        assert found.table == 5


def test_a_diagram_gets_more_lines_than_a_matrix() -> None:
    """What is longer than a matrix takes lines from the log, not from the results."""
    matrix, diagram = arrange(100, 30, 4, False, False), arrange(100, 30, 4, False, True)

    assert matrix is not None
    assert diagram is not None
    assert diagram.flow > matrix.flow
    assert diagram.log < matrix.log


@pytest.mark.parametrize(("columns", "lines"), [(MIN_COLUMNS - 1, 50), (200, MIN_LINES - 1), (0, 0)])
def test_a_small_screen_is_refused(columns: int, lines: int) -> None:
    """Below the least size nothing is shared out: one sentence says so instead."""
    assert arrange(columns, lines, 4, False, False) is None
