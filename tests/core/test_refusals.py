"""Everything a replica refuses in the three phases and of clients (attacks P2–P4, R2, R3, W1): see `refusals.py`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pbft.core.effects import Answer, Ignored, Reason
from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import Hello, Inspect, Prepare, PrePrepare, Reply, Request, pack
from tests.core.builders import WALL_MS, Microscope, Scene, forged, session_id
from tests.core.refusals import LIMITS, ME, SETTINGS, Table, phases
from tests.core.test_refusals_of_certificates import TABLE as VIEWS_AND_CHECKPOINTS

TABLE = Table()
refused = TABLE.refused


def executed_request(watched: Microscope, sequence: int = 1, timestamp: int = 5, session: int = 1) -> Envelope:
    """Have the replica execute a request of alice, and return it."""
    request = watched.scene.request("alice", timestamp, session=session_id(session))
    watched.agree(watched.scene.pre_prepare(sequence, request))
    assert watched.executed == sequence
    return request


@refused(Reason.MALFORMED)
def bodies_that_are_no_message(watched):
    """Whatever the kind, a body that does not decode is refused."""
    trailing, true_for_1 = pack(Prepare(0, 1, bytes(32))) + b"\0", b"\x83\xf5\x01\x58\x20" + bytes(32)
    kinds = (Kind.PRE_PREPARE, Kind.PREPARE, Kind.COMMIT, Kind.STATUS)
    bodies = (b"", b"\xff", b"\x80", trailing, true_for_1)
    alice = watched.scene.key("alice")
    bad = [Envelope(kind, 2, body, bytes(64)) for kind in kinds for body in bodies]
    bad += [Envelope(kind, alice, b"\x80", bytes(64)) for kind in (Kind.REQUEST, Kind.HELLO)]
    return [watched.give(each) for each in bad]


@refused(Reason.MALFORMED)
def requests_in_anothers_name(watched):
    """A request is signed by the client it names, and nothing goes beside it."""
    for_bob = pack(Request(watched.scene.key("bob"), session_id(), 1, (b"op",)))
    return [
        watched.give(watched.scene.sign_request("alice", for_bob)),
        watched.give(replace(watched.scene.request("alice"), beside=b"x")),
    ]


@refused(Reason.MALFORMED)
def what_goes_beside_and_is_signed_by_nobody(watched):
    """Nothing goes beside a vote, a status or what clients say, on whosever link it comes: not one byte (W2)."""
    _, prepare, commit = phases(watched)
    hello = Envelope(Kind.HELLO, watched.scene.key("alice"), pack(Hello(session_id(), b"", b"")))
    fine = (prepare, commit, watched.scene.status(2, 0), watched.scene.request("alice"), hello)
    turns = [watched.give(replace(each, beside=b"\0")) for each in fine]
    return [*turns, watched.give(replace(prepare, beside=b"\0"), 3), watched.give(replace(commit, beside=b"\0"), 3)]


@refused(Reason.NOT_FOR_REPLICAS)
def what_replicas_tell_clients(watched):
    """Answers and greetings have no business here, nor has a question that a driver answers."""
    reply = watched.scene.say(2, Kind.REPLY, Reply(1, bytes(32)))
    kinds = (Kind.CHALLENGE, Kind.WELCOME, Kind.REFUSAL, Kind.REPORT)
    inspect = Envelope(Kind.INSPECT, watched.scene.key("alice"), pack(Inspect(session_id(), 1)))
    return [watched.give(each) for each in (reply, *(Envelope(kind, 2, b"") for kind in kinds), inspect)]


@refused(Reason.WRONG_SENDER)
def protocol_messages_from_a_client(watched):
    """A client's link carries nothing that replicas say among themselves, however well it is signed."""
    alice = watched.scene.key("alice")
    return [watched.give(each, alice) for each in (*phases(watched), watched.scene.status(2, 0))]


