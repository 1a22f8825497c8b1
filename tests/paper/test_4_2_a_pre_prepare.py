"""OSDI'99 section 4.2: the primary assigns a sequence number, and each backup accepts that or does nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pbft.core.effects import Broadcast, Evidence, Executed, Persist, Reason, Send
from pbft.core.envelope import Envelope, Kind, genuine, seal
from pbft.core.group import Limits
from pbft.core.messages import Batch, Prepare, PrePrepare, batch_digest, unpack
from pbft.core.settings import ReplicaSettings
from tests.core.builders import Microscope, Scene, forged, session_id
from tests.paper.stage import (
    SIZES,
    agree,
    digest_of,
    is_silent,
    only,
    prepares,
    proposals,
    stabilise,
)

LIMITS = Limits(checkpoint_interval=4, log_size=8)

# The primary.


def test_the_primary_starts_the_protocol_at_once():
    """4.2: When the primary gets a request, it starts the three phases for it at once."""
    watched = Scene().watch(0)
    watched.give(watched.scene.request())
    assert watched.replica.deadline_ms == watched.ms, "it is due now"
    assert len(watched.tick().said(Kind.PRE_PREPARE)) == 1
    assert watched.replica.deadline_ms != watched.ms


def test_the_primary_buffers_requests_while_enough_are_in_progress():
    """4.2: While as much is in progress as may be, the primary keeps further requests back.

    Differs: what is counted is sequences, of which each orders a batch (design 4.3).
    """
    watched = Scene().watch(0, ReplicaSettings(window=2))
    for number in (1, 2):
        watched.give(watched.scene.request(session=session_id(number)))
        assert watched.tick().said(Kind.PRE_PREPARE)
    watched.give(watched.scene.request(session=session_id(3)))
    assert not watched.tick().said(Kind.PRE_PREPARE)
    assert watched.replica.status().waiting == 3


def test_buffered_requests_leave_together():
    """4.2: Requests that were kept back are sent as a group, in one pre-prepare, once there is room."""
    watched = Scene().watch(0, ReplicaSettings(window=1))
    watched.give(watched.scene.request(session=session_id(1)))
    first = only(watched.tick().said(Kind.PRE_PREPARE))
    for number in (2, 3, 4):
        watched.give(watched.scene.request(session=session_id(number)))
    assert not watched.tick().said(Kind.PRE_PREPARE)
    agree(watched, first)
    second = only(watched.tick().said(Kind.PRE_PREPARE))
    assert len(unpack(Batch, second.beside).requests) == 3


def test_a_pre_prepare_assigns_the_next_sequence_to_a_digest():
    """4.2: The primary numbers requests in turn and tells all backups, signed: the view, the number, the digest."""
    watched = Scene().watch(0)
    for sequence, client in enumerate(("alice", "bob"), start=1):
        watched.give(watched.scene.request(client))
        proposal = only([each.envelope for each in watched.tick().of(Broadcast)])
        assert unpack(PrePrepare, proposal.body) == PrePrepare(0, sequence, batch_digest(proposal.beside))
        assert (proposal.kind, proposal.sender) == (Kind.PRE_PREPARE, 0)
        assert genuine(watched.scene.group, watched.scene.verifier, proposal)


def test_requests_travel_beside_the_pre_prepare():
    """4.2: The request is no part of the signed pre-prepare, which stays small; it comes along with it.

    What shows in a view change that the number was assigned is signed without it.
    """
    watched = Scene().watch(0)
    request = watched.scene.request(operations=[b"x" * 10_000])
    watched.give(request)
    proposal = only(watched.tick().said(Kind.PRE_PREPARE))
    assert unpack(Batch, proposal.beside).requests == (request.to_bytes(),)
    assert len(proposal.body) < 100
    bare = Envelope(Kind.PRE_PREPARE, 0, proposal.body, proposal.signature)
    assert genuine(watched.scene.group, watched.scene.verifier, bare)


def test_the_primary_logs_what_it_proposes():
    """4.2: The primary appends its pre-prepare to its log; here, durably and before it is sent (design 3)."""
    watched = Scene().watch(0)
    watched.give(watched.scene.request())
    effects = watched.tick().effects
    proposal = only([each.envelope for each in effects if isinstance(each, Broadcast)])
    assert effects.index(Persist(proposal, ())) < effects.index(Broadcast(proposal))
    sent = watched.give(watched.scene.status(1, 0)).of(Send)
    assert Send(1, proposal) in sent, "whoever lacks it is given it out of the log"


# A backup accepts, or does nothing.


@SIZES
def test_an_accepted_pre_prepare_is_answered_with_a_prepare(n):
    """4.2: A backup that accepts a pre-prepare sends a signed prepare for it to all others, and logs both."""
    watched = Scene(n).watch(1)
    proposal = watched.scene.pre_prepare(1, watched.scene.request())
    effects = watched.give(proposal).effects
    prepare = only([each.envelope for each in effects if isinstance(each, Broadcast)])
    assert (prepare.kind, prepare.sender) == (Kind.PREPARE, 1)
    assert unpack(Prepare, prepare.body) == Prepare(0, 1, digest_of(proposal))
    assert genuine(watched.scene.group, watched.scene.verifier, prepare)
    assert effects == [Persist(prepare, (proposal,)), Broadcast(prepare)]


def bad_signature(scene: Scene) -> Envelope:
    """Nobody signed it."""
    return forged(scene.pre_prepare(1, scene.request()))


def signed_as_something_else(scene: Scene) -> Envelope:
    """Signed by the primary, as another kind of message."""
    right = scene.pre_prepare(1, scene.request())
    prepare = seal(scene.group, scene.signers[0], Kind.PREPARE, 0, right.body)
    return Envelope(Kind.PRE_PREPARE, 0, right.body, prepare.signature, right.beside)


def by_a_backup(scene: Scene) -> Envelope:
    """Signed by a replica that is not the primary."""
    return scene.pre_prepare(1, scene.request(), by=2)


def request_unsigned(scene: Scene) -> Envelope:
    """One request of the batch was signed by nobody."""
    return scene.pre_prepare(1, scene.request(), forged(scene.request("bob")))


def request_of_a_stranger(scene: Scene) -> Envelope:
    """One request is of a client that the group does not know."""
    return scene.pre_prepare(1, scene.request("mallory"))


def wrong_digest(scene: Scene) -> Envelope:
    """The digest is another batch's."""
    right, other = scene.pre_prepare(1, scene.request()), scene.pre_prepare(1, scene.request("bob"))
    return Envelope(Kind.PRE_PREPARE, 0, right.body, right.signature, other.beside)


