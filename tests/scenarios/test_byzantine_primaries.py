"""Wicked primaries (P1 to P8): correct replicas stay equal, serve everybody, and replace whom they must."""

from __future__ import annotations

import pytest

from pbft.core.effects import Cause, Reason, ViewChangeStarted
from pbft.core.envelope import Kind, seal
from pbft.core.group import Limits
from pbft.core.messages import Batch, Prepare, PrePrepare, batch_digest, pack
from pbft.core.settings import ReplicaSettings, SessionSettings
from pbft.testing import Cluster
from pbft.testing.byzantine import (
    Adversary,
    Censor,
    Equivocator,
    FadingPrimary,
    ForgingPrimary,
    GappyPrimary,
    GrudgingPrimary,
    OutOfBounds,
    PartialPrimary,
    RepeatingPrimary,
    Silent,
    SlowPrimary,
    SlowVoter,
    SwappingPrimary,
    TimeLiar,
    TwoFaced,
)
from pbft.testing.network import WALL_START_MS
from pbft_apps.counter import Counter
from tests.scenarios.stories import (
    SIZES,
    Load,
    core,
    effective,
    faults,
    primaries,
    refused,
    served_ms,
    views_left,
)


@SIZES
def test_p1_an_equivocating_primary_divides_nobody(n: int) -> None:
    """The primary and its colluders tell each half of the group another order: one of the two commits at most.

    They do so in every view that one of them is primary of. All clients are answered, and in the end all correct
    replicas have the same history, those too that were told another one.
    """
    group = Cluster(Counter, seed=27, n=n, byzantine=primaries(n, Equivocator))
    load = Load(group, "alice", "bob", think_ms=50)

    group.run(served_ms(faults(n)))
    group.finish(*load.stop())

    assert load.exactly_once()
    assert group.histories_agree()


@SIZES
def test_p1_two_proposals_for_one_sequence_are_kept_as_evidence(n: int) -> None:
    """Primaries that say two things to everybody's face: every correct replica can prove what they did."""
    group = Cluster(Counter, seed=20, n=n, byzantine=primaries(n, TwoFaced))
    load = Load(group, "alice", "bob", think_ms=50)

    group.run(served_ms(faults(n)))
    group.finish(*load.stop())

    assert load.exactly_once()
    assert group.histories_agree()
    for replica in group.correct:
        proven = {(each.culprit, each.first.kind.name) for each in group.evidence(replica)}
        assert (0, "PRE_PREPARE") in proven
        assert {culprit for culprit, _ in proven} == set(primaries(n, TwoFaced))


@SIZES
def test_p1_a_backup_votes_for_the_first_of_two_proposals(n: int) -> None:
    """A backup votes for the first of two batches at (view 0, sequence 1) only, and keeps both as proof.

    What it alone was told of reaches the others through repair, and commits (P5).
    """
    group = Cluster(Counter, seed=20, n=n, byzantine={0: Silent}, delay_ms=(5, 5))
    signer = group.identity("replica 0").signer
    batches = [pack(Batch(WALL_START_MS + milliseconds, ())) for milliseconds in (1, 2)]
    for batch in batches:
        body = pack(PrePrepare(0, 1, batch_digest(batch)))
        group.inject(seal(group.group, signer, Kind.PRE_PREPARE, 0, body, batch), to=1)
    group.run(5_000)

    assert views_left(group) == [0] * len(group.correct)
    votes = [(persist.vote.kind, persist.vote.body) for persist in group.durable(1)]
    first = pack(Prepare(0, 1, batch_digest(batches[0])))
    assert votes == [(Kind.PREPARE, first), (Kind.COMMIT, first)]
    assert [group.history(i)[0].digest for i in group.correct] == [batch_digest(batches[0])] * (n - 1)
    assert group.ignored(1)[Reason.CONFLICTING] == 1
    assert [each.culprit for each in group.evidence(1)] == [0]


@SIZES
def test_p1_whoever_was_told_another_batch_takes_the_one_that_committed(n: int) -> None:
    """Nothing more is asked once the lie is told: the few who hold the other batch still come to where the rest are."""
    group = Cluster(Counter, seed=21, n=n, byzantine=primaries(n, Equivocator))
    alice = group.client("alice")

    assert group.gather(alice.call("add", 5), within_ms=served_ms(faults(n))) == [5]

    group.run_until_level(within_ms=20_000)
    assert group.histories_agree()


