"""One replica as a whole: proposing, executing, its face to drivers, hostile input (design 3, 4.3; attacks W1, W2)."""

from __future__ import annotations

from pbft.core.effects import Answer, Executed, Persist, Proposed
from pbft.core.envelope import Envelope, Kind
from pbft.core.group import Limits
from pbft.core.messages import NULL_BATCH, Batch, unpack
from pbft.core.settings import ReplicaSettings
from pbft.core.status import ReplicaStatus
from tests.core.builders import WALL_MS, Microscope, Scene, forged, session_id


def primary(n: int = 4, settings: ReplicaSettings | None = None, limits: Limits | None = None) -> Microscope:
    return Scene(n, limits=limits).watch(0, settings)


def give_requests(watched: Microscope, count: int, first: int = 1) -> None:
    """Deliver requests of as many sessions."""
    for number in range(first, first + count):
        assert watched.give(watched.scene.request("alice", session=session_id(number))).reasons == []


def finish(watched: Microscope, proposal: Envelope) -> list[Executed]:
    """Deliver what makes a proposal commit."""
    return [*watched.prepare(proposal).of(Executed), *watched.commit(proposal).of(Executed)]


# Proposing.


def test_what_arrives_in_one_turn_is_proposed_together():
    """A driver drains its inbox and then ticks: the requests of one turn are one batch (design 4.3)."""
    watched = primary()
    give_requests(watched, 5)
    assert watched.replica.deadline_ms == watched.ms
    turn = watched.tick()
    assert [proposed.requests for proposed in turn.of(Proposed)] == [5]
    assert watched.replica.deadline_ms != watched.ms
    (proposal,) = turn.said(Kind.PRE_PREPARE)
    batch = unpack(Batch, proposal.beside)
    assert (batch.time_ms, len(batch.requests)) == (WALL_MS, 5)


def test_a_lone_request_does_not_wait_for_company():
    """Nothing but the driver's turn stands between a request and its proposal."""
    watched = primary()
    for number in (1, 2, 3):
        give_requests(watched, 1, number)
        assert [(each.sequence, each.requests) for each in watched.tick().of(Proposed)] == [(number, 1)]


def test_while_the_window_is_full_requests_gather():
    """No more than `window` sequences are in flight; what waits meanwhile rides in the next batch."""
    watched = primary(settings=ReplicaSettings(window=2))
    proposals = []
    for number in (1, 2):
        give_requests(watched, 1, number)
        proposals += watched.tick().said(Kind.PRE_PREPARE)
    give_requests(watched, 3, 3)
    assert watched.replica.deadline_ms != watched.ms
    assert watched.tick().of(Proposed) == []
    assert finish(watched, proposals[0])
    give_requests(watched, 1, 6)
    assert watched.replica.deadline_ms == watched.ms
    assert [(each.sequence, each.requests) for each in watched.tick().of(Proposed)] == [(3, 4)]
    assert watched.tick().of(Proposed) == []


def test_the_window_counts_from_what_was_executed():
    """A sequence that committed out of order frees no place in the window before the gap is closed."""
    watched = primary(settings=ReplicaSettings(window=2))
    proposals = []
    for number in (1, 2):
        give_requests(watched, 1, number)
        proposals += watched.tick().said(Kind.PRE_PREPARE)
    give_requests(watched, 1, 3)
    assert finish(watched, proposals[1]) == []
    assert watched.tick().of(Proposed) == []
    assert [each.sequence for each in finish(watched, proposals[0])] == [1, 2]
    assert [each.sequence for each in watched.tick().of(Proposed)] == [3]


def test_nothing_is_proposed_beyond_the_high_watermark():
    """A window wider than the log is bounded by H (OSDI'99 section 4.2)."""
    watched = primary(settings=ReplicaSettings(window=100), limits=Limits(checkpoint_interval=2, log_size=4))
    sequences = []
    for number in range(1, 8):
        give_requests(watched, 1, number)
        sequences += [each.sequence for each in watched.tick().of(Proposed)]
    assert sequences == [1, 2, 3, 4]