FAULTS: list[tuple[Callable[[Scene], Envelope], Reason]] = [
    (bad_signature, Reason.BAD_SIGNATURE),
    (signed_as_something_else, Reason.BAD_SIGNATURE),
    (by_a_backup, Reason.NOT_PRIMARY),
    (request_unsigned, Reason.BAD_BATCH),
    (request_of_a_stranger, Reason.BAD_BATCH),
    (wrong_digest, Reason.WRONG_DIGEST),
]


@SIZES
@pytest.mark.parametrize(("make", "reason"), FAULTS, ids=[make.__name__ for make, _ in FAULTS])
def test_signatures_and_digest_must_be_right(n, make, reason):
    """4.2: A pre-prepare is accepted only if it and its requests are rightly signed and its digest is theirs.

    One that is not leaves no trace: the right one for the same view and number is accepted after it.
    """
    watched = Scene(n).watch(1)
    refused = watched.give(make(watched.scene), 0)
    assert refused.reasons == [reason]
    assert is_silent(refused)
    assert prepares(watched.give(watched.scene.pre_prepare(1, watched.scene.request())))


@pytest.mark.parametrize(("view", "reason"), [(0, Reason.WRONG_VIEW), (2, Reason.WRONG_VIEW), (4, Reason.TOO_EARLY)])
def test_the_view_must_be_the_backups_own(view, reason):
    """4.2: A pre-prepare is accepted only by who is in its view.

    Differs: one for a view to come is kept, unread, in a small room, and taken up when that view begins (design 4.6).
    """
    watched = Scene().watch(1)
    watched.enter(3)
    refused = watched.give(watched.scene.pre_prepare(1, watched.scene.request(), view=view))
    assert refused.reasons == [reason]
    assert is_silent(refused)
    assert prepares(watched.give(watched.scene.pre_prepare(1, watched.scene.request(), view=3)))


