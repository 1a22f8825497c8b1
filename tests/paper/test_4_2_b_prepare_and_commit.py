"""OSDI'99 section 4.2: which prepares and commits a replica accepts, and when it is prepared and committed-local."""

from __future__ import annotations

import pytest

from pbft.core.effects import Broadcast, CommittedLocal, Persist, Prepared, Reason
from pbft.core.envelope import Envelope, Kind, genuine
from pbft.core.group import Limits
from pbft.core.messages import Commit, Prepare, unpack
from tests.core.builders import Microscope, Scene, Turn, forged
from tests.paper.stage import (
    SIZES,
    agree,
    digest_of,
    is_silent,
    only,
    prepares,
    proposals,
    stabilise,
    told,
)

LIMITS = Limits(checkpoint_interval=4, log_size=8)
ROLES = pytest.mark.parametrize("me", [0, 1], ids=["primary", "backup"])
PHASES = pytest.mark.parametrize("phase", [Kind.PREPARE, Kind.COMMIT], ids=lambda phase: phase.name.lower())


def proposed(watched: Microscope) -> Envelope:
    """Bring a proposal for sequence 1 about: the replica's own, or one that its primary sent."""
    request = watched.scene.request()
    if watched.me == 0:
        watched.give(request)
        return only(watched.tick().said(Kind.PRE_PREPARE))
    proposal = watched.scene.pre_prepare(1, request)
    assert prepares(watched.give(proposal))
    return proposal


def vote(scene: Scene, phase: Kind, by: int, view: int = 0, sequence: int = 1, digest: bytes = bytes(32)) -> Envelope:
    """Return a vote of a phase for whatever the test likes."""
    kind = Prepare if phase is Kind.PREPARE else Commit
    return scene.say(by, phase, kind(view, sequence, digest))


def prepared(turn: Turn) -> bool:
    """Say whether a replica became prepared, and sent its commit at that moment and not otherwise."""
    assert len(turn.of(Prepared)) == len(turn.said(Kind.COMMIT))
    return bool(turn.of(Prepared))


def backups(watched: Microscope) -> list[int]:
    """Return the other backups whose prepares make this replica prepared, together with its own if it casts one."""
    missing = watched.scene.group.quorums.quorum - (1 if watched.me == 0 else 2)
    return [each for each in range(1, watched.scene.n) if each != watched.me][:missing]


# What is accepted.


@PHASES
@pytest.mark.parametrize(
    ("view", "sequence", "reason"),
    [
        (2, 5, None),
        (2, 12, None),
        (1, 5, Reason.WRONG_VIEW),
        (3, 5, Reason.TOO_EARLY),
        (2, 4, Reason.OUTSIDE_WATERMARKS),
        (2, 13, Reason.TOO_EARLY),
        (2, 21, Reason.OUTSIDE_WATERMARKS),
    ],
)
def test_votes_are_of_the_replicas_view_and_between_the_watermarks(phase, view, sequence, reason):
    """4.2: A prepare or a commit is accepted only for the replica's own view and a number between h and H.

    Differs: what is a little too early, for a view to come or just above H, is kept unread until its time (design 4.6).
    """
    watched = Scene(limits=LIMITS).watch(1)
    stabilise(watched, agree(watched, *proposals(watched.scene, 4)))
    watched.enter(2)
    before = watched.replica.usage()
    turn = watched.give(vote(watched.scene, phase, 3, view, sequence))
    assert turn.reasons == ([] if reason is None else [reason])
    after = watched.replica.usage()
    assert after["votes"] == before["votes"] + (reason is None)
    assert (after["early_bytes"] > 0) == (reason is Reason.TOO_EARLY)
    assert is_silent(turn)


@ROLES
def test_prepares_count_only_under_their_signatures(me):
    """4.2: A prepare is accepted only with its sender's signature; one without hides no right one of that sender."""
    watched = Scene().watch(me)
    proposal = proposed(watched)
    for backup in backups(watched):
        assert not prepared(watched.give(forged(watched.scene.prepare(backup, proposal))))
    assert prepared(told(watched, *(watched.scene.prepare(backup, proposal) for backup in backups(watched))))


