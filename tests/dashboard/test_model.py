"""What the dashboard makes of what replicas, keeper and our own calls tell."""

from __future__ import annotations

from typing import Any

import pytest

from pbft.dashboard.model import Model
from pbft.dashboard.views import POINTS
from pbft.lab.state import LinksState
from tests.dashboard.telling import (
    BEGIN_US,
    OTHER,
    SECOND_US,
    counters,
    flow,
    hello,
    incident,
    lab,
    log_of,
    started,
)

HUGE = 10**18


def test_before_anybody_speaks_nothing_is_claimed():
    """An empty model has a header, a row a replica, no flow and an empty minute."""
    model = Model(4, 1)
    header = model.header()
    assert (header.view, header.throughput, header.p50_ms, header.speaking, header.budget) == (
        None,
        None,
        None,
        0,
        "0/1",
    )
    assert [row.health for row in model.rows()] == ["no answer"] * 4
    assert model.flow() is None
    assert model.series().throughput == (None,) * POINTS


def test_a_liar_is_outvoted_in_all_that_is_said_of_the_group():
    """View, executed and stable are what f+1 tell; the liar's own row shows the liar's own word."""
    model = started(view=2, executed=40, stable_checkpoint=32)
    model.apply(counters(3, view=HUGE, executed=HUGE, stable_checkpoint=HUGE), BEGIN_US)
    header = model.header()
    assert (header.view, header.primary, header.executed, header.stable) == (2, 2, 40, 32)
    assert header.group == "01234567"
    assert header.application == "Counter"
    assert model.rows()[3].view == HUGE
    assert [row.role for row in model.rows()] == ["backup", "backup", "primary", "backup"]


def test_a_view_change_seen_from_four_replicas_makes_three_lines():
    """The first complaint is one replica's word, f+1 make a fact of it, and the new view is told of once."""
    model = started()
    stalled = "nothing was executed though something waits"
    for replica in (2, 1, 3):
        cause = stalled if replica != 3 else "f+1 others have left it"
        model.apply(incident(replica, "view left", left=0, asks_for=1, cause=cause, timeout_ms=2000), BEGIN_US)
        model.apply(counters(replica, target=1), BEGIN_US)
    assert [row.health for row in model.rows()] == ["ok", *["view change to 1"] * 3]
    for replica in range(4):
        model.apply(incident(replica, "view entered", view=1, stable=0, proposed_again=0), BEGIN_US)
        model.apply(counters(replica, view=1), BEGIN_US)
    assert log_of(model) == [
        f"replica 2: asks for view 1 in place of 0 (primary: replica 0): {stalled}",
        f"group: replicas 1 and 2 ask for view 1, so all correct ones join: {stalled}",
        "group: view 1 began: replica 1 is the primary now",
    ]
    assert (model.header().view, model.header().primary) == (1, 1)


def test_a_view_change_of_a_group_that_began_anew_is_told_of_again():
    """When every process is another one, view 1 can come a second time."""
    model = started()
    for process in (1, 2):
        for replica in range(4):
            model.apply(hello(replica, pid=1000 * process), BEGIN_US)
            model.apply(counters(replica, pid=1000 * process + replica), BEGIN_US)
        before = model.logged
        for replica in (1, 2):
            model.apply(incident(replica, "view left", left=0, asks_for=1, cause="stalled"), BEGIN_US + process)
        assert log_of(model, before)[-1].startswith("group: replicas 1 and 2 ask for view 1")


def test_one_complainer_changes_no_view_and_fills_no_log():
    """A liar that asks for view after view gets one line, and the group's view stays."""
    model = started()
    for view in range(1, 200):
        model.apply(incident(3, "view left", left=view - 1, asks_for=view, cause="I say so"), BEGIN_US)
    assert len(log_of(model)) == 1
    assert model.header().view == 0


