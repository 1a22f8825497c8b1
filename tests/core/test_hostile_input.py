"""Whatever bytes a replica is handed: no exception, no vote, bounded cost (attacks W1, W2, X1)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft.core.effects import BecameStable, Broadcast, Executed, Persist, Send, ViewEntered
from pbft.core.envelope import Envelope, Kind, signed_bytes
from pbft.core.messages import Hello, pack
from pbft.core.state_messages import TOP, Address, Fetch, NodeAt, Nodes
from pbft.encoding import EncodingError
from tests.core import strategies
from tests.core.builders import Scene, forged, session_id


def hostile_pool(scene: Scene) -> list[tuple[Envelope, int | bytes]]:
    """Return well-formed envelopes of every kind, each with the link it comes by."""
    proposal = scene.pre_prepare(1, scene.request("alice"), scene.request("bob", 2, (b"x", b"y")))
    alice, digest = scene.key("alice"), bytes(range(32))
    votes = [scene.view_change(by, 2, [scene.certificate(proposal)]) for by in (0, 2, 3)]
    return [
        (proposal, 0),
        (scene.prepare(2, proposal), 2),
        (scene.prepare(3, proposal), 2),
        (scene.commit(2, proposal), 2),
        (scene.commit(3, proposal), 2),
        (scene.status(2, 5, 1, b"\1\2\3"), 2),
        (scene.checkpoint(2, 128, digest), 2),
        (Envelope(Kind.CHECKPOINT_PROOF, 2, pack(scene.proof(128, digest))), 2),
        (scene.committed(2, proposal), 2),
        (votes[0], 0),
        (votes[2], 3),
        (scene.new_view(2, votes), 2),
        (Envelope(Kind.FETCH, 2, pack(Fetch(128, digest, (TOP, Address(1, b"\2"))))), 2),
        (Envelope(Kind.NODES, 2, pack(Nodes(128, (NodeAt(TOP, b"state"), NodeAt(Address(0, b""), b"more"))))), 2),
        (scene.request("alice", 9, (b"op",) * 3), alice),
        (scene.request("bob"), 3),
        (Envelope(Kind.HELLO, alice, pack(Hello(session_id(), b"c" * 16, bytes(64)))), alice),
    ]


@given(st.data())
def test_no_damaged_envelope_raises_or_makes_a_replica_vote(data):
    """Whatever arrives, on whatever link: no exception, no vote, nothing executed, verifications bounded."""
    scene = Scene()
    watched = scene.watch(1)
    clean, link = data.draw(st.sampled_from(hostile_pool(scene)))
    try:
        envelope = Envelope.from_bytes(data.draw(strategies.damaged(clean.to_bytes())))
    except EncodingError:
        return
    if envelope == clean:
        return
    sender = data.draw(st.sampled_from([link, 0, 3, scene.key("bob")]))
    before = scene.verifier.count
    turn = watched.give(envelope, sender)
    watched.tick()
    assert not [each for each in turn.effects if isinstance(each, Persist | Executed | BecameStable | ViewEntered)]
    assert scene.verifier.count - before <= scene.group.quorums.quorum


@given(st.data())
def test_no_well_signed_nonsense_raises(data):
    """A member or client that signs whatever comes to mind: bodies of every shape under good signatures (X1)."""
    scene = Scene()
    watched = scene.watch(1)
    for _ in range(data.draw(st.integers(1, 4))):
        clean, link = data.draw(st.sampled_from(hostile_pool(scene)))
        body = data.draw(strategies.damaged(clean.body) | st.binary(max_size=60))
        if body == clean.body:
            continue
        beside = data.draw(st.just(clean.beside) | strategies.damaged(clean.beside))
        if isinstance(clean.sender, bytes):
            envelope = scene.sign_request("alice" if clean.sender == scene.key("alice") else "bob", body)
            envelope = replace(envelope, kind=clean.kind, beside=beside)
        else:
            envelope = replace(clean, body=body, beside=beside)
            envelope = replace(envelope, signature=sign_again(scene, envelope))
        turn = watched.give(envelope, link)
        assert not turn.of(Executed)
        watched.ms += 50
        watched.tick()


def sign_again(scene: Scene, envelope: Envelope) -> bytes:
    assert isinstance(envelope.sender, int)
    signer = scene.signers[envelope.sender]
    return signer.sign(signed_bytes(scene.group, envelope.kind, envelope.sender, envelope.body))


@given(
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**63 - 1),
    st.sampled_from([0, 1, 2, 3]),
    st.binary(max_size=1024),
)
def test_extreme_numbers_are_only_numbers(view, sequence, time_ms, by, held):
    """The greatest view, sequence, time, attempt and claim: refused or kept, never an exception or a loop."""
    scene = Scene()
    watched = scene.watch(1)
    proposal = scene.pre_prepare(sequence, time_ms=time_ms, view=view, by=by)
    for envelope in (proposal, scene.prepare(by, proposal), scene.commit(by, proposal)):
        watched.give(envelope)
    turn = watched.give(scene.status(by, sequence, time_ms, held, view))
    assert len(turn.of(Send)) <= 2
    watched.ms += 10_000
    assert len(watched.tick().of(Broadcast)) <= 1


@pytest.mark.parametrize("me", [0, 1])
def test_a_flood_of_forgeries_costs_one_verification_each_at_most(me):
    """A bad signature is worth one look; nothing of it is kept, and no request is held for it (K2)."""
    watched = Scene().watch(me)
    before = watched.scene.verifier.count
    for number in range(200):
        watched.give(forged(watched.scene.request("alice", number, session=session_id(number))))
    assert watched.scene.verifier.count - before == 200
    assert watched.replica.status().waiting == 0
    assert watched.tick().effects == []
