"""O1 to O3: each fires on the one thing it is there for."""

from __future__ import annotations

import pytest

from pbft.core.effects import Broadcast, Effect, Executed, Persist, Send
from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import batch_digest
from pbft.core.session import Completed
from pbft.machine import Outcome, Result
from tests.testing.planted import SESSION, Planter, fires


def completed(timestamp: int = 1, sequence: int = 1, outcome: Outcome = Outcome.OK) -> Completed:
    """What a client believes that it was told."""
    result = Result.of(outcome, 5 if outcome is Outcome.OK else "no")
    return Completed(1, result, 0, sequence, timestamp, (0, 1), (), (2, 3), 2, 10, None, 0)


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
    overseer.delivered(planter.pre_prepare(batch))
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
