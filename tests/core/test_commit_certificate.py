"""Commit certificates: what lets a replica execute where it cannot have the votes (design 4.9)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pbft.core.effects import Broadcast, CommittedLocal, Executed, Persist, Reason, Send
from pbft.core.envelope import Envelope, Kind, genuine
from pbft.core.group import Limits
from pbft.core.messages import CommitCertificate, unpack
from tests.core.builders import WALL_MS, Microscope, Scene, Turn, forged

LIMITS = Limits(checkpoint_interval=4, log_size=8)
HOLDS_A_BATCH = b"\1"
"""What a status says of a sequence of which its sender holds a batch."""


def watch(n: int = 4, me: int = 2) -> Microscope:
    return Scene(n, limits=LIMITS).watch(me)


def ran(turn: Turn) -> list[int]:
    return [each.sequence for each in turn.of(Executed)]


# Taken.


@pytest.mark.parametrize("n", [4, 7])
def test_a_certificate_with_its_batch_is_executed(n):
    """No pre-prepare, prepare or commit came: a quorum's signatures are enough, and nothing is voted for it."""
    watched = watch(n)
    proposal = watched.scene.pre_prepare(1, watched.scene.request())
    turn = watched.give(watched.scene.committed(0, proposal))
    assert ran(turn) == [1]
    assert turn.answers()
    assert not [each for each in turn.effects if isinstance(each, Persist | Broadcast | Send)]
    (committed,) = turn.of(CommittedLocal)
    assert len({each.sender for each in committed.certificate}) == watched.scene.group.quorums.committed
    assert all(genuine(watched.scene.group, watched.scene.verifier, each) for each in committed.certificate)


@pytest.mark.parametrize("view", [0, 1, 3, 9])
def test_it_counts_in_whichever_view_it_was_made(view):
    """A replica in view 1, or on its way to another, executes what committed in any view: that never changes."""
    for begin in ("in view 0", "in view 1", "changing"):
        watched = watch(me=3)
        if begin == "in view 1":
            watched.enter(1)
        elif begin == "changing":
            watched.give(watched.scene.request("bob"))
            watched.wait(1_000)
            assert watched.replica.status().target == 1
        proposal = watched.scene.pre_prepare(1, watched.scene.request(), view=view)
        (executed,) = watched.give(watched.scene.committed(0, proposal)).of(Executed)
        assert (executed.view, executed.sequence) == (view, 1)


def test_a_batch_that_is_held_need_not_come_again():
    """The certificate alone completes a proposal that is here: held back for its time, or made in another view."""
    for time_ms in (WALL_MS, WALL_MS - 86_400_000):
        watched = watch()
        proposal = watched.scene.pre_prepare(1, watched.scene.request(), time_ms=time_ms)
        watched.give(proposal)
        assert ran(watched.give(replace(watched.scene.committed(0, proposal), beside=b""))) == [1]
    watched = watch()
    watched.give(watched.scene.pre_prepare(1))
    again = replace(watched.scene.committed(0, watched.scene.pre_prepare(1, view=3)), beside=b"")
    assert [each.view for each in watched.give(again).of(Executed)] == [3]


def test_its_time_is_not_judged():
    """f+1 correct members found it near their clocks when they voted (design 4.5)."""
    watched = watch()
    watched.wall_offset_ms = 86_400_000
    assert ran(watched.give(watched.scene.committed(0, watched.scene.pre_prepare(1, watched.scene.request())))) == [1]


def test_certificates_are_executed_in_order():
    """One beyond a gap waits until what lies between has come, as a certificate or through the phases."""
    watched = watch()
    first, second, third = (watched.scene.pre_prepare(each, watched.scene.request("alice", each)) for each in (1, 2, 3))
    assert ran(watched.give(watched.scene.committed(0, third))) == []
    assert ran(watched.agree(second)) == []
    assert watched.replica.status().in_flight == 2
    assert ran(watched.give(watched.scene.committed(0, first))) == [1, 2, 3]


def test_null_requests_commit_too():
    """What a new view filled its gaps with is handed on like any batch."""
    watched = watch()
    null = watched.scene.propose(1, b"\x82\x00\x80", view=1)
    (executed,) = watched.give(watched.scene.committed(0, null)).of(Executed)
    assert (executed.view, executed.requests) == (1, ())


def test_a_certificate_for_another_batch_than_was_proposed_prevails():
    """What a quorum committed in a later view is what this sequence is, whatever an earlier primary proposed here."""
    watched = watch()
    scene = watched.scene
    watched.give(scene.pre_prepare(1, scene.request("alice")))
    other = scene.pre_prepare(1, scene.request("bob"), view=1)
    (executed,) = watched.give(scene.committed(0, other)).of(Executed)
    assert [each.client for each in executed.requests] == [scene.key("bob")]


def test_votes_that_come_after_it_change_nothing():
    """The phases of a sequence that ran by its certificate end without running it again."""
    watched = watch()
    proposal = watched.scene.pre_prepare(1, watched.scene.request())
    watched.give(watched.scene.committed(0, proposal))
    assert ran(watched.agree(proposal)) == []
    assert len(watched.application.ran) == 1


# Given.


