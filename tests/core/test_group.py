"""The group: quorum arithmetic, the rules of a genesis, and what its id covers."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from pbft.core.group import MAX_BYTES, MAX_COUNT, Genesis, Group, GroupError, Limits, Member, Quorums, RegisteredClient

GENESIS = Genesis(
    nonce=bytes(16),
    members=tuple(Member(i, bytes([1, i]) * 16, bytes([2, i]) * 16) for i in range(4)),
    clients=(
        RegisteredClient("alice", bytes([3, 0]) * 16, bytes([4, 0]) * 16),
        RegisteredClient("bob", bytes([3, 1]) * 16, bytes([4, 1]) * 16),
    ),
    application="Ledger",
    parameters=(("currency", "EUR"), ("issuer", "alice")),
)


def with_member(**changes: Any) -> Genesis:
    """Return the genesis with its second member changed."""
    return replace(GENESIS, members=(GENESIS.members[0], replace(GENESIS.members[1], **changes), *GENESIS.members[2:]))


def with_client(**changes: Any) -> Genesis:
    """Return the genesis with its second client changed."""
    return replace(GENESIS, clients=(GENESIS.clients[0], replace(GENESIS.clients[1], **changes)))


def with_limits(**changes: int) -> Genesis:
    return replace(GENESIS, limits=replace(GENESIS.limits, **changes))


# Quorums.


@pytest.mark.parametrize(
    ("n", "faults", "quorum", "weak"),
    [(4, 1, 3, 2), (5, 1, 4, 2), (6, 1, 4, 2), (7, 2, 5, 3), (10, 3, 7, 4), (13, 4, 9, 5)],
)
def test_known_counts(n, faults, quorum, weak):
    """f = ⌊(n-1)/3⌋, q = ⌈(n+f+1)/2⌉ and f+1, worked out by hand; at n = 6 the paper's 2f+1 = 3 would be unsafe."""
    counts = Quorums.of(n)
    assert (counts.n, counts.faults, counts.quorum, counts.weak) == (n, faults, quorum, weak)


def test_quorums_intersect_in_a_correct_replica_and_can_be_reached():
    """For every n: two quorums share more than f members, a smaller one would not do, and n-f correct ones suffice.

    Both uses of the quorum are the quorum; they have names of their own only so that a test can plant a wrong one.
    """
    for n in range(4, 101):
        counts = Quorums.of(n)
        assert 3 * counts.faults + 1 <= n < 3 * (counts.faults + 1) + 1, n
        assert 2 * counts.quorum - n > counts.faults, n
        assert 2 * (counts.quorum - 1) - n <= counts.faults, n
        assert counts.quorum <= n - counts.faults, n
        assert counts.weak == counts.faults + 1, n
        assert counts.prepared == counts.committed == counts.quorum, n


def test_the_primary_is_the_view_modulo_n():
    """p = v mod n (OSDI'99 section 4)."""
    group = Group.of(GENESIS)
    assert [group.primary(view) for view in (0, 1, 2, 3, 4, 5, 4_000_000_003)] == [0, 1, 2, 3, 0, 1, 3]


def test_clients_are_found_by_key_and_by_name():
    """A client is its key on the wire and its name to applications."""
    group = Group.of(GENESIS)
    assert group.clients[GENESIS.clients[1].public_key].name == "bob"
    assert group.client_named("alice") is GENESIS.clients[0]
    assert group.client_named("carol") is None
    assert (group.n, group.limits, group.members) == (4, GENESIS.limits, GENESIS.members)


# Rules.


RULES = {
    "at least 4 replicas": replace(GENESIS, members=GENESIS.members[:3]),
    "at most 1000 replicas": replace(
        GENESIS, members=tuple(Member(i, i.to_bytes(32, "big"), i.to_bytes(32, "big")) for i in range(1001))
    ),
    "numbered 0, 1, 2": replace(GENESIS, members=GENESIS.members[::-1]),
    "nonce must have 16 bytes": replace(GENESIS, nonce=bytes(15)),
    "public keys must have 32 bytes": with_member(public_key=bytes(31)),
    "link keys must have 32 bytes": with_client(link_key=bytes(33)),
    "share one of their public keys": with_client(public_key=GENESIS.members[0].public_key),
    "share one of their link keys": with_member(link_key=GENESIS.clients[0].link_key),
    "two clients share a name": with_client(name="alice"),
    "sorted by name": replace(GENESIS, parameters=(("issuer", "alice"), ("currency", "EUR"))),
    "each named once": replace(GENESIS, parameters=(("issuer", "alice"), ("issuer", "bob"))),
    "type float": replace(GENESIS, parameters=(("rate", 0.5),)),
    "lone surrogates": with_client(name="\udcff"),
    "sessions_per_client must be a whole number": with_limits(sessions_per_client=0),
    "batch_requests must be a whole number": with_limits(batch_requests=True),
    "twice checkpoint_interval": with_limits(checkpoint_interval=128, log_size=255),
    "exceed operation_bytes by 512": with_limits(operation_bytes=65_536, request_bytes=65_536 + 511),
    "exceed request_bytes by 512": with_limits(request_bytes=262_144, batch_bytes=262_144 + 511),
    "batch_operations must be at least": with_limits(operations_per_request=1_024, batch_operations=1_023),
    "128 bytes for each": with_limits(operations_per_request=1_024, results_bytes=128 * 1_024 - 1),
    f"operations_per_request must be at most {MAX_COUNT}": with_limits(operations_per_request=MAX_COUNT + 1),
    f"batch_requests must be at most {MAX_COUNT}": with_limits(batch_requests=MAX_COUNT + 1),
    f"batch_bytes must be at most {MAX_BYTES}": with_limits(batch_bytes=MAX_BYTES + 1),
    f"results_bytes must be at most {MAX_BYTES}": with_limits(results_bytes=MAX_BYTES + 1),
}