@SIZES
def test_p2_a_batch_with_forged_requests_is_refused(n: int) -> None:
    """Unsigned, forged and strangers' requests in batches, with the votes of all who collude: nobody prepares them.

    Each such primary is replaced within its timeout, and then the clients' own requests run, and nothing else.
    """
    group = Cluster(Counter, seed=81, n=n, byzantine=primaries(n, ForgingPrimary))
    alice, bob = group.clients("alice", "bob")

    calls = (alice.call("add", 5), bob.call("add", 2))
    totals = group.gather(*calls, within_ms=served_ms(faults(n)))

    assert max(totals) == 7
    assert all(count > 0 for count in refused(group, Reason.BAD_BATCH))
    assert group.views() == {faults(n)}
    group.run_until_level()
    assert [effective(group, i) for i in group.correct] == [2] * len(group.correct)
    assert group.histories_agree()


@SIZES
@pytest.mark.parametrize("kind", [GappyPrimary, SwappingPrimary, RepeatingPrimary])
def test_p3_gaps_and_repetitions_run_exactly_once(n: int, kind: type[Adversary]) -> None:
    """Sequences left out, swapped, or given to one batch twice: every request runs once, and gaps become nulls."""
    group = Cluster(Counter, seed=82, n=n, byzantine=primaries(n, kind))
    load = Load(group, "alice", "bob", think_ms=50)

    group.run(served_ms(faults(n)))
    group.finish(*load.stop())

    assert load.exactly_once()
    for replica in group.correct:
        assert effective(group, replica) == len(load.calls)
        assert [each.sequence for each in group.history(replica)] == list(range(1, group.executed(replica) + 1))
    assert group.histories_agree()


@SIZES
def test_p3_a_gap_is_filled_with_the_null_request(n: int) -> None:
    """A primary leaves sequence 1 out: the next view gives it to nobody, and what was proposed for 2 runs there."""
    group = Cluster(Counter, seed=83, n=n, byzantine=primaries(n, GappyPrimary))
    alice = group.client("alice")

    call = alice.call("add", 5)
    assert group.gather(call, within_ms=served_ms(faults(n))) == [5]

    first, second = group.history(group.correct[0])[:2]
    assert first.requests == ()
    assert [each.timestamp for each in second.requests] == [1]
    assert call.completed is not None
    assert call.completed.sequence == 2


@SIZES
def test_p4_what_is_out_of_bounds_leaves_nothing_behind(n: int) -> None:
    """Other views, sequences, digests and groups before every proposal and vote: ignored, whatever the signature.

    Nothing of it is kept but what may be due later, in the room that each of the liars has for that. The group goes on
    in view 0 as if it had not been said.
    """
    group = Cluster(Counter, seed=84, n=n, byzantine=primaries(n, OutOfBounds), limits=Limits(log_size=1_000))
    load = Load(group, "alice", "bob", think_ms=50)

    group.run(1_000)
    group.finish(*load.stop())

    assert load.exactly_once()
    assert views_left(group) == [0] * len(group.correct)
    for reason in (Reason.OUTSIDE_WATERMARKS, Reason.TOO_EARLY, Reason.WRONG_DIGEST, Reason.BAD_SIGNATURE):
        assert all(count > 0 for count in refused(group, reason))
    for i in group.correct:
        replica = core(group, i)
        executed, usage = replica.status().executed, replica.usage()
        assert usage["slots"] == executed
        assert usage["votes"] <= 2 * n * executed
        assert usage["early_bytes"] <= faults(n) * replica.settings.early_bytes


@SIZES
def test_p5_what_one_backup_is_told_reaches_all(n: int) -> None:
    """PRE-PREPAREs and NEW-VIEWs go to one correct replica only: the others fetch them, or else the next view comes."""
    group = Cluster(Counter, seed=85, n=n, byzantine=primaries(n, PartialPrimary))
    alice, bob = group.clients("alice", "bob")

    totals = group.gather(alice.call("add", 5), bob.call("add", 2), within_ms=served_ms(faults(n), waits=2))

    assert max(totals) == 7
    group.run_until_level()
    assert group.histories_agree()


@SIZES
def test_p5_a_primary_that_stops_when_f_and_one_were_told_loses_nothing(n: int) -> None:
    """f primaries each tell f+1 backups one proposal, and then nobody anything: it is carried over, or asked anew.

    The others may bring it to an end without them, so that their timers start anew, once for each such primary.
    """
    group = Cluster(Counter, seed=88, n=n, byzantine=primaries(n, FadingPrimary))
    alice, bob = group.clients("alice", "bob")
    anew_ms = sum(ReplicaSettings().view_timeout_ms << i for i in range(faults(n)))

    calls = (alice.call("add", 5), bob.call("add", 2))
    totals = group.gather(*calls, within_ms=served_ms(faults(n), waits=2) + anew_ms)

    assert max(totals) == 7
    assert min(group.views()) >= 1
    group.run_until_level()
    assert group.histories_agree()


