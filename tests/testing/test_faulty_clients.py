"""Faulty clients as tools: what they hold, how they start and stop, and that what they do is replayed by the seed."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import pytest

from pbft.core.effects import Send
from pbft.core.envelope import Kind, genuine
from pbft.testing import Cluster
from pbft.testing.faulty_clients import (
    FAULTY_CLIENTS,
    Asker,
    FaultyClient,
    OneBackup,
    RequestFlood,
    SessionFlood,
    Stranger,
    TwoTongues,
)
from pbft_apps.counter import Counter
from tests.scenarios.stories import effective

FACTS = {"label", "key", "means", "inbox", "wake_ms", "acts", "replies"}


def test_names_stay() -> None:
    """Plans name faulty clients, so names and their order stay; new ones follow at the end."""
    assert list(FAULTY_CLIENTS)[:14] == [
        "TwoTongues",
        "ManyTongues",
        "SessionFlood",
        "OddSessions",
        "GarbageSigner",
        "Stranger",
        "FalseReplica",
        "OneBackup",
        "AllButPrimary",
        "TimestampJumper",
        "RequestFlood",
        "RoomFiller",
        "HugeRequests",
        "OldRequests",
    ]
    assert all(kind.__name__ == name for name, kind in FAULTY_CLIENTS.items())


@pytest.mark.parametrize("kind", [*FAULTY_CLIENTS.values(), Asker], ids=lambda kind: kind.__name__)
def test_each_is_small(kind: type[FaultyClient]) -> None:
    """One misbehaviour is one small class in a file of its own, which says what it does."""
    lines, _ = inspect.getsourcelines(kind)
    module = inspect.getmodule(kind)
    assert len(lines) <= 60
    assert module is not None
    assert (module.__doc__ or "").startswith(f"{kind.__name__}: ")


@pytest.mark.parametrize("name", FAULTY_CLIENTS)
def test_a_seed_replays_a_faulty_client(name: str) -> None:
    """Equal seeds give equal runs, and other seeds others."""

    def run(seed: int) -> str:
        group = Cluster(Counter, seed=seed, clients=("alice", "mallory"))
        group.let_loose("mallory", FAULTY_CLIENTS[name])
        group.run(150)
        return group.trace_digest()

    assert run(1) == run(1) != run(2)


@pytest.mark.parametrize("name", FAULTY_CLIENTS)
def test_it_signs_in_its_own_name_alone(name: str) -> None:
    """Of all that it sends, no replica finds anything genuine that names another party, nor a stranger's at all."""
    group = Cluster(Counter, seed=3, clients=("alice", "mallory"))
    sent: list[tuple[bool, bool]] = []
    client = group.let_loose("mallory", FAULTY_CLIENTS[name])

    def note(envelope: Any) -> bool:
        own = client.registered and envelope.sender == client.key
        sent.append((own, genuine(group.group, group.verifier, envelope)))
        return False

    for kind in (Kind.REQUEST, Kind.VIEW_CHANGE, Kind.PREPARE, Kind.COMMIT, Kind.CHECKPOINT):
        group.network.on(kind, src=client.label, where=note).drop()
    group.run(500)

    assert sent
    assert not any(good for own, good in sent if not own)


def test_it_holds_its_own_signer_and_nothing_of_the_cluster() -> None:
    """A faulty client is given its means, and no way to a replica, a session or another's signer."""
    group = Cluster(Counter, seed=4)

    client = group.let_loose("bob", FaultyClient)

    assert {name for name in vars(client) if not name.startswith("_")} == FACTS
    assert client.key == client.means.key == group.identity("client bob").public_key
    assert client.means.signer.sign(b"x") == group.identity("client bob").signer.sign(b"x")


def test_a_stranger_holds_a_key_that_the_group_does_not_know() -> None:
    """Whatever it is called, a registered client's key it has not."""
    group = Cluster(Counter, seed=5)

    stranger = group.let_loose("alice", Stranger)

    assert stranger.key not in group.group.clients


