"""Each oracle is quiet while all is well, and fires on the one thing it is there for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from pbft.core.effects import Broadcast, CommittedLocal, Effect, Evidence, Executed, Persist, Prepared, Send
from pbft.core.envelope import Envelope, Kind, seal
from pbft.core.messages import Prepare, Reply, Status, batch_digest, pack
from pbft.core.session import Completed
from pbft.machine import Outcome, Result
from pbft.testing.oracles import ORACLES, Facts, OracleFailure, Overseer, oversee
from tests.testing.planted import SESSION, Planter


def fires(oracle: str, judge: Callable[[], None], words: str) -> None:
    """Assert that an oracle fires, and that its sentence says what happened."""
    with pytest.raises(OracleFailure, match=words) as failure:
        judge()
    assert failure.value.oracle == oracle


def completed(timestamp: int = 1, sequence: int = 1, outcome: Outcome = Outcome.OK) -> Completed:
    """What a client believes that it was told."""
    result = Result.of(outcome, 5 if outcome is Outcome.OK else "no")
    return Completed(1, result, 0, sequence, timestamp, (0, 1), (), (2, 3), 2, 10, None, 0)


def test_a_run_as_it_should_be_fires_nothing() -> None:
    """Three sequences agreed, executed and answered everywhere; one holds a request that is stale by then."""
    planter = Planter()
    overseer = planter.overseer()
    requests = [planter.request(1), planter.request(2), planter.request(1)]
    for sequence, request in enumerate(requests, start=1):
        batch = planter.batch(request, time_ms=sequence)
        planter.agree(overseer, batch, sequence)
        outcomes = () if sequence == 3 else (0,)
        fate = planter.fate(request, outcomes, timestamp=2 if sequence == 2 else 1)
        for i in planter.correct:
            overseer.judge(i, [Executed(0, sequence, batch_digest(batch), sequence, (fate,))])

    overseer.completed(planter.alice.public_key, SESSION, completed())
    overseer.completed(planter.alice.public_key, SESSION, completed(timestamp=2, sequence=2))


def test_what_adversaries_do_is_not_judged() -> None:
    """Replica 3 is wicked: its votes for two digests break nothing, while replica 2's would."""
    planter = Planter(byzantine=[3])
    overseer = planter.overseer()
    for i in (3, 2):
        overseer.judge(i, [Persist(planter.prepare(bytes(32), i), ())])
    overseer.judge(3, [Persist(planter.prepare(b"x" * 32, 3), ())])
    with pytest.raises(OracleFailure):
        overseer.judge(2, [Persist(planter.prepare(b"x" * 32, 2), ())])


def test_only_oracles_that_exist_can_be_left_out() -> None:
    """A misspelt id would leave nothing out and let a test prove the wrong thing."""
    planter = Planter()
    with pytest.raises(ValueError, match="there are persist-before-send, O5, O16, O6, O1, O2, O3, O4"):
        oversee(Facts(planter.group, planter.keys.verifier, planter.correct), ["O7"])


@pytest.mark.parametrize("n", range(4, 40))
def test_facts_count_quorums_by_their_meaning(n: int) -> None:
    """The oracles' own quorum: two always share a correct member, one fewer need not, and n-f make one."""
    planter = Planter(n)
    facts = Facts(planter.group, planter.keys.verifier, planter.correct)
    assert n >= 3 * facts.faults + 1
    assert n < 3 * (facts.faults + 1) + 1
    assert 2 * facts.quorum - n >= facts.faults + 1
    assert 2 * (facts.quorum - 1) - n < facts.faults + 1
    assert facts.quorum <= n - facts.faults
    assert facts.quorum == planter.group.quorums.quorum


# O1, agreement.


@pytest.mark.parametrize("notice", ["committed", "executed"])
def test_o1_two_batches_at_one_sequence(notice: str) -> None:
    planter = Planter()
    overseer = planter.overseer(without=["O6", "O2"])
    one, other = planter.batch(time_ms=1), planter.batch(time_ms=2)

    def settle(batch: bytes) -> Effect:
        return planter.committed(batch) if notice == "committed" else planter.executed(batch)

    overseer.judge(1, [settle(one)])
    overseer.judge(2, [settle(one)])
    fires("O1", lambda: overseer.judge(3, [settle(other)]), "agreement broke at sequence 1: replica 1 .* replica 3")