@SIZES
@pytest.mark.parametrize("seed", [86, 87])
def test_p6_a_censored_client_is_served(n: int, seed: int) -> None:
    """Two clients keep the primaries busy, who are deaf to Alice: that others are served does not calm her backups.

    Each censor is left as unfair a timeout after it was told of her request, and what a look at the waiting ones each
    eighth of a timeout adds. The first one is told when she asks everybody, a later one when she does so again.
    """
    group = Cluster(Counter, seed=seed, n=n, byzantine=primaries(n, Censor), clients=("alice", "bob", "carol"))
    load = Load(group, "bob", "carol", think_ms=50)
    alice = group.client("alice")
    group.run(500)
    served = len(load.answered_ms)
    timeouts_ms = [ReplicaSettings().view_timeout_ms << i for i in range(faults(n))]
    asked_again_ms = (faults(n) - 1) * SessionSettings().retransmit_max_ms
    unfair_ms = asked_again_ms + sum(timeout // 8 for timeout in timeouts_ms)

    group.gather(alice.call("add", 1), within_ms=served_ms(faults(n)) + unfair_ms)

    causes = {step.cause for i in group.correct for step in group.steps(i, ViewChangeStarted)}
    assert causes <= {Cause.UNFAIR, Cause.JOINED}
    assert group.views() == {faults(n)}
    assert len(load.answered_ms) > served + 10, "others were served meanwhile"
    group.finish(*load.stop())
    assert group.histories_agree()


@SIZES
def test_p6_a_client_served_just_often_enough_is_served(n: int) -> None:
    """f primaries let one client wait until its backups are about to complain: it is slow, and always served."""
    group = Cluster(Counter, seed=89, n=n, byzantine=primaries(n, GrudgingPrimary), clients=("alice", "bob"))
    load = Load(group, "alice", "bob", think_ms=50)

    group.run(5_000)

    assert 3 <= load.answers("alice") < load.answers("bob")
    group.finish(*load.stop())
    assert load.exactly_once()
    assert group.histories_agree()


@SIZES
@pytest.mark.parametrize("kind", [SlowPrimary, SlowVoter])
def test_p7_a_slow_primary_that_nobody_replaces_serves_within_its_timeouts(n: int, kind: type[SlowPrimary]) -> None:
    """Every step comes just before the others lose patience, and they do not look at its pace (design 4.14).

    A call is answered within a timeout for the proposal that was made when it came, and one for its own; nobody leaves
    the view, and one call at a time runs, each once.
    """
    settings = ReplicaSettings(replace_slow_primary=False)
    group = Cluster(Counter, seed=90, n=n, byzantine=primaries(n, kind), settings=settings)
    load = Load(group, "alice", "bob", think_ms=50)

    group.run(8 * settings.view_timeout_ms)

    answered = [0, *load.answered_ms]
    waits = [later - before for before, later in zip(answered, answered[2:], strict=False)]
    assert max(waits) <= 2 * settings.view_timeout_ms + SessionSettings().retransmit_ms
    assert len(load.answered_ms) <= 2 * 8 * settings.view_timeout_ms / (kind.share * settings.view_timeout_ms)
    assert views_left(group) == [0] * len(group.correct)
    group.finish(*load.stop())
    assert load.exactly_once()


@SIZES
def test_p8_times_out_of_bounds_are_refused(n: int) -> None:
    """Proposed times beyond the drift, in the past and at the end of all times: held back, and the primary replaced.

    All who collude vote for them. Agreed time never leaves the clocks of correct replicas by more than the drift.
    """
    group = Cluster(Counter, seed=87, n=n, byzantine=primaries(n, TimeLiar))
    load = Load(group, "alice", "bob", think_ms=50)

    group.run(served_ms(faults(n)))
    group.finish(*load.stop())

    assert load.exactly_once()
    assert all(count > 0 for count in refused(group, Reason.CLOCK_DRIFT))
    assert group.views() == {faults(n)}
    drift_ms = group.group.limits.clock_drift_ms
    for replica in group.correct:
        times_ms = [batch.time_ms - WALL_START_MS for batch in group.history(replica)]
        assert times_ms == sorted(times_ms)
        assert times_ms[0] > -drift_ms
        assert times_ms[-1] < group.now_ms + drift_ms
    assert group.histories_agree()