@pytest.mark.parametrize("words", RULES)
def test_a_genesis_that_breaks_a_rule_is_refused_in_words(words):
    """Each rule has its own sentence, and its error is GroupError."""
    with pytest.raises(GroupError, match=words):
        Group.of(RULES[words])


@pytest.mark.parametrize("name", [each.name for each in fields(Limits)])
@pytest.mark.parametrize("bad", [0, -1, True])
def test_every_limit_is_a_whole_number_of_at_least_one(name, bad):
    """No limit may be zero, negative or a truth value."""
    with pytest.raises(GroupError, match=name):
        replace(Limits(), **{name: bad}).check()


def test_the_edges_of_the_rules_are_inside():
    """4 replicas, no client, no parameter, L = 2K and the least sizes that fit make a group."""
    limits = Limits(
        checkpoint_interval=1,
        log_size=2,
        operation_bytes=1,
        operations_per_request=1,
        request_bytes=513,
        batch_bytes=1025,
        batch_requests=1,
        batch_operations=1,
        results_bytes=128,
        sessions_per_client=1,
        clock_drift_ms=1,
    )
    assert Group.of(replace(GENESIS, clients=(), parameters=(), limits=limits)).n == 4


# The group id.


CHANGED = {
    "nonce": replace(GENESIS, nonce=bytes(15) + b"\1"),
    "members": replace(
        GENESIS, members=(*GENESIS.members, *(Member(i, bytes([1, i]) * 16, bytes([2, i]) * 16) for i in (4,)))
    ),
    "members: keys": with_member(public_key=bytes([9]) * 32),
    "members: link keys": with_member(link_key=bytes([9]) * 32),
    "members: order": replace(
        GENESIS,
        members=tuple(replace(old, id=i) for i, old in enumerate(GENESIS.members[::-1])),
    ),
    "clients": replace(GENESIS, clients=GENESIS.clients[:1]),
    "clients: name": with_client(name="carol"),
    "clients: keys": with_client(public_key=bytes([9]) * 32),
    "clients: link keys": with_client(link_key=bytes([9]) * 32),
    "application": replace(GENESIS, application="Counter"),
    "parameters": replace(GENESIS, parameters=GENESIS.parameters[:1]),
    "parameters: value": replace(GENESIS, parameters=(("currency", "EUR"), ("issuer", "bob"))),
    "parameters: type of a value": replace(GENESIS, parameters=(("currency", "EUR"), ("issuer", b"alice"))),
    "limits": with_limits(log_size=1024),
}


def test_the_table_of_changes_names_every_field():
    """A field added to the genesis must be added to the table of changes, hence covered by the id."""
    assert {name.partition(":")[0] for name in CHANGED} == {each.name for each in fields(Genesis)}


@pytest.mark.parametrize("name", CHANGED)
def test_the_group_id_covers_every_field(name):
    """Whatever two replicas must agree on beforehand changes the id (design 4.1)."""
    assert Group.of(CHANGED[name]).id != Group.of(GENESIS).id


@pytest.mark.parametrize("name", [each.name for each in fields(Limits)])
def test_the_group_id_covers_every_limit(name):
    """Limits decide which batches are valid, so a different one makes a different group."""
    assert with_limits(**{name: getattr(GENESIS.limits, name) + 1}).identify() != GENESIS.identify()


def test_the_changes_all_differ_from_each_other():
    """No two genesis records share an id."""
    ids = [genesis.identify() for genesis in (GENESIS, *CHANGED.values())]
    assert len(set(ids)) == len(ids)


def test_the_group_id_covers_nothing_else():
    """Equal genesis records have one id, wherever and however often it is computed, and no address is in it."""
    again = Genesis(**{each.name: getattr(GENESIS, each.name) for each in fields(Genesis)})
    assert Group.of(again).id == Group.of(GENESIS).id == GENESIS.identify()
    assert Group(GENESIS, replace(Quorums.of(4), prepared=2)).id == GENESIS.identify()
    assert {each.name for each in fields(Member)} == {"id", "public_key", "link_key"}
    assert len(GENESIS.identify()) == 32