def test_a_replica_is_killed_and_comes_back():
    """The row, the budget and the log follow the keeper and the stream."""
    model = started()
    model.apply(lab(), BEGIN_US)
    assert (model.header().budget, model.header().budget_style) == ("0/1", "green")
    model.apply({"event": "gone", "replica": 2}, BEGIN_US)
    model.apply({"event": "gone", "replica": 2}, BEGIN_US)
    model.apply(lab({2: "killed"}), BEGIN_US)
    model.apply({"event": "fault", "us": BEGIN_US, "command": "kill 2", "said": "replica 2 was killed"}, BEGIN_US)
    row = model.rows()[2]
    assert (row.health, row.style, row.running, row.pid, row.memory) == ("killed", "red", False, None, "")
    assert row.executed == 5
    assert (model.header().budget, model.header().faulty, model.header().beyond) == ("1/1", ((2, "killed"),), "")
    assert model.header().speaking == 3

    model.apply(lab(restarted=[2]), BEGIN_US)
    model.apply(hello(2, pid=200), BEGIN_US)
    model.apply(counters(2, pid=202, executed=0, operations=0), BEGIN_US)
    row = model.rows()[2]
    assert (row.health, row.running, row.pid, row.executed) == ("ok, but forgot its votes", True, 202, 0)
    assert log_of(model) == [
        "replica 2: is gone: its stream has ended",
        "lab: :kill 2: replica 2 was killed",
        "replica 2: is back",
    ]


def test_a_keeper_that_ends_takes_its_word_along():
    """Nobody knows of faults then; it is told once."""
    model = started()
    model.apply(lab({2: "killed"}, links=LinksState(((0, 1),))), BEGIN_US)
    for _ in range(2):
        model.apply({"event": "gone", "replica": None, "us": BEGIN_US}, BEGIN_US)
    assert log_of(model) == ["lab: the keeper of this group has ended, and its replicas with it"]
    assert (model.header().used, model.header().network, model.rows()[2].health) == (0, "", "ok")


def test_a_process_that_ends_by_itself_is_told_of_with_its_last_words():
    """No fault was ordered, so nobody else would tell."""
    model = started()
    model.apply(lab(), BEGIN_US)
    model.apply(lab({1: "ended"}, words="disk\x1b[31m full"), BEGIN_US)
    assert log_of(model) == ["replica 1: ended by itself: disk\\u001b[31m full"]
    assert model.rows()[1].health == "ended: disk\\u001b[31m full"


@pytest.mark.parametrize(
    ("event", "health", "style"),
    [
        (counters(3), "ok", "green"),
        (counters(3, health="behind by 7"), "behind by 7", "yellow"),
        (counters(3, health="behind by " + "9" * 500), f"behind by {'9' * 19}", "yellow"),
        (counters(3, target=4), "view change to 4", "yellow"),
        (counters(3, transferring=128), "fetching the state at 128", "yellow"),
        (counters(3, state_digest=OTHER), "another state than f+1 others after 5", "red"),
        (counters(3, view="two"), "says nothing of itself", "yellow"),
        (lab({3: "paused"}), "paused", "yellow"),
        (lab({3: "stopped"}), "stopped", "red"),
        (lab({3: "killed"}, lies={3: "Silent"}), "killed", "red"),
        (lab(lies={3: "Equivocator"}), "lying: Equivocator", "magenta"),
        (hello(3, lies="Censor"), "lying: Censor", "magenta"),
        ({"event": "gone", "replica": 3}, "no answer", "red"),
    ],
)
def test_health_is_said_in_words(event: dict[str, Any], health: str, style: str):
    """Each condition has its words and its colour."""
    model = started()
    model.apply(event, BEGIN_US)
    assert (model.rows()[3].health, model.rows()[3].style) == (health, style)
    assert model.rows()[0].health == "ok"


def test_a_replica_that_stands_still_is_behind_where_the_group_was_two_seconds_ago():
    """One that merely spoke a moment earlier than others is not called behind."""
    model = started(executed=100)
    for step in range(13):
        now_us = BEGIN_US + step * SECOND_US // 4
        for replica in range(4):
            executed = 100 if replica == 3 else 100 + 10 * step
            model.apply(counters(replica, executed=executed, state_digest=None), now_us)
        model.tick(now_us)
    assert [row.health for row in model.rows()] == ["ok", "ok", "ok", "behind by 40"]


