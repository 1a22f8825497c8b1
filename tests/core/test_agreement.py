"""The three phases at one replica: envelope in, effects out (OSDI'99 section 4.2; design 4.4, 4.5)."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft.core.effects import (
    Answer,
    Broadcast,
    CommittedLocal,
    Effect,
    Evidence,
    Executed,
    Persist,
    Prepared,
    Proposed,
)
from pbft.core.envelope import Envelope, Kind, genuine
from pbft.core.messages import Commit, Prepare, PrePrepare, unpack
from tests.core.builders import Microscope, Scene, Turn, forged

SIZES = [4, 5, 6, 7]


def backup(n: int = 4) -> Microscope:
    return Scene(n).watch(1)


def kinds(effects: list[Effect]) -> list[str]:
    """Return the effects' names, with the kind of what is persisted or sent."""
    found = []
    for each in effects:
        envelope = getattr(each, "vote", getattr(each, "envelope", None))
        found.append(f"{type(each).__name__} {envelope.kind.name}" if envelope else type(each).__name__)
    return found


# The normal case.


@pytest.mark.parametrize("n", SIZES)
def test_a_backup_takes_a_proposal_through_all_phases(n):
    """PREPARE upon the pre-prepare, COMMIT upon the quorum's prepares, execution upon the quorum's commits."""
    watched = backup(n)
    proposal = watched.scene.pre_prepare(1, watched.scene.request())
    assert kinds(watched.give(proposal).effects) == ["Persist PREPARE", "Broadcast PREPARE"]
    assert kinds(watched.prepare(proposal).effects) == ["Prepared", "Persist COMMIT", "Broadcast COMMIT"]
    assert kinds(watched.commit(proposal).effects) == ["CommittedLocal", "Executed", "Answer REPLY"]
    assert watched.executed == 1


@pytest.mark.parametrize("n", SIZES)
def test_the_primary_proposes_and_never_prepares(n):
    """Its vote is its pre-prepare; it commits once q-1 backups have prepared."""
    watched = Scene(n).watch(0)
    watched.give(watched.scene.request())
    turn = watched.tick()
    assert kinds(turn.effects) == ["Proposed", "Persist PRE_PREPARE", "Broadcast PRE_PREPARE"]
    (proposal,) = turn.said(Kind.PRE_PREPARE)
    assert kinds(watched.prepare(proposal).effects) == ["Prepared", "Persist COMMIT", "Broadcast COMMIT"]
    assert kinds(watched.commit(proposal).effects) == ["CommittedLocal", "Executed", "Answer REPLY"]


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("me", [0, 1])
def test_one_vote_short_is_not_enough(n, me):
    """Neither prepared with one prepare less, nor committed with one commit less; the last one completes each."""
    watched = Scene(n).watch(me)
    proposal = start(watched)
    quorum = watched.scene.group.quorums.quorum
    own_and_primary = 1 if me == 0 else 2
    voters = watched.others()[: quorum - own_and_primary]
    for voter in voters[:-1]:
        assert watched.give(watched.scene.prepare(voter, proposal)).effects == []
    assert watched.give(watched.scene.prepare(voters[-1], proposal)).of(Prepared)
    committers = [number for number in range(n) if number != me][: quorum - 1]
    for committer in committers[:-1]:
        assert watched.give(watched.scene.commit(committer, proposal)).effects == []
    assert watched.give(watched.scene.commit(committers[-1], proposal)).of(CommittedLocal)


def start(watched: Microscope) -> Envelope:
    """Bring a proposal for sequence 1 about: the primary's own, or one it sent."""
    request = watched.scene.request()
    if watched.me != 0:
        proposal = watched.scene.pre_prepare(1, request)
        assert watched.give(proposal).of(Persist)
        return proposal
    watched.give(request)
    (proposal,) = watched.tick().said(Kind.PRE_PREPARE)
    return proposal


@pytest.mark.parametrize("n", [4, 7])
def test_certificates_name_what_they_rest_on(n):
    """Prepared: the pre-prepare and q-1 prepares of distinct backups; committed: q commits of distinct members."""
    watched = backup(n)
    proposal = watched.scene.pre_prepare(1, watched.scene.request())
    turn = watched.agree(proposal)
    (prepared,), (committed,) = turn.of(Prepared), turn.of(CommittedLocal)
    quorum = watched.scene.group.quorums.quorum
    first, *prepares = prepared.certificate
    assert first == proposal
    assert len({each.sender for each in prepares} - {0}) == len(prepares) == quorum - 1
    assert len({each.sender for each in committed.certificate}) == len(committed.certificate) == quorum
    body = unpack(PrePrepare, proposal.body)
    assert all(unpack(Prepare, each.body) == Prepare(0, 1, body.digest) for each in prepares)
    assert all(unpack(Commit, each.body) == Commit(0, 1, body.digest) for each in committed.certificate)
    assert all(genuine(watched.scene.group, watched.scene.verifier, each) for each in prepares)