@refused(Reason.WRONG_SENDER)
def one_client_for_another(watched):
    """A client speaks for itself: neither request nor greeting of another."""
    alice, bob = watched.scene.key("alice"), watched.scene.key("bob")
    hello = Envelope(Kind.HELLO, alice, pack(Hello(session_id(), b"", b"")))
    return [watched.give(watched.scene.request("alice"), bob), watched.give(hello, bob), watched.give(hello, 2)]


@refused(Reason.WRONG_SENDER)
def a_status_on_another_link(watched):
    """What a replica lacks it says itself: a status carries no signature that could be relayed."""
    return [watched.give(watched.scene.status(3, 0), 2)]


@refused(Reason.NOT_A_MEMBER)
def replicas_that_do_not_exist(watched):
    """Numbers from n on speak for nobody."""
    kinds = (Kind.PRE_PREPARE, Kind.PREPARE, Kind.COMMIT, Kind.STATUS)
    numbers = (watched.scene.n, 2**16 - 1)
    return [watched.give(Envelope(kind, number, b"", bytes(64)), 2) for kind in kinds for number in numbers]


@refused(Reason.BAD_SIGNATURE)
def forged_proposals_and_relayed_votes(watched):
    """A proposal is verified when it comes; votes are where somebody else brings them."""
    proposal, prepare, commit = phases(watched)
    return [
        watched.give(forged(proposal)),
        watched.give(forged(proposal), 3),
        watched.give(forged(prepare), 3),
        watched.give(forged(commit), 3),
        watched.give(replace(watched.scene.prepare(2, proposal), sender=3), 2),
    ]


@refused(Reason.BAD_SIGNATURE)
def forged_requests(watched):
    """A client's request is verified before it is held."""
    fine = watched.scene.request("alice")
    return [watched.give(forged(fine)), watched.give(forged(fine), 2), watched.give(forged(fine))]


@refused(Reason.BAD_SIGNATURE)
def proposals_of_another_group(watched):
    """A signature covers the group id: a message of a group with equal keys is none of ours (R3)."""
    other = Scene(watched.scene.n, clients=("alice", "bob", "carol"))
    assert other.group.members == watched.scene.group.members
    return [watched.give(other.pre_prepare(1)), watched.give(other.prepare(2, other.pre_prepare(1)), 3)]


@refused(Reason.BAD_SIGNATURE)
def proposals_replayed_as_votes_and_back(watched):
    """PRE-PREPARE, PREPARE and COMMIT have equal bodies; a signature for one kind is none for another (R3)."""
    proposal, prepare, commit = phases(watched)
    return [
        watched.give(replace(prepare, kind=Kind.COMMIT), 3),
        watched.give(replace(commit, kind=Kind.PREPARE), 3),
        watched.give(
            replace(proposal, signature=watched.scene.say(0, Kind.COMMIT, PrePrepare(0, 1, bytes(32))).signature)
        ),
    ]


@refused(Reason.WRONG_VIEW)
def views_gone_by(watched):
    """What a view before ours decided comes as a certificate, if at all: its phases are over."""
    watched.enter(2)
    return [watched.give(each) for view in (0, 1) for each in phases(watched, view=view)]


@refused(Reason.TOO_EARLY)
def later_views_and_sequences(watched):
    """Beyond our view, or up to L beyond the high watermark: kept for when we come there (design 4.6)."""
    views = (1, watched.scene.n, 2**63 - 1)
    sequences = (LIMITS.log_size + 1, 2 * LIMITS.log_size)
    turns = [watched.give(each) for view in views for each in phases(watched, view=view)]
    return turns + [watched.give(each) for sequence in sequences for each in phases(watched, sequence=sequence)]