def test_only_a_registered_client_is_let_loose() -> None:
    """A name that the group does not know is an error that names those it knows."""
    with pytest.raises(ValueError, match="no client is called 'eve'; this group knows alice, bob"):
        Cluster(Counter).let_loose("eve", TwoTongues)


def test_it_begins_when_it_is_let_loose_and_ends_when_it_is_stopped() -> None:
    """Let loose by a plan, it acts from that moment on, at its pace, until it is stopped; then nothing more leaves."""
    group = Cluster(Counter, seed=6)
    started: list[RequestFlood] = []
    group.at(500, lambda: started.append(group.let_loose("alice", RequestFlood)))
    group.run(499)
    assert not started
    group.run(101)
    (flood,) = started
    assert flood.acts == 3, "at 500, 550 and 600 ms"

    group.stop(flood)

    met = group.network.on(src=flood.label).duplicate(1)
    group.run(1_000)
    assert flood.acts == 3
    assert met.met == 0


def test_stop_without_names_stops_them_all() -> None:
    """When a run heals, everything that misbehaves can be stopped at once."""
    group = Cluster(Counter, seed=7)
    loose = [group.let_loose("alice", kind) for kind in (TwoTongues, SessionFlood)]

    group.stop()

    assert [client.deadline_ms() for client in loose] == [None, None]


def test_labels_tell_faulty_clients_from_sessions() -> None:
    """A faulty client's label names its kind; those of correct sessions of the same name stay as they were."""
    group = Cluster(Counter, seed=8)

    kinds = (TwoTongues, TwoTongues, SessionFlood)
    labels = [group.let_loose("alice", kind).label for kind in kinds]

    assert labels == ["alice~TwoTongues", "alice~TwoTongues/2", "alice~SessionFlood"]
    assert [client.label for client in group.clients("alice", "alice")] == ["alice", "alice/2"]


def test_operations_are_what_a_test_has_it_say() -> None:
    """Unless told what to say, a faulty client's operations change no state; what it was told to say, it says."""
    group = Cluster(Counter, seed=9)
    quiet = group.let_loose("alice", OneBackup)
    group.run(300)
    assert quiet.answered > 0
    assert effective(group, 0) > 0
    assert group.gather(group.client("bob").call("value")) == [0]

    group.stop(quiet)
    loud = group.let_loose("alice", OneBackup, say=lambda number: ("add", (10**number,)))
    group.run(300)
    group.stop(loud)
    group.run(100)

    asked = loud.timestamp
    assert asked >= 2
    assert group.gather(group.client("bob").call("value")) == [int("1" * asked)]
    assert [len(loud.accepted((loud.session, each))) for each in range(1, asked + 1)] == [1] * asked


class Ceaseless(RequestFlood):
    """Never lets the group come to rest."""

    every_ms = 1


def test_finish_waits_for_no_faulty_client() -> None:
    """While one keeps the group busy, calls end and replicas count as level once each came as far as any had been."""
    group = Cluster(Counter, seed=10)
    flood = group.let_loose("bob", Ceaseless)
    group.run(200)
    before = max(group.executed(i) for i in group.correct)

    group.finish(group.client("alice").call("add", 1))

    assert min(group.executed(i) for i in group.correct) >= before
    assert flood.deadline_ms() is not None


def test_a_liars_answer_that_does_not_hang_together_is_no_answer() -> None:
    """A faulty client hears what replicas say, and what is no reply changes nothing for it."""
    group = Cluster(Counter, seed=11)
    client = group.let_loose("alice", OneBackup)
    group.run(100)
    (told,) = [each for each in client.replies.values() if each][:1]
    assert len(told) >= group.group.quorums.weak
    before = dict(client.replies)
    heard: list[Send] = []

    request = client.request(client.session, 1)
    heard += client.receive(replace(request, kind=Kind.REPLY, sender=0), 0)
    heard += client.receive(replace(request, kind=Kind.WELCOME, sender=0), 0)

    assert heard == []
    assert client.replies == before