@pytest.mark.parametrize("me", [0, 1])
def test_every_vote_is_persisted_with_its_basis_before_it_is_sent(me):
    """A PREPARE rests on the pre-prepare with its batch, a COMMIT on the prepared certificate (design 3)."""
    watched = Scene().watch(me)
    effects: list[Effect] = []
    if me == 0:
        watched.give(watched.scene.request())
        effects += watched.tick().effects
        (proposal,) = Turn(effects).said(Kind.PRE_PREPARE)
    else:
        proposal = watched.scene.pre_prepare(1, watched.scene.request())
        effects += watched.give(proposal).effects
    effects += [*watched.prepare(proposal).effects, *watched.commit(proposal).effects]
    persisted = Turn(effects).of(Persist)
    for number, effect in enumerate(effects):
        if isinstance(effect, Broadcast):
            assert any(isinstance(each, Persist) and each.vote == effect.envelope for each in effects[:number])
    assert [each.envelope for each in Turn(effects).of(Broadcast)] == [each.vote for each in persisted]
    (certificate,) = [each.certificate for each in Turn(effects).of(Prepared)]
    assert [each.basis for each in persisted] == [() if me == 0 else (proposal,), certificate]
    assert proposal.beside


@pytest.mark.parametrize("me", [0, 1])
def test_votes_may_come_in_any_order(me):
    """Pre-prepare, prepares and commits of one sequence, in every order: the same end, and nothing is sent twice."""
    scene = Scene()
    proposal = scene.pre_prepare(1, scene.request())
    votes = [scene.prepare(2, proposal), scene.commit(2, proposal), scene.commit(3, proposal)]
    if me == 0:
        votes.append(scene.prepare(3, proposal))
    for order in permutations([proposal, *votes] if me == 1 else votes):
        watched = scene.watch(me)
        effects: list[Effect] = []
        if me == 0:
            watched.give(scene.request())
            effects += watched.tick().effects
        for envelope in order:
            effects += watched.give(envelope).effects
        assert watched.executed == 1
        said = [each.envelope.kind for each in Turn(effects).of(Broadcast)]
        assert said == [Kind.PREPARE if me else Kind.PRE_PREPARE, Kind.COMMIT]
        assert not Turn(effects).of(Evidence)


def test_what_commits_is_executed_in_order():
    """A later sequence that committed waits for the gap before it, then both run in order."""
    watched = backup()
    first, second, third = (
        watched.scene.pre_prepare(number, watched.scene.request(timestamp=number)) for number in (1, 2, 3)
    )
    assert not watched.agree(third).of(Executed)
    assert not watched.agree(second).of(Executed)
    assert watched.replica.status().in_flight == 2
    turn = watched.agree(first)
    assert [each.sequence for each in turn.of(Executed)] == [1, 2, 3]
    assert [context.sequence for _, context in watched.application.ran] == [1, 2, 3]


def test_commits_alone_do_not_commit():
    """committed_local takes a prepared certificate too, whoever else says that it is prepared (OSDI'99 section 4.2)."""
    watched = backup()
    proposal = watched.scene.pre_prepare(1)
    watched.give(proposal)
    for member in (0, 2, 3):
        assert watched.give(watched.scene.commit(member, proposal)).effects == []
    turn = watched.prepare(proposal)
    assert kinds(turn.effects) == ["Prepared", "Persist COMMIT", "Broadcast COMMIT", "CommittedLocal", "Executed"]


@pytest.mark.parametrize("phase", ["prepare", "commit"])
def test_votes_for_another_digest_do_not_count(phase):
    """Votes are grouped by value: what others say of another batch brings this one no further (R2)."""
    watched = backup(7)
    proposal, other = watched.scene.pre_prepare(1), watched.scene.pre_prepare(1, watched.scene.request())
    watched.give(proposal)
    if phase == "commit":
        watched.prepare(proposal)
    for member in watched.others():
        vote = watched.scene.prepare(member, other) if phase == "prepare" else watched.scene.commit(member, other)
        assert watched.give(vote).effects == []
    assert watched.executed == 0


# A primary that lost its memory.


def test_a_primary_takes_its_own_earlier_proposal_back_from_others():
    """What it once assigned and forgot it makes durable again: it goes on behind, sends nothing and never prepares."""
    watched = Scene().watch(0)
    earlier = watched.scene.pre_prepare(3)
    turn = watched.give(earlier, 2)
    assert kinds(turn.effects) == ["Persist PRE_PREPARE"]
    watched.give(watched.scene.request())
    (proposed,) = watched.tick().of(Proposed)
    assert proposed.sequence == 4


# Everything at once.


@given(st.data())
def test_no_order_of_true_and_false_messages_misleads_a_backup(data):
    """Two batches compete, forgeries and repetitions among them: one vote a phase, and what runs is certified."""
    scene = Scene()
    watched = scene.watch(1)
    blue, red = scene.pre_prepare(1, scene.request()), scene.pre_prepare(1, scene.request("bob"))
    votes = [
        vote(member, each) for vote in (scene.prepare, scene.commit) for member in (0, 2, 3) for each in (blue, red)
    ]
    pool = [blue, red, *votes]
    steps = data.draw(
        st.lists(st.tuples(st.sampled_from(pool), st.booleans(), st.sampled_from([None, 2, 3])), max_size=40)
    )
    effects: list[Effect] = []
    for envelope, is_forged, via in steps:
        effects += watched.give(forged(envelope) if is_forged else envelope, via).effects
    sent = [each.envelope.kind for each in Turn(effects).of(Broadcast)]
    assert sent in ([], [Kind.PREPARE], [Kind.PREPARE, Kind.COMMIT])
    for prepared in Turn(effects).of(Prepared):
        assert len({each.sender for each in prepared.certificate}) == 3
        assert prepared.certificate[0].kind is Kind.PRE_PREPARE
    executed = Turn(effects).of(Executed)
    assert len(executed) <= 1
    assert [each.digest for each in executed] == [each.digest for each in Turn(effects).of(CommittedLocal)]
    assert len(Turn(effects).of(Evidence)) <= 3
    assert len(Turn(effects).of(Answer)) == len(executed)
