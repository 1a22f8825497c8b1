"""Nobody fails: requests are ordered, executed alike everywhere, and answered (OSDI'99 section 4.2)."""

from __future__ import annotations

import pytest

from pbft.core.envelope import Kind
from pbft.core.settings import ReplicaSettings
from pbft.machine import Outcome, Rejected
from pbft.testing import CallFailed, Cluster
from pbft.testing.journal import Journal
from pbft_apps.counter import Counter
from pbft_apps.ledger import Ledger
from tests.scenarios.stories import SIZES


@SIZES
def test_one_operation_is_answered(n: int) -> None:
    """Alice adds 5; f+1 replicas tell her 5, and all of them execute it as sequence 1 of view 0."""
    group = Cluster(Counter, seed=1, n=n)
    alice = group.client("alice")

    to_backups = group.network.on(Kind.REQUEST, dst=range(1, n)).duplicate(1)
    call = alice.call("add", 5)
    assert group.gather(call) == [5]
    group.run(1_000)

    assert to_backups.met == 0, "while nothing is late, requests go to the primary alone"
    assert call.completed is not None
    assert (call.completed.view, call.completed.sequence, call.completed.timestamp) == (0, 1, 1)
    assert len(call.completed.matching) == call.completed.needed == (n - 1) // 3 + 1
    assert [len(group.history(i)) for i in range(n)] == [1] * n
    assert group.views() == {0}
    assert group.histories_agree()


@SIZES
def test_competing_clients_get_one_order(n: int) -> None:
    """Alice and Bob add at the same time; whoever comes second sees the other's amount, on every replica."""
    group = Cluster(Counter, seed=2, n=n)
    alice, bob = group.clients("alice", "bob")

    totals = group.gather(alice.call("add", 5), bob.call("add", 2))

    assert max(totals) == 7
    assert min(totals) in (5, 2)
    group.run_until_level()
    assert group.histories_agree()


@SIZES
def test_calls_of_one_client_ride_together(n: int) -> None:
    """Calls made at once share a request: one timestamp and one sequence, each with an answer of its own, in order."""
    group = Cluster(Counter, seed=3, n=n)
    alice = group.client("alice")

    calls = [alice.call("add", amount) for amount in (1, 10, 100)]

    assert group.gather(*calls) == [1, 11, 111]
    answers = [call.completed for call in calls if call.completed is not None]
    assert [(each.timestamp, each.sequence, each.index) for each in answers] == [(1, 1, 0), (1, 1, 1), (1, 1, 2)]


def test_calls_made_while_one_is_in_flight_ride_in_the_next() -> None:
    """A session has one request in flight; what is called meanwhile waits for it and then leaves as one request."""
    group = Cluster(Counter, seed=4)
    alice = group.client("alice")
    first = alice.call("add", 1)
    group.run_until(lambda: group.history(0) != [], waiting_for=lambda: "execution")

    later = [alice.call("add", 10), alice.call("add", 100)]

    assert not first.done
    assert group.gather(first, *later) == [1, 11, 111]
    assert [call.completed.timestamp for call in (first, *later) if call.completed is not None] == [1, 2, 2]


def test_batches_grow_while_the_window_is_full() -> None:
    """With one sequence in flight at most, requests that come meanwhile are ordered together (design 4.3)."""
    clients = [f"client{i}" for i in range(12)]
    group = Cluster(Counter, seed=5, clients=clients, settings=ReplicaSettings(window=1))
    sessions = group.clients(*clients)

    totals = group.gather(*[session.call("add", 1) for session in sessions])

    assert sorted(totals) == list(range(1, 13))
    sizes = [len(batch.requests) for batch in group.history(0)]
    assert sum(sizes) == 12
    assert len(sizes) < 12
    assert max(sizes) > 1


@SIZES
def test_a_group_that_has_finished_falls_silent(n: int) -> None:
    """Once all is executed everywhere and answered, nothing waits and nobody says a word more."""
    group = Cluster(Counter, seed=5, n=n, loss=0.1)
    alice, bob = group.clients("alice", "bob")
    group.gather(*[client.call("add", amount) for amount in range(5) for client in (alice, bob)])
    group.network.calm()
    group.gather(alice.call("add", 1), bob.call("add", 1))
    group.run_until_level()
    group.run(5_000)

    before = group.deliveries
    group.run(60_000)

    assert group.deliveries == before
    statuses = [group.replica(i).status() for i in range(n)]
    assert [(status.waiting, status.in_flight, status.behind) for status in statuses] == [(0, 0, 0)] * n


def test_a_lone_request_waits_for_no_company() -> None:
    """Each of three requests that come one after the other is ordered at once, in a batch of its own."""
    group = Cluster(Counter, seed=6)
    alice = group.client("alice")

    for total in (1, 2, 3):
        assert group.gather(alice.call("add", 1)) == [total]

    assert [len(batch.requests) for batch in group.history(0)] == [1, 1, 1]


def test_a_rejection_is_an_answer_and_changes_nothing() -> None:
    """The application's no comes with its own words, agreed like a value; what rode along is not harmed."""
    group = Cluster(Ledger, seed=7, parameters={"issuer": "alice", "clients": ["alice", "bob"]})
    alice, bob = group.clients("alice", "bob")
    assert group.gather(alice.call("mint", "alice", 100)) == [100]

    overdraft, honest = bob.call("transfer", "bob", "alice", 1), bob.call("balance", "alice")
    group.settle(overdraft, honest)

    assert overdraft.outcome is Outcome.REJECTED
    with pytest.raises(Rejected):
        overdraft.value()
    assert honest.value() == 100
    assert overdraft.completed is not None
    assert honest.completed is not None
    assert overdraft.completed.sequence == honest.completed.sequence


@pytest.mark.parametrize(("name", "args"), [("multiply", (2,)), ("add", ("five",)), ("add", ())])
def test_an_operation_that_does_not_fit_is_answered_so(name: str, args: tuple[object, ...]) -> None:
    """An unknown operation or wrong arguments end as INVALID with a sentence, on all replicas alike."""
    group = Cluster(Counter, seed=8)
    alice = group.client("alice")

    wrong, right = alice.call(name, *args), alice.call("add", 1)
    group.settle(wrong, right)

    assert wrong.outcome is Outcome.INVALID
    with pytest.raises(CallFailed, match=name):
        wrong.value()
    assert right.value() == 1
    group.run_until_level()
    assert group.histories_agree()


def test_a_whole_run_under_real_signatures() -> None:
    """The same replicas and clients under Ed25519 come to the same end."""
    group = Cluster(Journal, seed=9, signatures="ed25519", loss=0.05)
    alice, bob = group.clients("alice", "bob")

    places = group.gather(*[session.call("write", word) for session in (alice, bob) for word in ("a", "b")])

    assert sorted(places) == [1, 2, 3, 4]
    assert group.histories_agree()


@pytest.mark.parametrize("signatures", ["simulated", "ed25519"])
def test_a_receipt_convinces_whoever_was_not_there(signatures: str) -> None:
    """f+1 signed roots and a path prove an answer to anybody who knows the group (design 4.11)."""
    group = Cluster(Counter, seed=10, signatures="ed25519" if signatures == "ed25519" else "simulated")
    alice, bob = group.clients("alice", "bob")

    call = alice.call("add", 5, receipt=True)
    group.settle(call, bob.call("add", 2))

    assert call.completed is not None
    receipt = call.completed.receipt
    assert receipt is not None
    assert len(receipt.verify(group.group, group.verifier)) == 2
    assert receipt.outcomes()[call.completed.index].value == call.value()
    assert receipt.sequence == call.completed.sequence
