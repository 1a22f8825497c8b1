"""The lines below the table of `pbft status`: what was ignored, and what nobody keeps."""

from __future__ import annotations

from typing import Any

import pytest

from pbft.cli.status import notes
from pbft.lab.survey import Seen, Survey


def survey(*reports: dict[str, Any] | None) -> Survey:
    return Survey(tuple(Seen(i, None, each, "ok") for i, each in enumerate(reports)), 3, 2)


def test_reasons_are_summed_over_replicas_the_largest_first():
    """Of equal counts the first by name comes first; what never happened is not told."""
    found = survey(
        {"ignored": {"stale": 10, "replayed": 4, "wrong view": 0}},
        {"ignored": {"stale": 13, "bad tag": 4}},
        None,
    )
    assert notes(found) == ["ignored: stale 23, bad tag 4, replayed 4"]


def test_everyday_reasons_are_not_told():
    """Votes after the quorum and repetitions are no news; they would hide what is."""
    assert notes(survey({"ignored": {"surplus": 8, "duplicate": 2}})) == []


def test_nothing_to_say():
    """Durable replicas that ignored nothing, and replicas that do not answer, need no lines."""
    assert notes(survey({"ignored": {}, "durable": True}, None, {})) == []


def test_what_is_kept_in_memory_only():
    """Only replicas that say so are named."""
    (line,) = notes(survey({"durable": False}, {"durable": True}, {"durable": False}, None))
    assert line == "Votes and state of replicas 0 and 2 are kept in memory only, and forgotten with the process."


@pytest.mark.parametrize("lie", [5, {"stale": "much"}, {"stale": -1}, {"stale": True}, {"stale": 10**50}])
def test_counts_of_a_liar_change_no_others(lie: object):
    """What is no count is passed over."""
    assert notes(survey({"ignored": {"stale": 1}}, {"ignored": lie, "durable": 0})) == ["ignored: stale 1"]


def test_a_liars_words_neither_steer_nor_fill_the_terminal():
    """Its reasons are cleaned and cut, and only the largest are shown."""
    (steering,) = notes(survey({"ignored": {"\x1b[2J" + "x" * 1_000: 5}}))
    assert "\x1b" not in steering
    assert len(steering) < 60
    (many,) = notes(survey({"ignored": {f"reason {i:02}": 100 - i for i in range(90)}}))
    assert many.startswith("ignored: reason 00 100, reason 01 99,")
    assert many.endswith("reason 11 89, …")
