"""The envelope: its bytes, who may say what, and what a signature covers (design 4.1; attacks W1, W2, R3)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft.core.envelope import FROM_CLIENTS, MAGIC, SIGNED, Envelope, Kind, genuine, seal, sender_key, signed_bytes
from pbft.core.group import Group, RegisteredClient
from pbft.encoding import EncodingError
from tests.core import strategies
from tests.core.builders import Scene

KEY = bytes(range(32))
SIGNATURE = bytes(64)
BESIDE = {Kind.PRE_PREPARE: b"a batch", Kind.REPLY: b"results", Kind.COMMITTED: b"a batch"}
"""The kinds whose body binds by a digest what goes beside it."""


def cbor(value: Any) -> bytes:
    return cbor2.dumps(value, canonical=True)


def well_formed(kind: Kind) -> Envelope:
    sender = KEY if kind in FROM_CLIENTS else 1
    return Envelope(kind, sender, b"body", SIGNATURE if kind in SIGNED else b"", BESIDE.get(kind, b""))


# Bytes.


@given(strategies.envelopes())
def test_every_envelope_survives_the_wire(envelope):
    """What is sent arrives equal, and has the same bytes when it is sent on."""
    assert Envelope.from_bytes(envelope.to_bytes()) == envelope
    assert Envelope.from_bytes(envelope.to_bytes()).to_bytes() == envelope.to_bytes()


def test_the_wire_form_is_written_down():
    """Kind, sender, body, signature and what goes beside, as an array: the numbers of kinds never change."""
    assert Envelope(Kind.STATUS, 2, b"body").to_bytes() == bytes.fromhex("85 09 02 44") + b"body" + bytes.fromhex(
        "40 40"
    )
    assert [(kind.name, kind.value) for kind in Kind] == [
        ("REQUEST", 1),
        ("PRE_PREPARE", 2),
        ("PREPARE", 3),
        ("COMMIT", 4),
        ("REPLY", 5),
        ("CHECKPOINT", 6),
        ("VIEW_CHANGE", 7),
        ("NEW_VIEW", 8),
        ("STATUS", 9),
        ("CHECKPOINT_PROOF", 10),
        ("FETCH", 11),
        ("NODES", 12),
        ("COMMITTED", 13),
        ("RECALL", 14),
        ("RECALLED", 15),
        ("HELLO", 16),
        ("CHALLENGE", 17),
        ("WELCOME", 18),
        ("REFUSAL", 19),
        ("INSPECT", 20),
        ("REPORT", 21),
    ]


FINE: list[Any] = [3, 1, b"body", SIGNATURE, b""]
HOSTILE = {
    "nothing": b"",
    "a trailing byte": cbor(FINE) + b"\0",
    "an indefinite array": b"\x9f" + cbor(FINE)[1:] + b"\xff",
    "a tag": b"\xd9\xd9\xf7" + cbor(FINE),
    "deep arrays": b"\x81" * 100_000,
    "a body that is an array": cbor([3, 1, [[]], SIGNATURE, b""]),
    "a body of 2^60 bytes": b"\x85\x03\x01\x5b\x10\x00\x00\x00\x00\x00\x00\x00",
    "NaN": cbor([float("nan"), 1, b"body", SIGNATURE, b""]),
    "True for a kind": cbor([True, 1, b"body", SIGNATURE, b""]),
    "True for a sender": cbor([3, True, b"body", SIGNATURE, b""]),
    "a float for a kind": cbor([3.0, 1, b"body", SIGNATURE, b""]),
    "a field too few": cbor(FINE[:4]),
    "a field too many": cbor([*FINE, b""]),
    "text for a body": cbor([3, 1, "body", SIGNATURE, b""]),
    "text for a sender": cbor([3, "1", b"body", SIGNATURE, b""]),
    "null beside": cbor([3, 1, b"body", SIGNATURE, None]),
    "a negative sender": cbor([3, -1, b"body", SIGNATURE, b""]),
    "a sender of 2^16": cbor([3, 2**16, b"body", SIGNATURE, b""]),
    "a client's key of 31 bytes": cbor([1, KEY[1:], b"body", SIGNATURE, b""]),
    "a client's key of 33 bytes": cbor([1, KEY + b"\0", b"body", SIGNATURE, b""]),
    "a map": cbor({str(index): value for index, value in enumerate(FINE)}),
    "a number": b"\x03",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_bytes_are_refused(what):
    """Each spelling of W1 raises EncodingError, and nothing else."""
    with pytest.raises(EncodingError):
        Envelope.from_bytes(HOSTILE[what])


def test_unknown_kinds_are_refused():
    """Every number that is no kind is refused, far ones and negative ones included."""
    known = {kind.value for kind in Kind}
    for number in [*range(-2, 300), 2**63, -(2**63), 2**64 - 1]:
        if number not in known:
            for sender in (1, KEY):
                for signature in (b"", SIGNATURE):
                    with pytest.raises(EncodingError, match="unknown kind"):
                        Envelope.from_bytes(cbor([number, sender, b"", signature, b""]))


@pytest.mark.parametrize("kind", Kind)
def test_each_kind_has_one_role_and_one_width_of_signature(kind):
    """Clients say what clients say, replicas the rest; signed kinds carry 64 bytes, the others none."""
    fine = well_formed(kind)
    assert Envelope.from_bytes(fine.to_bytes()) == fine
    with pytest.raises(EncodingError, match="wrong role"):
        Envelope.from_bytes(replace(fine, sender=1 if kind in FROM_CLIENTS else KEY).to_bytes())
    for width in (0, 1, 63, 64, 65):
        if width != len(fine.signature):
            with pytest.raises(EncodingError, match="wrong length"):
                Envelope.from_bytes(replace(fine, signature=bytes(width)).to_bytes())


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("beside", [b"\0", bytes(2**16)])
def test_nothing_goes_beside_what_binds_it_by_no_digest(kind, beside):
    """A batch goes beside a PRE-PREPARE, results beside a REPLY, and not one byte beside anything else (W2)."""
    laden = replace(well_formed(kind), beside=beside)
    if kind in BESIDE:
        assert Envelope.from_bytes(laden.to_bytes()) == laden
    else:
        with pytest.raises(EncodingError, match=f"nothing goes beside a {kind.name}"):
            Envelope.from_bytes(laden.to_bytes())


@given(st.data())
def test_damaged_bytes_never_raise_anything_else(data):
    """Bytes near an envelope either are refused with EncodingError, or spell an envelope in its only spelling."""
    expect_one_spelling(data.draw(strategies.damaged(data.draw(strategies.envelopes()).to_bytes())))


@given(st.data())
def test_envelopes_of_nearly_the_right_shape_never_raise_anything_else(data):
    """A part left out, doubled, replaced, wrapped or off by one is refused, unless the parts still fit."""
    shape = cbor2.loads(data.draw(strategies.envelopes()).to_bytes())
    expect_one_spelling(cbor(data.draw(strategies.reshaped(shape))))


@given(st.binary(max_size=300))
def test_random_bytes_never_raise_anything_else(data):
    """Bytes from nowhere are refused with EncodingError as well."""
    expect_one_spelling(data)


def expect_one_spelling(data: bytes) -> None:
    try:
        envelope = Envelope.from_bytes(data)
    except EncodingError:
        return
    assert envelope.to_bytes() == data


# Signatures.


def sealed(scene: Scene, kind: Kind) -> Envelope:
    sender: int | bytes = scene.key("alice") if kind in FROM_CLIENTS else 1
    signer = scene.signers["alice" if kind in FROM_CLIENTS else 1]
    return seal(scene.group, signer, kind, sender, b"body")


@pytest.mark.parametrize("kind", sorted(SIGNED))
def test_a_signature_is_good_for_its_own_words_only(kind):
    """Another body, kind, sender or group, or one flipped bit, and the signature is worth nothing (R3)."""
    scene, other = Scene(seed=1), Scene(seed=2)
    envelope = sealed(scene, kind)
    verifier = scene.keyring.verifier
    assert genuine(scene.group, verifier, envelope)

    flipped = bytes([envelope.signature[0] ^ 1]) + envelope.signature[1:]
    changed = [replace(envelope, body=b"bodx"), replace(envelope, body=b"body\0"), replace(envelope, signature=flipped)]
    changed += [replace(envelope, kind=other_kind) for other_kind in Kind if other_kind is not kind]
    changed += [replace(envelope, sender=number) for number in range(scene.n) if number != envelope.sender]
    changed += [replace(envelope, sender=scene.key("bob"))]
    for each in changed:
        assert not genuine(scene.group, verifier, each), each

    same_keys = Group.of(replace(scene.group.genesis, nonce=other.group.genesis.nonce))
    assert not genuine(same_keys, verifier, envelope)


def test_what_goes_beside_is_not_signed():
    """A batch or a result is bound by a digest in the body, so the signature does not cover its bytes again."""
    scene = Scene()
    assert genuine(scene.group, scene.keyring.verifier, replace(sealed(scene, Kind.REPLY), beside=b"anything"))


def test_a_signature_does_not_carry_over_between_roles():
    """Even if one key were a client's and a replica's, nothing said as the one could be replayed as the other."""
    scene = Scene()
    member = scene.group.members[1]
    genesis = replace(scene.group.genesis, clients=(RegisteredClient("both", member.public_key, bytes(32)),))
    group = Group(genesis, scene.group.quorums)
    for kind in sorted(SIGNED):
        as_client = seal(group, scene.signers[1], kind, member.public_key, b"body")
        assert genuine(group, scene.keyring.verifier, as_client)
        assert not genuine(group, scene.keyring.verifier, replace(as_client, sender=1))


def test_nobody_outside_the_group_speaks():
    """Unknown replicas and unknown clients have no key: nothing of theirs verifies, and nobody seals for them."""
    scene = Scene()
    for stranger in (scene.n, 2**16 - 1, scene.key("mallory")):
        assert sender_key(scene.group, stranger) is None
        assert not genuine(scene.group, scene.keyring.verifier, Envelope(Kind.COMMIT, stranger, b"body", SIGNATURE))
        with pytest.raises(ValueError, match="only a party of the group"):
            seal(scene.group, scene.signers["alice"], Kind.COMMIT, stranger, b"body")


def test_the_signed_bytes_are_written_down():
    """Magic, group id, kind, role, key, body, in fixed widths: any implementation can compute them."""
    scene = Scene()
    assert signed_bytes(scene.group, Kind.PREPARE, 2, b"body") == (
        MAGIC + scene.group.id + b"\x03" + b"r" + scene.group.members[2].public_key + b"body"
    )
    assert signed_bytes(scene.group, Kind.REQUEST, scene.key("bob"), b"body") == (
        MAGIC + scene.group.id + b"\x01" + b"c" + scene.key("bob") + b"body"
    )


@pytest.mark.parametrize("scheme", ["simulated", "ed25519"])
@pytest.mark.parametrize("signature", [b"", bytes(63), bytes(64), bytes(65), b"\xff" * 64])
def test_a_signature_of_any_width_is_judged_without_an_exception(scheme, signature):
    """A verifier says no to what is no signature; it does not raise."""
    scene = Scene(scheme=scheme)
    assert genuine(scene.group, scene.keyring.verifier, sealed(scene, Kind.PREPARE))
    assert not genuine(scene.group, scene.keyring.verifier, replace(sealed(scene, Kind.PREPARE), signature=signature))
