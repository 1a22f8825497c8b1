"""Which signatures are checked and when, and who is blamed (design 4.4, 4.13; attacks P1, P2, R2)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pbft.core.effects import CommittedLocal, Evidence, Ignored, Persist, Prepared, Reason
from pbft.core.envelope import Kind
from tests.core.builders import WALL_MS, Microscope, Scene, forged


def backup(n: int = 4) -> Microscope:
    return Scene(n).watch(1)


# Verified when needed.


def test_prepares_are_verified_when_the_certificate_needs_them():
    """Until enough agree none is verified; then as many as it takes, and what comes later is surplus."""
    watched = backup(7)
    proposal = watched.scene.pre_prepare(1)
    watched.give(proposal)
    at_first = watched.scene.verifier.count
    for member in (2, 3):
        watched.give(watched.scene.prepare(member, proposal))
    assert watched.scene.verifier.count == at_first
    assert watched.give(watched.scene.prepare(4, proposal)).of(Prepared)
    assert watched.scene.verifier.count == at_first + 3
    for member in (5, 6):
        assert watched.give(watched.scene.prepare(member, proposal)).reasons == [Reason.SURPLUS]
    assert watched.scene.verifier.count == at_first + 3


def test_a_bad_prepare_makes_room_for_a_good_one():
    """It is found out when it would count; its signer's good vote is then as welcome as any other."""
    watched = backup()
    proposal = watched.scene.pre_prepare(1)
    watched.give(proposal)
    good = watched.scene.prepare(2, proposal)
    assert watched.give(forged(good)).effects == []
    assert watched.give(good).of(Prepared)


def test_a_bad_prepare_does_not_stop_the_others():
    """With one liar among the backups, the good votes make the certificate, the bad one is not in it."""
    watched = backup()
    proposal = watched.scene.pre_prepare(1)
    watched.give(proposal)
    watched.give(forged(watched.scene.prepare(2, proposal)))
    (prepared,) = watched.give(watched.scene.prepare(3, proposal)).of(Prepared)
    assert [each.sender for each in prepared.certificate] == [0, 1, 3]


def test_a_relayed_vote_never_takes_its_signers_place_unverified():
    """A liar cannot fill another's place with rubbish, for prepares or commits (R2)."""
    watched = backup()
    proposal = watched.scene.pre_prepare(1)
    watched.give(proposal)
    for vote in (watched.scene.prepare(2, proposal), watched.scene.commit(2, proposal)):
        other = watched.scene.pre_prepare(1, watched.scene.request())
        rubbish = watched.scene.prepare(2, other) if vote.kind is Kind.PREPARE else watched.scene.commit(2, other)
        assert watched.give(forged(rubbish), 3).reasons == [Reason.BAD_SIGNATURE]
        assert watched.give(forged(vote), 3).reasons == [Reason.BAD_SIGNATURE]
        assert watched.give(vote).reasons == []


def test_a_commit_counts_on_its_signers_own_link():
    """Links are authenticated: such a commit costs no verification, even where its signature is bad (design 4.4)."""
    watched = backup()
    proposal = watched.scene.pre_prepare(1)
    watched.give(proposal)
    watched.prepare(proposal)
    before = watched.scene.verifier.count
    watched.give(forged(watched.scene.commit(2, proposal)))
    assert watched.give(watched.scene.commit(3, proposal)).of(CommittedLocal)
    assert watched.scene.verifier.count == before


def test_a_relayed_commit_counts_once_verified():
    """What came through somebody else is verified; then it counts like any other."""
    watched = backup()
    proposal = watched.scene.pre_prepare(1)
    watched.give(proposal)
    watched.prepare(proposal)
    before = watched.scene.verifier.count
    assert watched.give(forged(watched.scene.commit(2, proposal)), 3).reasons == [Reason.BAD_SIGNATURE]
    watched.give(watched.scene.commit(2, proposal), 3)
    assert watched.scene.verifier.count == before + 2
    assert watched.give(watched.scene.commit(3, proposal)).of(CommittedLocal)