def test_commits_count_only_from_their_senders():
    """4.2: A commit is accepted only if it is known to be its sender's.

    Differs: what comes on its sender's own link, which is authenticated, counts without a look at its signature; what
    another replica brings counts with a good one only (design 4.4).
    """
    watched = Scene().watch(1)
    proposal = proposed(watched)
    watched.prepare(proposal)
    bad = forged(watched.scene.commit(2, proposal))
    assert watched.give(bad, 3).reasons == [Reason.BAD_SIGNATURE]
    assert not told(watched, watched.scene.commit(0, proposal)).of(CommittedLocal)
    assert watched.give(bad).of(CommittedLocal)
    other = Scene().watch(1)
    proposal = proposed(other)
    other.prepare(proposal)
    relayed = [other.scene.commit(each, proposal) for each in (0, 2)]
    assert told(other, *relayed, sender=3).of(CommittedLocal)


@PHASES
def test_strangers_have_no_vote(phase):
    """4.2: Prepares and commits are replicas' own: a client, or a number that no member has, votes for nothing."""
    watched = Scene().watch(1)
    alice = watched.scene.key("alice")
    right = vote(watched.scene, phase, 2)
    assert watched.give(right, alice).reasons == [Reason.WRONG_SENDER]
    assert watched.give(Envelope(phase, 4, right.body, right.signature), 2).reasons == [Reason.NOT_A_MEMBER]


@ROLES
def test_votes_may_come_before_what_they_are_for(me):
    """4.2: Messages may come in any order: prepares and commits are logged until what they are for is there."""
    if me == 0:
        watched = Scene().watch(0)
        proposal = proposed(watched)
        watched.commit(proposal)
        assert watched.executed == 0
        turn = watched.prepare(proposal)
    else:
        watched = Scene().watch(1)
        proposal = watched.scene.pre_prepare(1, watched.scene.request())
        watched.commit(proposal)
        watched.prepare(proposal)
        assert watched.executed == 0
        turn = watched.give(proposal)
    assert prepared(turn)
    assert turn.of(CommittedLocal)
    assert watched.executed == 1


# Prepared.


@pytest.mark.parametrize("n", [4, 6, 7])
@ROLES
def test_a_replica_is_prepared_with_2f_matching_prepares(n, me):
    """4.2: prepared: the log holds the request, its pre-prepare and 2f prepares of different backups that match it.

    A backup's own prepare is one of them.

    Differs: q-1 prepares, with q = ceil((n+f+1)/2); these are 2f for n = 3f+1.
    """
    watched = Scene(n).watch(me)
    proposal = proposed(watched)
    *first, last = backups(watched)
    for backup in first:
        assert not prepared(watched.give(watched.scene.prepare(backup, proposal)))
    turn = watched.give(watched.scene.prepare(last, proposal))
    assert prepared(turn)
    pre_prepare, *votes = only(turn.of(Prepared)).certificate
    assert pre_prepare == proposal
    assert len({each.sender for each in votes} - {0}) == len(votes) == {4: 2, 6: 3, 7: 4}[n]


@SIZES
@pytest.mark.parametrize("other", ["digest", "number", "view", "sender", "role"])
def test_prepares_that_do_not_match_do_not_count(n, other):
    """4.2: A prepare counts if it is a backup's, one for each, and view, number and digest are the pre-prepare's."""
    watched = Scene(n).watch(1)
    proposal = proposed(watched)
    *first, last = backups(watched)
    told(watched, *(watched.scene.prepare(each, proposal) for each in first))
    digest, peers = digest_of(proposal), range(2, n)
    wrong = {
        "digest": [vote(watched.scene, Kind.PREPARE, each) for each in peers],
        "number": [vote(watched.scene, Kind.PREPARE, each, sequence=2, digest=digest) for each in peers],
        "view": [vote(watched.scene, Kind.PREPARE, each, view=1, digest=digest) for each in peers],
        "sender": [watched.scene.prepare(each, proposal) for each in (1, *first)],
        "role": [watched.scene.prepare(0, proposal)],
    }
    assert not prepared(told(watched, *wrong[other]))
    if other != "digest":
        assert prepared(watched.give(watched.scene.prepare(last, proposal)))