# O2, validity.


def judged_valid(planter: Planter, batch: bytes, executed: Executed) -> None:
    overseer = planter.overseer(without=["O6"])
    overseer.delivered(1, planter.pre_prepare(batch))
    overseer.judge(1, [executed])


def test_o2_a_request_that_its_client_never_signed() -> None:
    planter = Planter()
    forged = planter.request(signer=planter.members[0])
    batch = planter.batch(forged)
    fires("O2", lambda: judged_valid(planter, batch, planter.executed(batch, forged)), "alice, never signed")


def test_o2_a_request_of_a_stranger() -> None:
    planter = Planter()
    stranger = Envelope(Kind.REQUEST, planter.keys.identity("mallory").public_key, b"", bytes(64))
    batch = planter.batch(stranger)
    fires("O2", lambda: judged_valid(planter, batch, planter.executed(batch)), "nobody registered")


def test_o2_a_replicas_vote_for_a_request() -> None:
    planter = Planter()
    batch = planter.batch(planter.prepare(bytes(32), 1))
    fires("O2", lambda: judged_valid(planter, batch, planter.executed(batch)), "nobody registered")


def test_o2_a_batch_that_nobody_proposed() -> None:
    planter = Planter()
    overseer = planter.overseer(without=["O6"])
    batch = planter.batch(planter.request())
    fires("O2", lambda: overseer.judge(1, [planter.executed(batch, planter.request())]), "never proposed")


def test_o2_a_batch_that_says_nothing() -> None:
    planter = Planter()
    fires("O2", lambda: judged_valid(planter, b"\xff", planter.executed(b"\xff")), "malformed")


def test_o2_other_requests_than_the_batch_holds() -> None:
    planter = Planter()
    batch = planter.batch(planter.request(1))
    fires("O2", lambda: judged_valid(planter, batch, planter.executed(batch)), "executed other requests")


def test_o2_an_operation_without_an_outcome() -> None:
    planter = Planter()
    request = planter.request(operations=3)
    batch = planter.batch(request)
    executed = Executed(0, 1, batch_digest(batch), 1, (planter.fate(request, (0, 0)),))
    fires("O2", lambda: judged_valid(planter, batch, executed), "2 outcomes to the 3 operations")


def test_o2_reads_batches_wherever_they_show() -> None:
    """A batch counts as proposed once it is delivered, sent or persisted, beside a vote or within its basis."""
    planter = Planter()
    request = planter.request()
    batch = planter.batch(request)
    proposal, vote = planter.pre_prepare(batch), planter.prepare(batch_digest(batch), 1)
    showings: list[Effect] = [Persist(proposal, ()), Persist(vote, (proposal,)), Broadcast(proposal), Send(2, proposal)]
    for effect in showings:
        overseer = planter.overseer(without=["O6", "persist-before-send"])
        overseer.judge(1, [effect, planter.executed(batch, request)])


# O3, exactly once.


def test_o3_a_request_that_takes_effect_twice() -> None:
    planter = Planter()
    overseer = planter.overseer(without=["O6", "O2"])
    request = planter.request()
    batches = [planter.batch(request, time_ms=time_ms) for time_ms in (1, 2)]
    overseer.judge(1, [planter.executed(batches[0], request)])
    again = planter.executed(batches[1], request, sequence=2)
    fires("O3", lambda: overseer.judge(1, [again]), "t1 of alice took effect at sequence 1, and again at 2")


def test_o3_a_request_that_takes_effect_twice_within_a_batch() -> None:
    planter = Planter()
    overseer = planter.overseer(without=["O6", "O2"])
    request = planter.request()
    batch = planter.batch(request, request)
    fires(
        "O3",
        lambda: overseer.judge(1, [planter.executed(batch, request, request)]),
        "take effect at sequence 1 after t1",
    )


def test_o3_an_older_request_after_a_newer_one() -> None:
    planter = Planter()
    overseer = planter.overseer(without=["O6", "O2"])
    new, old = planter.fate(planter.request(2), (0,), 2), planter.fate(planter.request(1), (0,), 1)
    overseer.judge(1, [Executed(0, 1, bytes(32), 1, (new,))])
    late = Executed(0, 2, b"x" * 32, 2, (old,))
    fires("O3", lambda: overseer.judge(1, [late]), "t1 of alice take effect at sequence 2 after t2")