def test_many_requests_make_several_batches():
    """One tick proposes as many batches as the group's limits ask for and the window allows."""
    watched = primary(limits=Limits(batch_requests=2))
    give_requests(watched, 5)
    turn = watched.tick()
    assert [(each.sequence, each.requests) for each in turn.of(Proposed)] == [(1, 2), (2, 2), (3, 1)]
    carried = [item for each in turn.said(Kind.PRE_PREPARE) for item in unpack(Batch, each.beside).requests]
    assert len(set(carried)) == len(carried) == 5


def test_a_backup_never_proposes():
    """Requests wait at a backup until they execute."""
    watched = Scene().watch(1)
    watched.give(watched.scene.request())
    assert watched.replica.deadline_ms != watched.ms
    turn = watched.tick()
    assert not turn.of(Proposed)
    assert not turn.of(Persist)
    assert watched.replica.status().waiting == 1


def test_an_executed_request_waits_no_more():
    """At the primary and at a backup alike, also when the copy that ran came in a batch only."""
    for me in (0, 1):
        watched = Scene().watch(me)
        request = watched.scene.request()
        watched.give(request)
        assert watched.replica.status().waiting == 1
        if me == 0:
            (proposal,) = watched.tick().said(Kind.PRE_PREPARE)
            finish(watched, proposal)
        else:
            watched.agree(watched.scene.pre_prepare(1, request))
        assert watched.executed == 1
        assert watched.replica.status().waiting == 0


# Executing.


def test_a_null_batch_keeps_agreed_time():
    """Its time 0 is far from our clock, so others must vouch for it; then it passes and changes nothing."""
    watched = Scene().watch(1)
    watched.agree(watched.scene.pre_prepare(1, watched.scene.request(), time_ms=WALL_MS + 5))
    (executed,) = watched.agree(watched.scene.propose(2, NULL_BATCH)).of(Executed)
    assert (executed.sequence, executed.time_ms, executed.requests) == (2, WALL_MS + 5, ())
    assert watched.replica.status().agreed_time_ms == WALL_MS + 5


def test_agreed_time_is_the_greatest_proposed():
    """Operations see max(previous, proposed)."""
    watched = Scene().watch(1)
    for sequence, time_ms in enumerate((WALL_MS, WALL_MS - 900, WALL_MS + 900), 1):
        watched.agree(watched.scene.pre_prepare(sequence, watched.scene.request("alice", sequence), time_ms=time_ms))
    assert [context.time_ms - WALL_MS for _, context in watched.application.ran] == [0, 0, 900]


def test_executed_tells_what_became_of_each_request():
    """Client, session, timestamp, digest and outcomes; none for what changed nothing."""
    watched = Scene().watch(1)
    request = watched.scene.request("alice", 3, (b"one", b"two"))
    (executed,) = watched.agree(watched.scene.pre_prepare(1, request, request)).of(Executed)
    fresh, stale = executed.requests
    assert (fresh.client, fresh.session, fresh.timestamp, fresh.outcomes) == (
        watched.scene.key("alice"),
        session_id(),
        3,
        (0, 0),
    )
    assert (stale.digest, stale.outcomes) == (fresh.digest, ())


def test_two_replicas_that_see_the_same_messages_do_the_same():
    """Input decides output: no clock, chance or order of a set comes in (O17)."""
    runs = []
    for _ in range(2):
        watched = Scene(7).watch(1)
        effects = watched.tick().effects
        for sequence in range(1, 20):
            request = watched.scene.request("alice", sequence)
            effects += watched.give(request).effects
            effects += watched.agree(watched.scene.pre_prepare(sequence, request)).effects
            watched.ms += 37
            effects += watched.tick().effects
        runs.append((effects, watched.replica.state_digest(), watched.replica.status()))
    assert runs[0] == runs[1]


# The face.


