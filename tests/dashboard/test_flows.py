"""How one sequence's flow is put together from what its replicas say that they saw."""

from __future__ import annotations

from typing import Any

from tests.dashboard.telling import BEGIN_US, OTHER, SECOND_US, flow, hello, started


def test_a_flow_is_put_together_from_all_accounts():
    """Counts are what each replica holds of what n makes it need; the client's wait ends with f+1 replies."""
    model = started()
    for replica in range(3):
        model.apply(flow(replica), BEGIN_US + 10_000)
    shown = model.flow()
    assert shown is not None
    assert (shown.sequence, shown.view, shown.primary, shown.digest) == (12, 0, 0, "abababab")
    assert (shown.client, shown.requests, shown.tellers, shown.finished) == (
        "alice",
        ("alice #3: 1 operation",),
        (0, 1, 2),
        True,
    )
    assert [(each.name, each.done, each.needed) for each in shown.phases] == [
        ("request", 1, 1),
        ("pre-prepare", 3, 3),
        ("prepare", 3, 3),
        ("commit", 3, 3),
        ("reply", 3, 2),
    ]
    prepare = shown.phases[2]
    assert [(each.told, each.received, each.needed, each.after_us) for each in prepare.cells] == [
        (True, 3, 2, 1100),
        (True, 3, 2, 1110),
        (True, 3, 2, 1120),
        (False, 0, 1, None),
    ]
    assert [(each.sender, each.receiver, each.after_us) for each in shown.arrows if each.phase == "pre-prepare"] == [
        (0, 1, 510),
        (0, 2, 520),
    ]
    assert sorted(each.after_us for each in shown.arrows) == [each.after_us for each in shown.arrows]


def test_a_flow_fills_as_votes_arrive():
    """What has not happened yet is missing, and the needs follow n."""
    model = started(n=7)
    votes = {"1": BEGIN_US + 1000, "2": BEGIN_US + 1001}
    late: dict[str, Any] = {
        "prepares": votes,
        "prepared_us": None,
        "commits": {},
        "committed_us": None,
        "executed_us": None,
    }
    for replica in range(4):
        model.apply(flow(replica, n=7, **late), BEGIN_US + 10_000)
    shown = model.flow()
    assert shown is not None
    assert not shown.finished
    assert [(each.received, each.needed, each.done) for each in (phase.cells[1] for phase in shown.phases)] == [
        (0, 1, False),
        (1, 1, True),
        (2, 4, False),
        (0, 5, False),
        (0, 1, False),
    ]


def test_votes_for_another_batch_are_marked_where_they_were_seen():
    """An equivocating primary splits its backups; a backup that votes otherwise is named by who saw it."""
    model = started()
    model.apply(flow(0), BEGIN_US + 10_000)
    prepares = {"1": BEGIN_US + 1000}
    model.apply(flow(1, differing=[2], prepares=prepares), BEGIN_US + 10_000)
    model.apply(flow(2, digest=OTHER, differing=[0, 9, "x", True]), BEGIN_US + 10_000)
    shown = model.flow()
    assert shown is not None
    assert shown.others == (2,)
    assert shown.phases[2].cells[1].differing == (2,)
    assert shown.phases[1].cells[2].differing == (0,)
    assert all(arrow.differing for arrow in shown.arrows if arrow.receiver == 2)


def test_who_has_votes_and_no_proposal_contradicts_nobody():
    """Its digest is not known yet; what the batch holds, others tell, and how many requests there are besides."""
    model = started()
    model.apply(flow(0, digest=None, requests=[], pre_prepare_us=None), BEGIN_US + 10_000)
    model.apply(flow(1, digest=None, requests=[], pre_prepare_us=None), BEGIN_US + 10_000)
    requests = [{"client": "bob", "timestamp": each, "operations": 2} for each in range(16)]
    model.apply(flow(2, requests=requests, request_count=40), BEGIN_US + 10_000)
    shown = model.flow()
    assert shown is not None
    assert (shown.digest, shown.others, shown.client) == ("abababab", (), "bob")
    assert shown.requests == ("bob #0: 2 operations", "bob #1: 2 operations", "bob #2: 2 operations", "and 37 more")
    assert not any(arrow.differing for arrow in shown.arrows)


def test_a_prepare_of_the_primary_is_none():
    """Its vote is its pre-prepare (OSDI'99 section 4.2), whatever a replica tells."""
    model = started()
    prepares = {str(each): BEGIN_US + 1000 for each in range(4)}
    for replica in range(2):
        model.apply(flow(replica, prepares=prepares), BEGIN_US + 10_000)
    shown = model.flow()
    assert shown is not None
    assert shown.phases[2].cells[1].received == 3
    assert not any(arrow.sender == 0 and arrow.phase == "prepare" for arrow in shown.arrows)


def test_another_process_of_a_replica_tells_anew():
    """When all began anew, sequences of before are nobody's any more."""
    model = started()
    for replica in range(4):
        model.apply(flow(replica, 900), BEGIN_US + 10_000)
    for replica in range(4):
        model.apply(hello(replica, pid=500), BEGIN_US + 10_000)
        model.apply(flow(replica, 1), BEGIN_US + 10_000)
    shown = model.flow()
    assert shown is not None
    assert (shown.sequence, shown.tellers) == (1, (0, 1, 2, 3))


def test_the_latest_flow_is_one_that_f_plus_1_tell_of():
    """A liar's inventions neither hide what the group does nor push it out."""
    model = started()
    for replica in range(3):
        model.apply(flow(replica), BEGIN_US + 10_000)
    for sequence in range(13, 1000):
        model.apply(flow(3, sequence), BEGIN_US + 10_000)
    model.tick(BEGIN_US + 60 * SECOND_US)
    shown = model.flow()
    assert shown is not None
    assert shown.sequence == 12


def test_a_proposal_that_nobody_else_has_is_shown_once_the_others_are_quiet():
    """While links are held only the primary knows of it: this is what stepping is for. Beyond the watermark none is."""
    model = started()
    for replica in range(3):
        model.apply(flow(replica), BEGIN_US)
    model.apply(flow(0, 13, begin_us=BEGIN_US + 1000), BEGIN_US + 10_000)
    model.apply(flow(0, 10_000, begin_us=BEGIN_US + 1000), BEGIN_US + 10_000)
    assert model.flow().sequence == 12  # type: ignore[union-attr] # there is one
    model.tick(BEGIN_US + 2 * SECOND_US)
    assert model.flow().sequence == 13  # type: ignore[union-attr] # there is one


def test_a_sequence_proposed_again_is_shown_in_the_later_view():
    """Among equal followings the later view wins."""
    model = started()
    model.apply(flow(1), BEGIN_US + 10_000)
    model.apply(flow(2), BEGIN_US + 10_000)
    for replica in (0, 3):
        model.apply(flow(replica, view=1), BEGIN_US + 10_000)
    shown = model.flow()
    assert shown is not None
    assert (shown.view, shown.primary, shown.others) == (1, 1, (1, 2))


def test_times_that_cannot_be_are_no_times():
    """A liar's beginning of time and its future would make every label useless."""
    model = started()
    for replica in range(1, 3):
        model.apply(flow(replica), BEGIN_US + 10_000)
    model.apply(
        flow(0, request_us=BEGIN_US - 599 * SECOND_US, executed_us=BEGIN_US + 3600 * SECOND_US), BEGIN_US + 10_000
    )
    shown = model.flow()
    assert shown is not None
    assert max(arrow.after_us for arrow in shown.arrows) < 10_000
    assert not shown.phases[4].cells[0].done