def test_o3_one_request_with_two_outcomes() -> None:
    planter = Planter()
    overseer = planter.overseer(without=["O6", "O2"])
    request = planter.request()
    batch = planter.batch(request)
    overseer.judge(1, [planter.executed(batch, request, outcome=0)])
    fires(
        "O3",
        lambda: overseer.judge(2, [planter.executed(batch, request, outcome=1)]),
        r"\(0,\) on replica 1, as \(1,\)",
    )


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (completed(timestamp=2), "t2 ran, but no correct replica executed it"),
        (completed(sequence=2), "t1 ran at sequence 2; it was 1"),
        (completed(outcome=Outcome.REJECTED), "another outcome of t1"),
    ],
)
def test_o3_a_client_that_is_told_what_never_was(told: Completed, words: str) -> None:
    planter = Planter()
    overseer = planter.overseer(without=["O6", "O2"])
    request = planter.request()
    overseer.judge(1, [planter.executed(planter.batch(request), request)])
    fires("O3", lambda: overseer.completed(planter.alice.public_key, SESSION, told), words)


# O4, order.


@pytest.mark.parametrize("sequence", [1, 3])
def test_o4_a_gap_or_a_step_back(sequence: int) -> None:
    planter = Planter()
    overseer = planter.overseer(without=["O1", "O2", "O6"])
    overseer.judge(1, [planter.executed(planter.batch())])
    wrong = planter.executed(planter.batch(), sequence=sequence)
    fires("O4", lambda: overseer.judge(1, [wrong]), f"replica 1 executed sequence {sequence} after 1")


def test_o4_agreed_time_that_moves_back() -> None:
    planter = Planter()
    overseer = planter.overseer(without=["O2", "O6"])
    overseer.judge(1, [planter.executed(planter.batch(), time_ms=2_000)])
    earlier = planter.executed(planter.batch(), sequence=2, time_ms=1_999)
    fires("O4", lambda: overseer.judge(1, [earlier]), "moved back on replica 1, from 2000 to 1999")


def test_o4_a_vote_in_an_earlier_view() -> None:
    planter = Planter()
    overseer = planter.overseer()
    overseer.judge(2, [Persist(planter.prepare(bytes(32), 2, view=1), ())])
    earlier = Persist(planter.prepare(bytes(32), 2, sequence=2, view=0), ())
    fires("O4", lambda: overseer.judge(2, [earlier]), "replica 2 voted in view 0 after view 1")


@pytest.mark.parametrize(
    ("statuses", "words"),
    [
        ([(1, 0), (0, 0)], "view 0 and sequence 0, after view 1 and sequence 0"),
        ([(0, 1), (0, 0)], "view 0 and sequence 0, after view 0 and sequence 1"),
        ([(0, 2)], "says it executed 2, which it has not"),
    ],
)
def test_o4_a_status_that_moves_back_or_boasts(statuses: Sequence[tuple[int, int]], words: str) -> None:
    planter = Planter()
    overseer = planter.overseer(without=["O2", "O6"])
    overseer.judge(1, [planter.executed(planter.batch())])

    def tell() -> None:
        for view, executed in statuses:
            overseer.judge(1, [Broadcast(Envelope(Kind.STATUS, 1, pack(Status(view, executed, 0, b""))))])

    fires("O4", tell, words)


# O5, no equivocation; and no vote before it is durable.


@pytest.mark.parametrize("kind", [Kind.PRE_PREPARE, Kind.PREPARE, Kind.COMMIT])
@pytest.mark.parametrize("way", ["persist", "send", "broadcast"])
def test_o5_two_votes_in_one_place(kind: Kind, way: str) -> None:
    planter = Planter()
    overseer = planter.overseer(without=["persist-before-send", "O6"])

    def vote(digest: bytes) -> Effect:
        envelope = seal(planter.group, planter.members[1].signer, kind, 1, pack(Prepare(0, 1, digest)))
        ways: dict[str, Effect] = {
            "persist": Persist(envelope, ()),
            "send": Send(2, envelope),
            "broadcast": Broadcast(envelope),
        }
        return ways[way]

    overseer.judge(1, [vote(bytes(32)), vote(bytes(32))])
    fires(
        "O5",
        lambda: overseer.judge(1, [vote(b"x" * 32)]),
        f"replica 1 signed {kind.name} v0 s1 78787878, after 00000000",
    )