def test_silence_is_noticed_and_its_end_too():
    """A stream that stays open without a word, as of a stopped process, counts as no answer."""
    model = started()
    later_us = BEGIN_US + 3 * SECOND_US
    for replica in range(3):
        model.apply(counters(replica), later_us)
    model.tick(later_us)
    model.tick(later_us)
    assert [row.health for row in model.rows()] == ["ok", "ok", "ok", "no answer"]
    assert model.header().faulty == ((3, "no answer"),)
    model.apply(counters(3), later_us)
    assert log_of(model) == ["replica 3: has fallen silent", "replica 3: speaks again"]


@pytest.mark.parametrize(
    ("event", "budget", "words"),
    [
        (lab({0: "killed"}), "1/1", ""),
        (lab({0: "killed", 1: "paused"}), "2/1", "answers stay right, but that there will be any"),
        (lab({0: "killed"}, lies={1: "Silent"}), "2/1", "answers stay right, but that there will be any"),
        (lab(lies={0: "Silent", 1: "Silent"}), "2/1", "nothing is promised any more"),
        (lab(lies={0: "Silent"}, restarted=[1]), "2/1", "nothing is promised any more"),
        (lab({0: "killed"}, lies={0: "Silent"}, restarted=[1]), "2/1", "nothing is promised any more"),
        (lab({0: "paused", 1: "killed"}, restarted=[0, 1]), "2/1", "nothing is promised any more"),
    ],
)
def test_beyond_f_a_sentence_says_what_is_no_longer_promised(event: dict[str, Any], budget: str, words: str):
    """Who is away breaks progress only; who lies or forgot breaks everything."""
    model = started()
    model.apply(event, BEGIN_US)
    header = model.header()
    assert header.budget == budget
    assert (words in header.beyond) if words else header.beyond == ""
    assert header.budget_style == ("yellow" if not words else "bold red")


def test_who_was_never_heard_while_others_speak_counts_too():
    """Where no keeper says who runs, silence is all there is to go by; of a group nobody heard of nothing is said."""
    model = Model(4, 1)
    model.tick(BEGIN_US)
    later_us = BEGIN_US + 3 * SECOND_US
    model.tick(later_us)
    assert model.header().budget == "0/1"
    for replica in (0, 1):
        model.apply(counters(replica), later_us)
    assert model.header().faulty == ((2, "no answer"), (3, "no answer"))
    assert "answers stay right" in model.header().beyond


def test_who_has_another_state_than_f_others_counts_too():
    """The keeper knows of faults that it made; what replicas show by themselves counts beside them."""
    model = started()
    model.apply(lab(lies={0: "Silent"}), BEGIN_US)
    assert model.header().budget == "1/1"
    model.apply(counters(3, state_digest="cc" * 32), BEGIN_US)
    assert model.header().faulty == ((0, "lies: Silent"), (3, "another state than f+1 others"))
    assert "nothing is promised any more" in model.header().beyond


def test_network_faults_are_in_words_and_count_against_nobody():
    """They are the adversary's right (design 1)."""
    model = started()
    links = LinksState(((0, 1),), (("*", "*", 20),), ((2, 3, 50),), ("prepares from 3 to 1: drop",), True, 3)
    model.apply(lab(links=links), BEGIN_US)
    words = "cut 0–1, loss 20%, delay 50 ms 2–3, prepares from 3 to 1: drop, stepping, 3 messages held"
    assert model.header().network == words
    assert model.header().used == 0


def test_throughput_is_what_f_plus_1_reach_and_a_liar_counts_as_one_of_them():
    """Rates come from counts over time; one boast changes neither number."""
    model = started()
    for second in (1, 2):
        now_us = BEGIN_US + second * SECOND_US
        for replica in range(4):
            boast = HUGE // 4 * second if replica == 3 else 0
            done = 5 + 100 * second + boast
            model.apply(counters(replica, operations=done, messages_in=45 + done, messages_out=45 + done), now_us)
    header = model.header()
    assert header.throughput == pytest.approx(100)
    assert header.messages == pytest.approx(4 * 200)


