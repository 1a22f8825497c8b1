"""Replicas and clients that share their keys and a plan (X1), under a network that is as bad as they wish (X2)."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pbft.core.envelope import Kind
from pbft.testing import Cluster
from pbft.testing.byzantine import (
    Adversary,
    BatchStuffer,
    CertificateForger,
    Complainer,
    Equivocator,
    ForkedView,
    GrudgingPrimary,
    Hoarder,
    NodeForger,
    PartialPrimary,
    Restless,
    SlowPrimary,
    TwoFaced,
    Ventriloquist,
    WrongReply,
)
from pbft_apps.counter import Counter
from tests.scenarios.stories import SIZES, SMALL_LOG, Load, effective, faults

CLIENTS = ("alice", "bob", "mallory", "trudy")
COLLUDERS = ("mallory", "trudy")


class Divider(Ventriloquist, ForkedView, Equivocator, WrongReply):
    """Tells two stories of everything: a client's wish, a proposal, a view's beginning, and what came of it."""


class Starver(BatchStuffer, GrudgingPrimary, SlowPrimary):
    """Serves its friends first, one victim last, and nobody before it must."""


class Saboteur(Ventriloquist, Restless, Complainer, CertificateForger, NodeForger):
    """Is in everybody's way: with views, complaints, certificates, and wrong nodes for who has to catch up."""


class Hider(BatchStuffer, PartialPrimary, Hoarder, TwoFaced):
    """Keeps back what others need, and says the opposite of the rest."""


PLANS: dict[str, tuple[type[Adversary], type[Adversary]]] = {
    "divide": (Divider, Divider),
    "starve": (Starver, Saboteur),
    "sabotage": (Saboteur, Hider),
    "hide": (Hider, Divider),
}
"""Who the first of them is, and what all the others are."""


def plan(name: str, n: int) -> Mapping[int, type[Adversary]]:
    """Give the primary of view 0 and other replicas, f together, their parts."""
    first, others = PLANS[name]
    return {0: first} | dict.fromkeys(range(2, faults(n) + 1), others)


PLANNED = pytest.mark.parametrize("name", PLANS)


@SIZES
@PLANNED
def test_x1_replicas_and_clients_that_share_a_plan_stop_nobody(n: int, name: str) -> None:
    """f replicas hold two clients' keys, and do four things each at a time: all other clients are answered, and right.

    Each answer comes within the bound for a healthy network, and each call ran once.
    """
    group = Cluster(
        Counter, seed=130, n=n, byzantine=plan(name, n), clients=CLIENTS, colluders=COLLUDERS, limits=SMALL_LOG
    )
    load = Load(group, "alice", "bob", think_ms=50)

    group.run(2_000)

    group.finish(*load.stop())
    assert all(call.value() for call in load.calls)
    assert group.histories_agree()
    assert load.answers("alice") > 0
    assert load.answers("bob") > 0


@SIZES
@PLANNED
def test_x2_a_plan_and_a_hostile_network_last_until_it_heals(n: int, name: str) -> None:
    """The same, while messages are lost, doubled and overtake each other, and correct replicas are cut off by turns.

    Nothing is answered wrongly meanwhile. What is pending when the network has healed is answered within the bound.
    """
    group = Cluster(
        Counter,
        seed=131,
        n=n,
        byzantine=plan(name, n),
        clients=CLIENTS,
        colluders=COLLUDERS,
        limits=SMALL_LOG,
        loss=0.1,
        duplicate=0.1,
        reorder=0.2,
    )
    load = Load(group, "alice", "bob", think_ms=50)
    for victim in group.correct[:2]:
        group.network.isolate(victim)
        group.run(600)
        group.network.heal()
        group.run(300)
    with_quorum = group.correct[: len(group.correct) // 2]
    group.network.on(Kind.NEW_VIEW, dst=with_quorum).drop()
    group.run(1_200)

    group.heal()
    group.finish(*load.stop())

    assert load.calls
    assert all(call.value() for call in load.calls)
    assert group.histories_agree()


@SIZES
def test_x1_two_requests_of_one_timestamp_are_one_request(n: int) -> None:
    """f backups and a client tell each half of the group another request of the same name: at most one runs (K1).

    No view is left for it, and the others are served meanwhile.
    """
    liars = dict.fromkeys(range(n - faults(n), n), Ventriloquist)
    group = Cluster(Counter, seed=133, n=n, byzantine=liars, clients=CLIENTS, colluders=COLLUDERS)
    load = Load(group, "alice", think_ms=20)

    group.run(1_500)
    group.finish(*load.stop())

    first = group.correct[0]
    ran = [one for batch in group.history(first) for one in batch.requests if one.outcomes]
    names = [(one.client, one.session, one.timestamp) for one in ran]
    assert len(names) == len(dict.fromkeys(names))
    theirs = [group.identity(f"client {name}").public_key for name in COLLUDERS]
    assert {client for client, _, _ in names} >= set(theirs), "both friends got something"
    assert len({one.digest for one in ran if one.client in theirs}) > faults(n)
    assert group.views() == {0}


@SIZES
def test_x1_whoever_fills_the_batches_starves_nobody(n: int) -> None:
    """f primaries hold two clients' keys and fill every batch with their requests: the others have their turns too."""
    liars = dict.fromkeys(range(faults(n)), BatchStuffer)
    group = Cluster(Counter, seed=134, n=n, byzantine=liars, clients=CLIENTS, colluders=COLLUDERS)
    load = Load(group, "alice", "bob", think_ms=20)

    group.run(1_500)
    answered = len(load.answered_ms)
    group.finish(*load.stop())

    assert effective(group, group.correct[0]) > 2 * len(load.calls), "most of what ran was theirs"
    assert answered > 50
    assert group.views() == {0}
    assert all(call.value() for call in load.calls)