def test_o5_two_roots_for_one_sequence() -> None:
    """A reply commits its replica to the results of a sequence, whatever the view."""
    planter = Planter()
    overseer = planter.overseer()

    def reply(root: bytes) -> Broadcast:
        return Broadcast(seal(planter.group, planter.members[1].signer, Kind.REPLY, 1, pack(Reply(1, root))))

    overseer.judge(1, [reply(bytes(32))])
    fires("O5", lambda: overseer.judge(1, [reply(b"x" * 32)]), "replica 1 signed REPLY s1")


def test_o5_what_others_said_may_be_passed_on() -> None:
    """Relaying two votes of somebody who equivocates is no equivocation of one's own."""
    planter = Planter(byzantine=[3])
    overseer = planter.overseer()
    overseer.judge(1, [Send(2, planter.prepare(bytes(32), 3)), Send(2, planter.prepare(b"x" * 32, 3))])


@pytest.mark.parametrize("way", [Broadcast, lambda envelope: Send(2, envelope)])
def test_persist_before_send_fires_on_a_vote_that_leaves_too_early(way: Callable[[Envelope], Effect]) -> None:
    """The order within one list counts: a Persist after its Send is too late."""
    planter = Planter()
    overseer = planter.overseer()
    vote = planter.prepare(bytes(32), 1)
    early = [way(vote), Persist(vote, ())]
    fires("persist-before-send", lambda: overseer.judge(1, early), "replica 1 sent PREPARE v0 s1 00000000 before")


def test_a_vote_made_durable_once_may_be_sent_again() -> None:
    """Repair sends old votes again, long after their Persist."""
    planter = Planter()
    overseer = planter.overseer()
    vote = planter.prepare(bytes(32), 1)
    overseer.judge(1, [Persist(vote, ()), Broadcast(vote)])
    overseer.judge(1, [Send(3, vote)])


# O16, evidence.


@pytest.mark.parametrize(
    ("culprit", "first", "second", "words"),
    [
        (3, (3, bytes(32), 1), (3, b"x" * 32, 2), "which may both be said"),
        (3, (3, bytes(32), 1), (3, bytes(32), 1), "which may both be said"),
        (3, (2, bytes(32), 1), (3, b"x" * 32, 1), "a PREPARE it never signed"),
        (2, (2, bytes(32), 1), (2, b"x" * 32, 1), "which is correct"),
    ],
)
def test_o16_blame_for_the_innocent(
    culprit: int, first: tuple[int, bytes, int], second: tuple[int, bytes, int], words: str
) -> None:
    planter = Planter(byzantine=[3])
    votes = [planter.prepare(digest, by, sequence) for by, digest, sequence in (first, second)]
    evidence = Evidence(culprit, votes[0], votes[1])
    fires("O16", lambda: planter.overseer().judge(1, [evidence]), words)


def test_o16_a_forged_signature_blames_nobody() -> None:
    planter = Planter(byzantine=[3])
    forged = Envelope(Kind.PREPARE, 3, planter.prepare(b"x" * 32, 2).body, bytes(64))
    evidence = Evidence(3, planter.prepare(bytes(32), 3), forged)
    fires("O16", lambda: planter.overseer().judge(1, [evidence]), "never signed")


def test_o16_is_content_with_true_evidence() -> None:
    planter = Planter(byzantine=[3])
    votes = [planter.prepare(digest, 3) for digest in (bytes(32), b"x" * 32)]
    planter.overseer().judge(1, [Evidence(3, votes[0], votes[1])])


# O6, certificates.


def judged_certificate(planter: Planter, notice: Prepared | CommittedLocal) -> None:
    overseer: Overseer = planter.overseer(without=["O1"])
    if isinstance(notice, CommittedLocal):
        planter.agree(overseer, planter.batch())
    overseer.judge(1, [notice])


def test_o6_prepared_by_too_few() -> None:
    planter = Planter()
    notice = planter.prepared(planter.batch(), backups=[1])
    fires("O6", lambda: judged_certificate(planter, notice), "2 members, and 3 of 4 make a quorum")


def test_o6_prepared_by_one_backup_twice() -> None:
    planter = Planter()
    notice = planter.prepared(planter.batch(), backups=[1, 1])
    fires("O6", lambda: judged_certificate(planter, notice), "counts one member twice")