@SIZES
def test_prepares_without_a_pre_prepare_prepare_nothing(n):
    """4.2: Without the pre-prepare and its request a replica is not prepared, whoever else is."""
    watched = Scene(n).watch(1)
    proposal = watched.scene.pre_prepare(1, watched.scene.request())
    for backup in range(2, n):
        assert not prepared(watched.give(watched.scene.prepare(backup, proposal)))
    assert prepared(watched.give(proposal))


@SIZES
@ROLES
def test_a_prepared_replica_sends_its_commit(n, me):
    """4.2: At the moment it is prepared, a replica sends all others a signed commit: view, number and digest."""
    watched = Scene(n).watch(me)
    proposal = proposed(watched)
    effects = watched.prepare(proposal).effects
    commit = only([each.envelope for each in effects if isinstance(each, Broadcast)])
    assert (commit.kind, commit.sender) == (Kind.COMMIT, me)
    assert unpack(Commit, commit.body) == Commit(0, 1, digest_of(proposal))
    assert genuine(watched.scene.group, watched.scene.verifier, commit)
    certificate = only(Turn(effects).of(Prepared)).certificate
    assert effects.index(Persist(commit, certificate)) < effects.index(Broadcast(commit))


# Committed-local.


@pytest.mark.parametrize("n", [4, 6, 7])
@ROLES
def test_a_replica_is_committed_local_with_2f_plus_1_matching_commits(n, me):
    """4.2: committed-local: a replica is prepared and has accepted 2f+1 matching commits, its own among them.

    Differs: q commits, with q = ceil((n+f+1)/2); these are 2f+1 for n = 3f+1.
    """
    watched = Scene(n).watch(me)
    proposal = proposed(watched)
    watched.prepare(proposal)
    *first, last = watched.peers[: {4: 2, 6: 3, 7: 4}[n]]
    for member in first:
        assert not watched.give(watched.scene.commit(member, proposal)).of(CommittedLocal)
    committed = only(watched.give(watched.scene.commit(last, proposal)).of(CommittedLocal))
    assert {each.sender for each in committed.certificate} == {me, *first, last}


@SIZES
@pytest.mark.parametrize("other", ["digest", "number", "view", "sender"])
def test_commits_that_do_not_match_do_not_count(n, other):
    """4.2: A commit counts if view, number and digest are the pre-prepare's, and once for each sender."""
    watched = Scene(n).watch(1)
    proposal = proposed(watched)
    watched.prepare(proposal)
    *first, last = watched.peers[: 2 * watched.scene.group.quorums.faults]
    told(watched, *(watched.scene.commit(each, proposal) for each in first))
    digest = digest_of(proposal)
    wrong = {
        "digest": [vote(watched.scene, Kind.COMMIT, each) for each in range(2, n)],
        "number": [vote(watched.scene, Kind.COMMIT, each, sequence=2, digest=digest) for each in range(2, n)],
        "view": [vote(watched.scene, Kind.COMMIT, each, view=1, digest=digest) for each in range(2, n)],
        "sender": [watched.scene.commit(first[0], proposal)] * n,
    }
    assert not told(watched, *wrong[other]).of(CommittedLocal)
    assert watched.executed == 0
    if other != "digest":
        assert watched.give(watched.scene.commit(last, proposal)).of(CommittedLocal)


@SIZES
def test_commits_alone_do_not_commit(n):
    """4.2: A replica that is not prepared is not committed-local, however many commits it accepts."""
    watched = Scene(n).watch(1)
    proposal = proposed(watched)
    for member in watched.peers:
        assert not watched.give(watched.scene.commit(member, proposal)).of(CommittedLocal)
    assert watched.prepare(proposal).of(CommittedLocal)