def test_status_tells_where_a_replica_stands():
    """Every field, at the beginning and on the way."""
    watched = Scene().watch(1)
    assert watched.replica.status() == ReplicaStatus(
        id=1,
        role="backup",
        view=0,
        executed=0,
        target=0,
        stable_checkpoint=0,
        low_watermark=0,
        high_watermark=512,
        in_flight=0,
        waiting=0,
        agreed_time_ms=0,
        behind=0,
        transferring=None,
        timeout_ms=1_000,
    )
    request = watched.scene.request()
    watched.give(request)
    watched.agree(watched.scene.pre_prepare(1, request))
    watched.give(watched.scene.pre_prepare(2, watched.scene.request("bob")))
    watched.give(watched.scene.request("bob"))
    for peer in (2, 3):
        watched.give(watched.scene.status(peer, 300))
    status = watched.replica.status()
    assert (status.executed, status.in_flight, status.waiting, status.behind) == (1, 1, 1, 299)
    assert status.agreed_time_ms == WALL_MS
    assert primary().replica.status().role == "primary"


def test_what_was_refused_is_not_in_flight():
    """A sequence counts as heard of once something of it is held."""
    watched = Scene().watch(1)
    watched.give(watched.scene.propose(9, b"rubbish"))
    assert watched.replica.status().in_flight == 0
    watched.give(watched.scene.prepare(2, watched.scene.pre_prepare(9)))
    assert watched.replica.status().in_flight == 1


def test_an_idle_replica_has_no_deadline():
    """With nothing under way there is nothing to wake for, so a quiet group sends nothing."""
    for me in (0, 1):
        watched = Scene().watch(me)
        assert watched.replica.deadline_ms is None
        assert watched.tick().effects == []
        if me:
            watched.agree(watched.scene.pre_prepare(1, watched.scene.request()))
            assert watched.replica.deadline_ms is None


def test_a_deadline_is_met_by_one_tick():
    """After a tick at the deadline the next one lies in the future: no driver ever spins."""
    watched = Scene().watch(1)
    watched.give(watched.scene.request())
    for _ in range(20):
        deadline = watched.replica.deadline_ms
        assert deadline is not None
        assert deadline > watched.ms
        watched.ms = deadline
        watched.tick()


# Memory.


def test_refused_sequences_leave_nothing_behind():
    """Proposals and votes for sequences all over the place: no more slots than the log has (P4, O13)."""
    watched = Scene(limits=Limits(checkpoint_interval=4, log_size=8)).watch(1)
    for sequence in [*range(40), 2**40, 2**63 - 1]:
        proposal = watched.scene.pre_prepare(sequence)
        for envelope in (
            watched.scene.propose(sequence, b"rubbish"),
            watched.scene.prepare(2, proposal),
            watched.scene.commit(3, proposal),
        ):
            watched.give(envelope)
    assert watched.replica.status().in_flight == 8


def test_a_refused_message_begins_no_work():
    """A forged proposal far ahead makes an idle backup neither wait nor ask for anything (W1)."""
    watched = Scene().watch(1)
    watched.agree(watched.scene.pre_prepare(1, watched.scene.request()))
    while (deadline := watched.replica.deadline_ms) is not None and deadline < 60_000:
        watched.ms = deadline
        watched.tick()
    idle = watched.replica.deadline_ms
    watched.give(forged(watched.scene.pre_prepare(200)), 2)
    assert (watched.replica.deadline_ms, watched.replica.status().in_flight) == (idle, 0)


def test_an_executed_batch_is_held_once():
    """For slower peers its bytes beside the proposal suffice; the decoded requests are let go of (O14)."""
    watched = Scene().watch(1)
    proposal = watched.scene.pre_prepare(1, watched.scene.request())
    watched.agree(proposal)
    slot = watched.replica._log.find(1)
    assert slot is not None
    assert slot.proposal is not None
    assert (slot.proposal.envelope, slot.proposal.requests) == (proposal, ())


def test_an_answer_says_where_to():
    """Answers name the client and session whose proven address they go to."""
    watched = Scene().watch(1)
    turn = watched.agree(watched.scene.pre_prepare(1, watched.scene.request("bob")))
    (answer,) = turn.of(Answer)
    assert (answer.client, answer.session) == (watched.scene.key("bob"), session_id())