@SIZES
def test_one_digest_is_accepted_for_a_view_and_sequence(n):
    """4.2: A pre-prepare is not accepted where one with another digest was, for the same view and number.

    Both signatures are kept: they prove what the primary is (design 4.13).
    """
    watched = Scene(n).watch(1)
    first, second = watched.scene.pre_prepare(1, watched.scene.request()), watched.scene.pre_prepare(1)
    assert prepares(watched.give(first))
    refused = watched.give(second)
    assert refused.reasons == [Reason.CONFLICTING]
    assert is_silent(refused)
    assert refused.of(Evidence) == [Evidence(0, first, second)]
    assert only(agree(watched, first).of(Executed)).digest == digest_of(first)


def test_another_digest_is_accepted_in_a_later_view_or_for_another_number():
    """4.2: What was accepted for one view and number binds that view and that number alone."""
    watched = Scene().watch(1)
    request = watched.scene.request()
    assert prepares(watched.give(watched.scene.pre_prepare(1, request)))
    assert prepares(watched.give(watched.scene.pre_prepare(2, request)))
    watched.enter(2)
    other = watched.scene.pre_prepare(1, watched.scene.request("bob"), view=2)
    assert prepares(watched.give(other)) == [Prepare(2, 1, digest_of(other))]


def at_start() -> Microscope:
    """A backup that has just started: h = 0 and H = 8."""
    return Scene(limits=LIMITS).watch(1)


def after_a_checkpoint() -> Microscope:
    """A backup whose sequence 4 is stable: h = 4 and H = 12."""
    watched = Scene(limits=LIMITS).watch(1)
    stabilise(watched, agree(watched, *proposals(watched.scene, 4)))
    return watched


@pytest.mark.parametrize(
    ("sequence", "place", "reason"),
    [
        (0, at_start, Reason.OUTSIDE_WATERMARKS),
        (1, at_start, None),
        (8, at_start, None),
        (9, at_start, Reason.TOO_EARLY),
        (17, at_start, Reason.OUTSIDE_WATERMARKS),
        (2**62, at_start, Reason.OUTSIDE_WATERMARKS),
        (3, after_a_checkpoint, Reason.OUTSIDE_WATERMARKS),
        (4, after_a_checkpoint, Reason.OUTSIDE_WATERMARKS),
        (5, after_a_checkpoint, None),
        (12, after_a_checkpoint, None),
        (13, after_a_checkpoint, Reason.TOO_EARLY),
        (21, after_a_checkpoint, Reason.OUTSIDE_WATERMARKS),
    ],
)
def test_the_sequence_must_lie_between_the_watermarks(sequence, place, reason):
    """4.2: A pre-prepare is accepted only for a number above the low watermark h and not above the high one, H.

    So a faulty primary cannot use up the numbers by a leap.

    Differs: one not more than L above H is kept, unread, in a small room, until the watermarks move (design 4.6).
    """
    watched = place()
    turn = watched.give(watched.scene.pre_prepare(sequence, watched.scene.request("bob")))
    assert turn.reasons == ([] if reason is None else [reason])
    assert bool(prepares(turn)) == (reason is None)
    assert is_silent(turn) == (reason is not None)


def test_what_came_too_early_counts_when_the_watermarks_move():
    """4.2: A pre-prepare beyond H is not accepted, and will be once a checkpoint has moved the watermarks past it."""
    watched = Scene(limits=LIMITS).watch(1)
    early = watched.scene.pre_prepare(9, watched.scene.request("bob"))
    assert is_silent(watched.give(early))
    reached = agree(watched, *proposals(watched.scene, 4))
    assert prepares(stabilise(watched, reached)) == [Prepare(0, 9, digest_of(early))]