def test_o6_prepared_by_the_primary_itself() -> None:
    planter = Planter()
    notice = planter.prepared(planter.batch(), backups=[0, 1, 2])
    fires("O6", lambda: judged_certificate(planter, notice), "counts a prepare of the primary")


def test_o6_prepared_on_a_forged_signature() -> None:
    planter = Planter()
    notice = planter.prepared(planter.batch())
    forged = Envelope(Kind.PREPARE, 2, notice.certificate[1].body, notice.certificate[1].signature)
    broken = Prepared(0, 1, notice.digest, (*notice.certificate[:2], forged))
    fires("O6", lambda: judged_certificate(planter, broken), "PREPARE that replica 2 never signed")


def test_o6_prepared_on_votes_of_another_group() -> None:
    planter, other = Planter(4), Planter(7)
    batch = planter.batch()
    digest = batch_digest(batch)
    votes = [other.prepare(digest, i) for i in (1, 2)]
    broken = Prepared(0, 1, digest, (planter.pre_prepare(batch), *votes))
    fires("O6", lambda: judged_certificate(planter, broken), "never signed in this group")


@pytest.mark.parametrize(("view", "sequence", "digest"), [(1, 1, None), (0, 2, None), (0, 1, b"x" * 32)])
def test_o6_prepared_on_votes_for_something_else(view: int, sequence: int, digest: bytes | None) -> None:
    planter = Planter()
    notice = planter.prepared(planter.batch(), backups=[1])
    stray = planter.prepare(digest or notice.digest, 2, sequence, view)
    broken = Prepared(0, 1, notice.digest, (*notice.certificate, stray))
    fires("O6", lambda: judged_certificate(planter, broken), "a vote for something else")


def test_o6_prepared_without_the_primarys_proposal() -> None:
    planter = Planter()
    batch = planter.batch()
    digest = batch_digest(batch)
    votes = tuple(planter.prepare(digest, i) for i in (1, 2, 3))
    for proposals in ((), (planter.pre_prepare(batch, by=3),)):
        broken = Prepared(0, 1, digest, (*proposals, *votes))
        fires("O6", lambda broken=broken: judged_certificate(planter, broken), "no single pre-prepare of its primary")  # type: ignore[misc]


def test_o6_committed_by_too_few() -> None:
    planter = Planter()
    notice = planter.committed(planter.batch(), members=[0, 1])
    fires("O6", lambda: judged_certificate(planter, notice), "2 members, and 3 of 4 make a quorum")


def test_o6_committed_by_one_member_twice() -> None:
    planter = Planter()
    notice = planter.committed(planter.batch(), members=[0, 1, 1])
    fires("O6", lambda: judged_certificate(planter, notice), "counts one member twice")


def test_o6_committed_on_a_vote_its_owner_never_cast() -> None:
    """A commit may count on its link alone, but none stands in a correct replica's name that it did not say."""
    planter = Planter()
    overseer = planter.overseer()
    fires("O6", lambda: overseer.judge(1, [planter.committed(planter.batch())]), "a commit that replica 0 never voted")


def test_o6_committed_by_a_stranger() -> None:
    planter = Planter(byzantine=[3])
    notice = planter.committed(planter.batch(), members=[0, 1])
    stranger = Envelope(Kind.COMMIT, 9, notice.certificate[0].body, bytes(64))
    broken = CommittedLocal(0, 1, notice.digest, (*notice.certificate, stranger))
    fires("O6", lambda: judged_certificate(planter, broken), "somebody who is no member")


def test_o6_a_commit_of_something_not_prepared() -> None:
    planter = Planter()
    overseer = planter.overseer()
    vote = Persist(planter.commit(bytes(32), 1), ())
    fires("O6", lambda: overseer.judge(1, [vote]), "COMMIT v0 s1 00000000 without a prepared certificate")


def test_o6_an_execution_of_something_not_committed() -> None:
    planter = Planter()
    overseer = planter.overseer(without=["O2"])
    fires("O6", lambda: overseer.judge(1, [planter.executed(planter.batch())]), "sequence 1 without a certificate")


def test_every_oracle_is_seen_to_fire() -> None:
    """An oracle that nothing here makes fire proves nothing: each id has a test named after it."""
    for oracle in ORACLES:
        prefix = f"test_{oracle.id.lower().replace('-', '_')}_"
        assert any(name.startswith(prefix) for name in globals()), f"no test fires {oracle.id}"