@refused(Reason.FULL)
def more_that_is_too_early_than_its_sender_may_leave_here(watched):
    """A peer fills its own room and nobody else's."""
    fills = [watched.scene.say(2, Kind.PREPARE, Prepare(1, sequence, bytes(32))) for sequence in range(1, 16)]
    kept = [watched.give(each).reasons for each in fills]
    assert kept[0] == [Reason.TOO_EARLY]
    assert kept[-1] == [Reason.FULL]
    turns = [watched.give(each) for each in (fills[0], watched.scene.prepare(2, watched.scene.pre_prepare(9, view=1)))]
    assert watched.give(fills[0], 3).reasons == [Reason.TOO_EARLY]
    return turns


@refused(Reason.FULL)
def batches_beyond_the_room_for_what_is_not_executed(watched):
    """The next to execute always has room; those after it as far as the bytes go, and they are asked for again."""
    scene = watched.scene
    large = [scene.pre_prepare(number, scene.request("alice", number, (bytes(1_500),))) for number in (1, 2, 3)]
    assert watched.give(large[1]).reasons == []
    turns = [watched.give(large[2])]
    assert watched.give(large[0]).reasons == []
    return turns


@refused(Reason.NOT_PRIMARY)
def proposals_by_backups(watched):
    """Only the primary of the view assigns sequences."""
    return [watched.give(watched.scene.pre_prepare(1, by=backup)) for backup in watched.others()]


@refused(Reason.NOT_BACKUP)
def a_prepare_by_the_primary(watched):
    """The primary's vote is its pre-prepare, so a prepare of its would count twice."""
    proposal = watched.scene.pre_prepare(1)
    return [watched.give(watched.scene.prepare(0, proposal)), watched.give(watched.scene.prepare(0, proposal), 2)]


@refused(Reason.OUTSIDE_WATERMARKS)
def sequences_outside_the_log(watched):
    """h < n <= H, and L beyond that for later: neither 0 nor anything further (P4)."""
    sequences = (0, 2 * LIMITS.log_size + 1, 2**63 - 1)
    return [watched.give(each) for sequence in sequences for each in phases(watched, sequence=sequence)]


@refused(Reason.OUTSIDE_WATERMARKS)
def sequences_left_behind(watched):
    """The low watermark moves on with the stable checkpoint, and the high one with it (OSDI'99 section 4.3)."""
    for vote in watched.run(11).said(Kind.CHECKPOINT):
        watched.stabilise(vote)
    status = watched.replica.status()
    assert (status.executed, status.low_watermark, status.high_watermark) == (11, 8, 24)
    return [watched.give(each) for sequence in (1, 8, 41) for each in phases(watched, sequence=sequence)]


@refused(Reason.WRONG_DIGEST)
def another_batch_beside(watched):
    """The batch that travels beside must be the one that is signed (P4)."""
    proposal, other = watched.scene.pre_prepare(1), watched.scene.pre_prepare(1, watched.scene.request())
    return [
        watched.give(replace(proposal, beside=other.beside)),
        watched.give(replace(proposal, beside=b"")),
        watched.give(replace(proposal, beside=proposal.beside + b"\0")),
    ]


@refused(Reason.BAD_BATCH)
def invalid_batches(watched):
    """Well signed by the primary, and no correct replica votes for it (P2)."""
    scene = watched.scene
    too_many = scene.request("alice", 1, (b"",) * (LIMITS.operations_per_request + 1))
    too_large = scene.request("alice", 1, (bytes(LIMITS.operation_bytes + 1),))
    proposals = [
        scene.pre_prepare(1, forged(scene.request("alice"))),
        scene.pre_prepare(1, scene.request("bob"), forged(scene.request("alice"))),
        scene.pre_prepare(1, scene.request("mallory")),
        scene.pre_prepare(1, too_many),
        scene.pre_prepare(1, too_large),
        scene.propose(1, b""),
        scene.propose(1, b"\x80"),
        scene.propose(1, bytes(LIMITS.batch_bytes + 1)),
    ]
    return [watched.give(proposal) for proposal in proposals]