def ask(watched: Microscope, by: int, attempt: int = 0, held: bytes = b"", view: int = 0) -> Turn:
    """Deliver a status, after a pause that spares it the rate limit."""
    watched.ms += 1_000
    return watched.give(watched.scene.status(by, 0, attempt, held, view))


def propose(watched: Microscope) -> Envelope:
    """Have the primary propose a batch, which commits."""
    watched.give(watched.scene.request())
    (proposal,) = watched.tick().said(Kind.PRE_PREPARE)
    watched.prepare(proposal)
    assert ran(watched.commit(proposal)) == [1]
    return proposal


def test_who_is_in_another_view_is_sent_certificates():
    """Votes of our view mean nothing there. The batch goes with it unless it is held there already."""
    watched = watch(me=1)
    watched.enter(1)
    proposal = propose(watched)
    turn = ask(watched, 0)
    assert turn.said(Kind.COMMIT) == []
    (sent,) = turn.said(Kind.COMMITTED)
    certificate = unpack(CommitCertificate, sent.body)
    assert (certificate.view, certificate.sequence, sent.beside) == (1, 1, proposal.beside)
    assert ran(watch(me=0).give(sent)) == [1]
    (lighter,) = ask(watched, 0, held=HOLDS_A_BATCH).said(Kind.COMMITTED)
    assert lighter == replace(sent, beside=b"")


def test_who_holds_another_batch_is_sent_this_one_by_and_by():
    """One that still asks, with the certificate in hand, was told something else by a lying primary."""
    watched = watch(me=1)
    watched.enter(1)
    proposal = propose(watched)
    sent = [each for attempt in range(12) for each in ask(watched, 0, attempt, HOLDS_A_BATCH).said(Kind.COMMITTED)]
    assert [each.beside for each in sent] == [b"", *[proposal.beside] * (len(sent) - 1)]
    assert len(sent) == 4


def test_who_asked_in_vain_is_sent_a_certificate():
    """In the same view votes come first, each member's own; a vote that is lost for good must not stop anybody."""
    watched = watch(me=1)
    watched.run(1)
    turns = [ask(watched, 3, attempt) for attempt in range(4)]
    assert [len(turn.said(Kind.COMMITTED)) for turn in turns] == [0, 1, 0, 0]
    assert [len(turn.said(Kind.COMMIT)) for turn in turns] == [1, 0, 1, 1]


def test_a_certificate_is_handed_on_only_if_every_signature_is_good():
    """A COMMIT counts on its link alone; one that was badly signed is found before it is shown to anybody."""
    watched = watch(me=1)
    scene = watched.scene
    proposal = scene.pre_prepare(1, scene.request())
    watched.give(proposal)
    watched.prepare(proposal)
    watched.give(forged(scene.commit(2, proposal)))
    assert ran(watched.give(scene.commit(0, proposal))) == [1]
    turns = [ask(watched, 3, attempt) for attempt in range(4)]
    assert [len(turn.said(Kind.COMMITTED)) for turn in turns] == [0, 0, 0, 0]
    assert [len(turn.said(Kind.COMMIT)) for turn in turns] == [1, 1, 1, 1]


def test_a_certificate_that_was_taken_is_handed_on():
    """Whoever got it from somebody gives it to the next."""
    watched = watch()
    proposal = watched.scene.pre_prepare(1, watched.scene.request(), view=1)
    given = watched.scene.committed(0, proposal)
    watched.give(given)
    sent = [each for attempt in range(3) for each in ask(watched, 3, attempt, view=1).said(Kind.COMMITTED)]
    assert sent == [replace(given, sender=2)]


def test_what_is_no_certificate_leaves_the_sequence_open():
    """After a refusal the good one counts."""
    watched = watch()
    good = watched.scene.committed(0, watched.scene.pre_prepare(1, watched.scene.request()))
    assert watched.give(replace(good, beside=b"rubbish")).reasons == [Reason.WRONG_DIGEST]
    assert watched.replica.status().in_flight == 0
    assert ran(watched.give(good)) == [1]


def test_a_bad_signature_in_a_certificate_makes_room_for_a_good_one():
    """A commit that counted on its link may be signed by nobody; one more than the quorum needed takes its place."""
    scene = Scene()
    watched = scene.watch(2)
    proposal = scene.pre_prepare(1, scene.request())
    watched.give(proposal)
    watched.prepare(proposal)
    watched.give(forged(scene.commit(0, proposal)))
    watched.give(scene.commit(1, proposal))
    assert watched.executed == 1

    assert not any(handed_on(watched, attempt) for attempt in range(3))
    assert watched.give(scene.commit(3, proposal)).reasons == [Reason.SURPLUS]
    told = [each for attempt in range(3) for each in handed_on(watched, attempt)]
    certificate = unpack(CommitCertificate, told[0].body)
    assert [share.signer for share in certificate.commits] == [1, 2, 3]


def handed_on(watched: Microscope, attempt: int) -> list[Envelope]:
    """Return what a peer in another view is handed on when it asks."""
    watched.ms += 1_000
    return watched.give(watched.scene.status(3, 0, attempt=attempt, view=1)).said(Kind.COMMITTED)