def test_counts_that_fall_are_another_process():
    """A replica that came back has no negative rate."""
    model = started(operations=10_000)
    for replica in range(4):
        model.apply(counters(replica, operations=0), BEGIN_US + SECOND_US)
    assert model.header().throughput is None


def test_latency_is_our_own_calls_where_there_are_any():
    """Else what sampled sequences took at their primary; what is older than 30 s counts no more."""
    model = started()
    for sequence in range(1, 5):
        model.apply(flow(0, sequence), BEGIN_US + 10_000)
    # Neither a backup nor the primary of a view that the group is not in is whom it counts at.
    model.apply(flow(1, 9, request_us=BEGIN_US), BEGIN_US + 10_000)
    model.apply(flow(3, 9, view=3, executed_us=BEGIN_US + 9_000), BEGIN_US + 10_000)
    assert (model.header().p50_ms, model.header().p99_ms, model.header().latency_of) == (2.0, 2.0, "flows")
    for ms in range(1, 101):
        model.note_call(ms, BEGIN_US + 20_000)
    model.note_call(float("nan"))
    model.note_call(-1)
    assert (model.header().p50_ms, model.header().p99_ms, model.header().latency_of) == (50, 99, "calls")
    model.tick(BEGIN_US + 31 * SECOND_US)
    assert (model.header().p50_ms, model.header().latency_of) == (None, "")


def test_a_series_has_a_point_a_second_and_gaps_where_nobody_looked():
    """The newest point is the last; seconds that passed unseen are empty."""
    model = started()
    for quarter in range(1, 9):
        now_us = BEGIN_US + quarter * SECOND_US // 4
        for replica in range(4):
            model.apply(counters(replica, operations=5 + 25 * quarter), now_us)
        model.note_call(quarter, now_us)
        model.tick(now_us)
    series = model.series()
    assert series.throughput[-2:] == (100, 100)
    assert series.latency_ms[-2:] == (2, 6)
    assert set(series.throughput[:-2]) == {None}
    model.tick(BEGIN_US + 5 * SECOND_US)
    assert model.series().throughput[-5:] == (100, 100, None, None, None)
    model.tick(BEGIN_US + 10**9 * SECOND_US)
    assert model.series().throughput == (None,) * POINTS


def test_while_our_load_runs_its_latency_is_that_of_header_and_curve():
    """Both go by what the load measures; a second in which nothing was answered has no point."""
    model = started()
    model.note_call(500, BEGIN_US)
    model.note_load((0, None, None))
    assert (model.header().p50_ms, model.header().latency_of) == (500, "calls")
    for second, load in enumerate([(10, 7.0, 30.0), (20, 8.0, 31.0), (20, 8.0, 31.0)], start=1):
        model.note_load(load)
        model.tick(BEGIN_US + second * SECOND_US)
        assert (model.header().p50_ms, model.header().p99_ms, model.header().latency_of) == (*load[1:], "load")
    assert model.series().latency_ms[-3:] == (7.0, 8.0, None)
    model.note_load(None)
    assert (model.header().p50_ms, model.header().latency_of) == (500, "calls")


def test_a_group_that_this_program_starts_is_starting_until_it_is_heard():
    """A replica that was never heard counts against nobody until the start is over; then silence is silence."""
    model = Model(4, 1, starting=True)
    for second in range(10):
        model.tick(BEGIN_US + second * SECOND_US)
    assert [row.health for row in model.rows()] == ["starting"] * 4
    assert model.header().starting
    now_us = BEGIN_US + 10 * SECOND_US
    model.apply(counters(0), now_us)
    assert [row.health for row in model.rows()] == ["ok", *["starting"] * 3]
    assert not model.header().starting
    assert model.header().faulty == ()
    model.begun(True, now_us)
    model.tick(now_us + SECOND_US)
    assert model.rows()[1].health == "starting"
    model.tick(now_us + 3 * SECOND_US)
    assert [row.health for row in model.rows()] == ["no answer"] * 4

    failed = Model(4, 1, starting=True)
    failed.begun(False, BEGIN_US)
    assert [row.health for row in failed.rows()] == ["no answer"] * 4
    assert not failed.header().starting