def test_a_request_that_waits_is_not_verified_again_in_a_batch():
    """Client signatures cost one verification, whether the request or its batch comes first."""
    watched = backup()
    request = watched.scene.request()
    watched.give(request)
    before = watched.scene.verifier.count
    watched.give(watched.scene.pre_prepare(1, request))
    assert watched.scene.verifier.count == before + 1
    watched.give(watched.scene.pre_prepare(2, watched.scene.request("bob")))
    assert watched.scene.verifier.count == before + 3


def test_a_bad_proposal_makes_room_for_a_good_one():
    """A batch that nobody may vote for, or a forged one, does not occupy the sequence."""
    watched = backup()
    good = watched.scene.pre_prepare(1)
    for bad in (watched.scene.propose(1, b"rubbish"), forged(good), replace(good, beside=b"")):
        assert watched.give(bad).reasons
    assert watched.give(good).of(Persist)


def test_a_waiting_request_vouches_for_no_other_signature():
    """The same words under a forged signature are no valid batch, though the genuine ones wait here (P2)."""
    watched = backup()
    request = watched.scene.request()
    assert watched.give(request).reasons == []
    assert watched.give(watched.scene.pre_prepare(1, forged(request))).reasons == [Reason.BAD_BATCH]
    assert watched.give(watched.scene.pre_prepare(1, request)).of(Persist)


# Equivocation.


@pytest.mark.parametrize("n", [4, 7])
def test_an_equivocating_primary_is_blamed_once_and_its_first_word_stands(n):
    """Two signed proposals for one (view, sequence) are evidence; we voted for the first, and for no other (P1)."""
    watched = backup(n)
    first, second = watched.scene.pre_prepare(1), watched.scene.pre_prepare(1, watched.scene.request())
    third = watched.scene.pre_prepare(1, time_ms=WALL_MS + 1)
    watched.give(first)
    turn = watched.give(second)
    assert turn.effects == [Evidence(0, first, second), Ignored(Reason.CONFLICTING, 0, Kind.PRE_PREPARE)]
    before = watched.scene.verifier.count
    for each in (second, third, forged(second)):
        assert [type(effect) for effect in watched.give(each).effects] == [Ignored]
    assert watched.scene.verifier.count == before
    watched.prepare(first)
    watched.commit(first)
    assert watched.executed == 1
    assert watched.application.ran == []


@pytest.mark.parametrize("phase", [Kind.PREPARE, Kind.COMMIT])
def test_an_equivocating_voter_is_blamed_once(phase):
    """Two signed votes by one replica are evidence, also where the first counted on its link alone (R2)."""
    watched = backup(7)
    one, two = watched.scene.pre_prepare(1), watched.scene.pre_prepare(1, watched.scene.request())
    vote = watched.scene.prepare if phase is Kind.PREPARE else watched.scene.commit
    watched.give(vote(2, one))
    before = watched.scene.verifier.count
    turn = watched.give(vote(2, two))
    assert turn.effects == [Evidence(2, vote(2, one), vote(2, two)), Ignored(Reason.CONFLICTING, 2, phase)]
    assert watched.scene.verifier.count == before + 2
    for each in (vote(2, two), forged(vote(2, two))):
        assert watched.give(each).effects == [Ignored(Reason.CONFLICTING, 2, phase)]
    assert watched.scene.verifier.count == before + 2
    watched.give(vote(3, one))
    assert watched.give(vote(3, two)).of(Evidence) == [Evidence(3, vote(3, one), vote(3, two))]
    assert watched.give(vote(3, two)).effects == [Ignored(Reason.CONFLICTING, 3, phase)]
    assert watched.scene.verifier.count == before + 4