@refused(Reason.CLOCK_DRIFT)
def times_far_from_our_clock(watched):
    """Too early and too late alike; the edge itself is inside (P8)."""
    drift_ms = LIMITS.clock_drift_ms
    times = (0, WALL_MS - drift_ms - 1, WALL_MS + drift_ms + 1, 2**63 - 1)
    turns = [watched.give(watched.scene.pre_prepare(1 + number, time_ms=time)) for number, time in enumerate(times)]
    for sequence, time_ms in ((5, WALL_MS - drift_ms), (6, WALL_MS + drift_ms)):
        assert watched.give(watched.scene.pre_prepare(sequence, time_ms=time_ms)).reasons == []
    return turns


@refused(Reason.DUPLICATE)
def what_is_held_already(watched):
    """The same again, also under another signature: a vote's identity is never its signature bytes (R2)."""
    turns = []
    for each in phases(watched):
        assert watched.give(each).reasons == []
        turns += [watched.give(each), watched.give(each, 3), watched.give(forged(each))]
    request = watched.scene.request("alice", 2)
    assert watched.give(request).reasons == []
    older = watched.scene.request("alice", 1)
    return [*turns, watched.give(request), watched.give(request, 3), watched.give(forged(request)), watched.give(older)]


@refused(Reason.DUPLICATE)
def a_request_that_ran_last(watched):
    """It is not ordered again; its client gets the reply it got then."""
    request = executed_request(watched)
    turns = [watched.give(request), watched.give(forged(request))]
    assert len([answer for turn in turns for answer in turn.answers()]) == 1
    return turns


@refused(Reason.STALE)
def a_request_that_ran_last_and_a_replica_brings(watched):
    """Its client is told nothing on the word of somebody else (K5)."""
    request = executed_request(watched)
    turns = [watched.give(each, peer) for each in (request, forged(request)) for peer in (0, 2, 3)]
    assert not any(turn.of(Answer) for turn in turns)
    return turns


@refused(Reason.CONFLICTING)
def second_thoughts(watched):
    """A second, different proposal or vote where one is held: the first keeps its place (P1, R2)."""
    first = phases(watched)
    other = watched.scene.pre_prepare(1, watched.scene.request())
    second = [other, watched.scene.prepare(2, other), watched.scene.commit(2, other)]
    turns = []
    for one, two in zip(first, second, strict=True):
        watched.give(one)
        turns += [watched.give(two), watched.give(two), watched.give(forged(two))]
    return turns


@refused(Reason.SURPLUS)
def more_than_a_certificate_needs(watched):
    """Once prepared or committed, a vote that agrees adds nothing: neither verified nor kept."""
    proposal = watched.scene.pre_prepare(1)
    watched.agree(proposal)
    late = [number for number in range(watched.scene.n) if number != ME][-1]
    verified = watched.scene.verifier.count
    turns = []
    for vote in (watched.scene.prepare(late, proposal), watched.scene.commit(late, proposal)):
        turns += [watched.give(vote), watched.give(vote), watched.give(forged(vote)), watched.give(vote, 2)]
    assert watched.scene.verifier.count == verified
    return turns


@refused(Reason.UNKNOWN_CLIENT)
def strangers(watched):
    """Keys the group does not know are told nothing and cost no verification (K2)."""
    verified = watched.scene.verifier.count
    hello = Envelope(Kind.HELLO, watched.scene.key("mallory"), pack(Hello(session_id(), b"", b"")))
    request = watched.scene.request("mallory")
    turns = [watched.give(request), watched.give(request, 2), watched.give(hello)]
    assert watched.scene.verifier.count == verified
    return turns


@refused(Reason.STALE)
def requests_their_session_has_passed(watched):
    """An older timestamp, or the last one with other operations: nothing is said to the client (K1)."""
    executed_request(watched, timestamp=5)
    older = watched.scene.request("alice", 4)
    other = watched.scene.request("alice", 5, (b"something else",))
    return [watched.give(each) for each in (older, other, watched.scene.request("alice", 0))]


@refused(Reason.UNKNOWN_SESSION)
def requests_of_evicted_sessions(watched):
    """What ran there is forgotten, so nothing of it may run again."""
    for session in (1, 2, 3):
        executed_request(watched, sequence=session, session=session)
    late = [watched.scene.request("alice", timestamp, session=session_id(1)) for timestamp in (5, 6)]
    lower = watched.scene.request("alice", 1, session=session_id(0))
    return [watched.give(each) for each in (*late, lower)]


@refused(Reason.SESSION_IN_FUTURE)
def sessions_of_tomorrow(watched):
    """Neither agreed time nor our clock is anywhere near; the edge itself is inside."""
    edge_ms = WALL_MS + LIMITS.clock_drift_ms
    assert watched.give(watched.scene.request("bob", session=session_id(1, edge_ms))).reasons == []
    return [watched.give(watched.scene.request("alice", session=session_id(1, edge_ms + 1)))]


@refused(Reason.TOO_LARGE)
def requests_beyond_a_limit(watched):
    """Too many operations or too many bytes, told before anything is verified."""
    verified = watched.scene.verifier.count
    too_many = watched.scene.request("alice", 1, (b"",) * (LIMITS.operations_per_request + 1))
    too_large = watched.scene.request("alice", 1, (bytes(LIMITS.operation_bytes + 1),))
    huge = watched.scene.request("alice", 1, (bytes(LIMITS.operation_bytes),) * 5)
    turns = [watched.give(each) for each in (too_many, too_large, huge)]
    assert watched.scene.verifier.count == verified
    return turns


@refused(Reason.BUSY)
def requests_there_is_no_room_for(watched):
    """A client's own bound first, then everybody's together (K1, K4)."""
    for session in (1, 2):
        assert watched.give(watched.scene.request("alice", session=session_id(session))).reasons == []
    own = watched.give(watched.scene.request("alice", session=session_id(3)))
    assert watched.give(watched.scene.request("bob", session=session_id(1))).reasons == []
    return [own, watched.give(watched.scene.request("bob", session=session_id(2)))]


@pytest.mark.parametrize("n", [4, 7])
@pytest.mark.parametrize("name", TABLE.names)
def test_refusals(name, n):
    """Each case meets its Reason and nothing else: no vote, nothing executed, nothing sent to any replica."""
    TABLE.check(name, n)


def test_every_reason_has_a_case():
    """A Reason that nothing meets would be a rule that nobody tests."""
    assert TABLE.reasons | VIEWS_AND_CHECKPOINTS.reasons == set(Reason)


def test_a_refusal_names_whose_link_it_came_by():
    """`Ignored` carries the sender that the link authenticated, not the one that the message names."""
    watched = Scene().watch(ME)
    vote = forged(watched.scene.prepare(2, watched.scene.pre_prepare(1)))
    assert watched.give(vote, 3).effects == [Ignored(Reason.BAD_SIGNATURE, 3, Kind.PREPARE)]
    alice = watched.scene.key("alice")
    assert watched.give(vote, alice).effects == [Ignored(Reason.WRONG_SENDER, alice, Kind.PREPARE)]


def test_a_refused_message_leaves_no_trace_in_what_follows():
    """After every refusal that depends on the message alone, a fresh replica takes a proposal through all phases."""
    reasons = (Reason.MALFORMED, Reason.NOT_FOR_REPLICAS, Reason.WRONG_SENDER, Reason.BAD_SIGNATURE, Reason.TOO_EARLY)
    for table in (TABLE, VIEWS_AND_CHECKPOINTS):
        for name in table.names:
            reason, case = table[name]
            if reason in (*reasons, Reason.BAD_CERTIFICATE, Reason.BAD_NEW_VIEW):
                watched = Scene(4, limits=LIMITS).watch(ME, SETTINGS)
                case(watched)
                watched.agree(watched.scene.pre_prepare(1, watched.scene.request("alice", 9)))
                assert watched.executed == 1, name