@pytest.mark.parametrize("phase", [Kind.PREPARE, Kind.COMMIT])
def test_forged_conflicts_do_not_hide_a_real_one(phase):
    """What a liar relays in another's name spends one verification, and not the judgement of that one's own words."""
    watched = backup()
    one, two = watched.scene.pre_prepare(1), watched.scene.pre_prepare(1, watched.scene.request())
    vote = watched.scene.prepare if phase is Kind.PREPARE else watched.scene.commit
    watched.give(vote(2, one))
    before = watched.scene.verifier.count
    assert watched.give(forged(vote(2, two)), 3).reasons == [Reason.BAD_SIGNATURE]
    for _ in range(10):
        assert watched.give(forged(vote(2, two)), 3).reasons == [Reason.CONFLICTING]
    assert watched.scene.verifier.count == before + 1
    assert watched.give(vote(2, two)).of(Evidence) == [Evidence(2, vote(2, one), vote(2, two))]


def test_forged_pre_prepares_do_not_hide_a_real_second_one():
    """Each replica is heard once about a second proposal: one verification each, and evidence if it was genuine."""
    watched = backup()
    first, second = watched.scene.pre_prepare(1), watched.scene.pre_prepare(1, watched.scene.request())
    watched.give(first)
    before = watched.scene.verifier.count
    assert watched.give(forged(second), 3).reasons == [Reason.BAD_SIGNATURE]
    for bringer in (0, 2):
        turn = watched.give(second, bringer)
        assert turn.effects == [Evidence(0, first, second), Ignored(Reason.CONFLICTING, bringer, Kind.PRE_PREPARE)]
    assert watched.scene.verifier.count == before + 3
    for bringer in (0, 2, 3):
        for each in (second, forged(second)):
            assert watched.give(each, bringer).effects == [Ignored(Reason.CONFLICTING, bringer, Kind.PRE_PREPARE)]
    assert watched.scene.verifier.count == before + 3


@pytest.mark.parametrize("right_first", [False, True])
@pytest.mark.parametrize("phase", [Kind.PREPARE, Kind.COMMIT])
def test_a_late_vote_that_contradicts_is_no_surplus(phase, right_first):
    """Once the certificate is complete an agreeing vote is dropped, another is kept, so that two words are evidence."""
    watched = backup()
    proposal, other = watched.scene.pre_prepare(1), watched.scene.pre_prepare(1, watched.scene.request())
    vote = watched.scene.prepare if phase is Kind.PREPARE else watched.scene.commit
    watched.agree(proposal)
    assert watched.executed == 1
    if right_first:
        assert watched.give(vote(3, proposal)).reasons == [Reason.SURPLUS]
    assert watched.give(vote(3, other)).reasons == []
    turn = watched.give(vote(3, proposal))
    assert turn.effects == [Evidence(3, vote(3, other), vote(3, proposal)), Ignored(Reason.CONFLICTING, 3, phase)]


def test_nobody_is_blamed_for_what_he_did_not_sign():
    """A forged second vote is refused for its signature; evidence never names a correct replica (O16)."""
    watched = backup()
    one, two = watched.scene.pre_prepare(1), watched.scene.pre_prepare(1, watched.scene.request())
    watched.give(one)
    assert watched.give(forged(two), 3).effects == [Ignored(Reason.BAD_SIGNATURE, 3, Kind.PRE_PREPARE)]
    watched.give(watched.scene.prepare(2, one))
    assert watched.give(forged(watched.scene.prepare(2, two)), 3).effects == [
        Ignored(Reason.BAD_SIGNATURE, 3, Kind.PREPARE)
    ]


def test_a_forged_first_vote_gives_way_to_a_conflicting_good_one():
    """Its signer's place goes to what the signer did sign, and nobody is blamed."""
    watched = backup()
    one, two = watched.scene.pre_prepare(1), watched.scene.pre_prepare(1, watched.scene.request())
    watched.give(two)
    watched.give(forged(watched.scene.prepare(2, one)))
    turn = watched.give(watched.scene.prepare(2, two))
    assert turn.of(Prepared)
    assert not turn.of(Evidence)
