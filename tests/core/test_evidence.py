"""Evidence: two contradicting messages of one replica, checked offline (design 4.13)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbft.core.codec import pack
from pbft.core.effects import Evidence
from pbft.core.envelope import FROM_CLIENTS, SIGNED, Kind, signed_bytes
from pbft.core.evidence import CAUTION, EvidenceError, Finding, Misbehaviour, Place, Signed, place
from pbft.core.messages import (
    BEGINNING,
    Checkpoint,
    Commit,
    NamedVote,
    NewView,
    Prepare,
    PrePrepare,
    Renewal,
    Reply,
    Share,
    ViewChange,
)
from pbft.testing.signers import Scheme
from tests.core import strategies
from tests.core.builders import Scene

SCENE = Scene()
ONE, OTHER = b"\x01" * 32, b"\x02" * 32
VIEW, SEQUENCE = 6, 9
"""Replica 2 is the primary of view 6 among four."""

Said = Callable[[int, int, bytes], object]
SAID: dict[Kind, Said] = {
    Kind.PRE_PREPARE: PrePrepare,
    Kind.PREPARE: Prepare,
    Kind.COMMIT: Commit,
    Kind.CHECKPOINT: lambda view, sequence, digest: Checkpoint(sequence, digest),
    Kind.VIEW_CHANGE: lambda view, sequence, digest: ViewChange(view, replace(BEGINNING, digest=digest), ()),
    Kind.NEW_VIEW: lambda view, sequence, digest: NewView(view, (NamedVote(1, digest),), sequence, ()),
    Kind.REPLY: lambda view, sequence, digest: Reply(sequence, digest),
}
"""How each kind says something of its own at a place."""
KINDS = list(SAID)
OF_A_VIEW = [Kind.PRE_PREPARE, Kind.PREPARE, Kind.COMMIT, Kind.VIEW_CHANGE, Kind.NEW_VIEW]
OF_A_SEQUENCE = [Kind.PRE_PREPARE, Kind.PREPARE, Kind.COMMIT, Kind.CHECKPOINT, Kind.REPLY]


def said(kind: Kind, digest: bytes, view: int = VIEW, sequence: int = SEQUENCE) -> object:
    return SAID[kind](view, sequence, digest)


def culprit_of(kind: Kind) -> int:
    """Return who may say this in view 6: what only a primary says is replica 2's, all else replica 3's."""
    return 2 if kind in (Kind.PRE_PREPARE, Kind.NEW_VIEW) else 3


def held(kind: Kind, first: object, second: object, by: int | None = None, scene: Scene = SCENE) -> Misbehaviour:
    """Return evidence that holds both messages as one replica signed them."""
    signer = culprit_of(kind) if by is None else by
    one, two = (scene.say(signer, kind, each) for each in (first, second))
    return Misbehaviour.of(scene.group, Evidence(signer, one, two))


def contradiction(kind: Kind, scene: Scene = SCENE) -> Misbehaviour:
    return held(kind, said(kind, ONE), said(kind, OTHER), scene=scene)


def verify(evidence: Misbehaviour, scene: Scene = SCENE) -> Finding:
    return evidence.verify(scene.group, scene.keyring.verifier)


def refusal(evidence: Misbehaviour, scene: Scene = SCENE) -> str:
    """Return why evidence proves nothing, which is one sentence."""
    with pytest.raises(EvidenceError) as caught:
        verify(evidence, scene)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("scheme", ["simulated", "ed25519"])
@pytest.mark.parametrize("kind", KINDS)
def test_two_different_messages_for_one_place_convict(kind: Kind, scheme: Scheme):
    """Each kind that binds its sender; the evidence survives its file, and says who did what and how sure that is."""
    scene = Scene(scheme=scheme)
    evidence = Misbehaviour.from_bytes(contradiction(kind, scene).to_bytes())
    finding = verify(evidence, scene)
    assert finding.culprit == culprit_of(kind)
    view = VIEW if kind in OF_A_VIEW else None
    sequence = SEQUENCE if kind in OF_A_SEQUENCE else None
    assert finding.place == (kind, view, sequence)
    where = [f"view {VIEW}"] * (kind in OF_A_VIEW) + [f"sequence {SEQUENCE}"] * (kind in OF_A_SEQUENCE)
    name = kind.name.replace("_", "-")
    assert finding.act == (f"replica {culprit_of(kind)} signed two different {name} messages for {', '.join(where)}")
    assert finding.words.startswith(finding.act)
    assert "disk was lost or rolled back may look guilty without malice" in finding.words
    assert "one wrong reply is a complaint" in finding.words.lower()


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_the_two_does_not_matter(kind: Kind):
    """Whoever heard the second first finds the same."""
    evidence = contradiction(kind)
    assert verify(replace(evidence, first=evidence.second, second=evidence.first)) == verify(evidence)


@pytest.mark.parametrize("kind", KINDS)
def test_what_goes_beside_is_left_out(kind: Kind):
    """A batch or results are covered by no signature: evidence holds what was signed, whatever travelled with it."""
    signer = culprit_of(kind)
    plain = [SCENE.say(signer, kind, said(kind, digest)) for digest in (ONE, OTHER)]
    laden = [replace(each, beside=b"a batch") for each in plain]
    bare, full = (Misbehaviour.of(SCENE.group, Evidence(signer, *pair)) for pair in (plain, laden))
    assert bare == full


@pytest.mark.parametrize("kind", KINDS)
def test_one_message_convicts_nobody(kind: Kind):
    """The same twice is one; so is a signature made twice under the same words, however the two may look."""
    evidence = contradiction(kind)
    words = "two signatures under the same words prove nothing"
    assert words in refusal(replace(evidence, second=evidence.first))
    again = replace(evidence.first, signature=evidence.second.signature)
    assert words in refusal(replace(evidence, second=again))


@pytest.mark.parametrize("kind", KINDS)
def test_one_message_and_a_forged_one_convict_nobody(kind: Kind):
    """The culprit must have signed both: neither an invented signature nor somebody else's will do."""
    evidence, signer = contradiction(kind), culprit_of(kind)
    borrowed = SCENE.say((signer + 1) % 4, kind, said(kind, OTHER)).signature
    for signature in (bytes(64), borrowed, evidence.first.signature):
        forged = replace(evidence.second, signature=signature)
        assert refusal(replace(evidence, second=forged)) == (
            f"replica {signer} did not sign the second of the two messages"
        )
        assert refusal(replace(evidence, first=forged, second=evidence.first)) == (
            f"replica {signer} did not sign the first of the two messages"
        )


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_else_is_the_culprit(kind: Kind):
    """Evidence relabelled with another's number proves nothing against that one."""
    for other in (each for each in range(4) if each != culprit_of(kind)):
        words = refusal(replace(contradiction(kind), culprit=other))
        # A PREPARE is not the primary's to send, and is refused for that before its signature is looked at.
        assert "did not sign" in words or (kind, other) == (Kind.PREPARE, 2)


@pytest.mark.parametrize("kind", OF_A_VIEW)
def test_different_views_are_different_places(kind: Kind):
    """A correct replica may say another thing in another view, so it is not blamed for it."""
    evidence = held(kind, said(kind, ONE), said(kind, OTHER, view=VIEW + 4))
    assert f"view {VIEW + 4}" in refusal(evidence)
    assert "do not contradict each other" in refusal(evidence)


@pytest.mark.parametrize("kind", OF_A_SEQUENCE)
def test_different_sequences_are_different_places(kind: Kind):
    """A correct replica says something for every sequence."""
    evidence = held(kind, said(kind, ONE), said(kind, OTHER, sequence=SEQUENCE + 1))
    assert f"sequence {SEQUENCE + 1}" in refusal(evidence)
    assert "do not contradict each other" in refusal(evidence)


def test_a_whole_view_has_one_view_change_and_one_new_view():
    """Whatever differs within the two bodies, the sequence too: they are built once a view (design 4.8)."""
    proof = replace(BEGINNING, sequence=SEQUENCE)
    votes = (NamedVote(1, ONE),)
    plain = NewView(VIEW, votes, SEQUENCE, ())
    for evidence in (
        held(Kind.VIEW_CHANGE, ViewChange(VIEW, BEGINNING, ()), ViewChange(VIEW, proof, ())),
        held(Kind.NEW_VIEW, plain, replace(plain, renewals=(Renewal(ONE, bytes(64)),))),
        held(Kind.NEW_VIEW, plain, replace(plain, stable=SEQUENCE + 1)),
    ):
        assert verify(evidence).place[1:] == (VIEW, None)


def test_what_is_bound_to_no_view_is_compared_across_views():
    """A CHECKPOINT and a REPLY name a state, which no view changes (design 4, wire rules)."""
    for kind in (Kind.CHECKPOINT, Kind.REPLY):
        assert place(kind, pack(said(kind, ONE, view=1))) == place(kind, pack(said(kind, OTHER, view=2)))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not Kind.PREPARE])
def test_two_kinds_contradict_nothing(kind: Kind):
    """A vote in one phase and another in the next are two places, though their bytes may be alike."""
    prepare = SCENE.say(3, Kind.PREPARE, said(Kind.PREPARE, ONE))
    other = SCENE.say(3, kind, said(kind, OTHER))
    words = refusal(Misbehaviour.of(SCENE.group, Evidence(3, prepare, other)))
    assert words.startswith(f"the two messages are a PREPARE and a {kind.name.replace('_', '-')}, and only two of one")


def test_a_message_cannot_be_relabelled_as_another_kind():
    """PREPARE and COMMIT spell their words alike, and the signature tells them apart."""
    prepare, commit = (SCENE.say(3, kind, said(kind, ONE)) for kind in (Kind.PREPARE, Kind.COMMIT))
    assert prepare.body == commit.body
    evidence = contradiction(Kind.PREPARE)
    relabelled = Signed(
        Kind.PREPARE.value, evidence.second.body, SCENE.say(3, Kind.COMMIT, Prepare(6, 9, OTHER)).signature
    )
    assert refusal(replace(evidence, second=relabelled)) == "replica 3 did not sign the second of the two messages"


@pytest.mark.parametrize("view", [2, VIEW, 2 + 4 * 10**6])
def test_prepares_of_a_primary_contradict_nothing(view: int):
    """Its vote is its pre-prepare, so nobody counts them; in a view that is another's they would convict."""
    one, other = (said(Kind.PREPARE, digest, view) for digest in (ONE, OTHER))
    assert refusal(held(Kind.PREPARE, one, other, by=2)) == (
        f"replica 2 is the primary of view {view}, whose PREPARE messages count nowhere and contradict nothing"
    )
    assert verify(held(Kind.PREPARE, one, other, by=1)).culprit == 1


def test_another_group_learns_nothing():
    """Neither from evidence as it is, nor relabelled, nor where the same keys make another group."""
    other = Scene(seed=2)
    for kind in KINDS:
        evidence = contradiction(kind)
        assert refusal(evidence, other) == "this evidence belongs to another group"
        assert "did not sign the first" in refusal(replace(evidence, group=other.group.id), other)
        sibling = Scene(clients=("alice",))
        assert sibling.group.members == SCENE.group.members
        assert refusal(evidence, sibling) == "this evidence belongs to another group"
        assert "did not sign the first" in refusal(replace(evidence, group=sibling.group.id), sibling)


@pytest.mark.parametrize("culprit", [4, 5, 2**16 - 1])
def test_only_members_can_be_guilty(culprit: int):
    """A number beyond the group is nobody's."""
    words = f"there is no replica {culprit} in the group, whose last is 3"
    assert refusal(replace(contradiction(Kind.COMMIT), culprit=culprit)) == words


BINDING_NOTHING = sorted(set(Kind) - set(KINDS))


@pytest.mark.parametrize("kind", BINDING_NOTHING)
def test_other_kinds_bind_nobody(kind: Kind):
    """Hints, questions and what clients say: a correct replica's status changes all the time."""
    bodies = [pack(Checkpoint(SEQUENCE, digest)) for digest in (ONE, OTHER)]
    evidence = Misbehaviour(SCENE.group.id, 3, *(Signed(kind.value, body, bytes(64)) for body in bodies))
    assert refusal(evidence).endswith("binds whoever sends it to nothing, so two of them prove nothing")
    assert place(kind, bodies[0]) is None


def test_every_kind_is_judged():
    """Whatever replicas sign has a place; a kind that joins them must get its rule, or be named here."""
    assert sorted(KINDS) == sorted(SIGNED - FROM_CLIENTS)


@pytest.mark.parametrize("number", [0, 200, 255])
def test_an_unknown_kind_proves_nothing(number: int):
    """As a file of a later version may hold."""
    evidence = contradiction(Kind.COMMIT)
    unknown = replace(evidence, first=replace(evidence.first, kind=number))
    assert refusal(unknown) == "one of the two messages is of an unknown kind"


@pytest.mark.parametrize("kind", KINDS)
def test_a_body_must_be_of_its_kind(kind: Kind):
    """A correct replica may have signed bytes that only look like its kind's to a lenient reader."""
    good = contradiction(kind)
    body, signer = good.second.body, SCENE.signers[culprit_of(kind)]
    for bad in (b"", b"\x80", body + b"\0", body[:-1], b"\xff" + body, pack(Share(3, bytes(64)))):
        assert place(kind, bad) is None
        signature = signer.sign(signed_bytes(SCENE.group, kind, culprit_of(kind), bad))
        evidence = replace(good, second=Signed(kind.value, bad, signature))
        assert refusal(evidence).startswith(f"one of the two messages is not a {kind.name.replace('_', '-')}: ")


@pytest.mark.parametrize("data", [b"", b"\x80", b"not evidence", contradiction(Kind.COMMIT).to_bytes()[:-1]])
def test_bytes_that_are_no_evidence_are_refused_in_words(data: bytes):
    """A wrong file gets one sentence."""
    with pytest.raises(EvidenceError, match="this is not evidence: "):
        Misbehaviour.from_bytes(data)


@pytest.mark.parametrize("kind", KINDS)
def test_every_flipped_bit_spoils_it(kind: Kind):
    """Of all bits of a file, each one matters: none can be turned without the evidence proving nothing any more."""
    data = contradiction(kind).to_bytes()
    for bit in range(8 * len(data)):
        bent = bytearray(data)
        bent[bit // 8] ^= 1 << bit % 8
        with pytest.raises(EvidenceError):
            verify(Misbehaviour.from_bytes(bytes(bent)))


@settings(max_examples=200)
@given(st.data())
def test_no_damaged_evidence_says_anything_different(data: st.DataObject):
    """Whatever is done to the bytes of evidence: an error in words, or the same culprit and place."""
    kind = data.draw(st.sampled_from(KINDS))
    evidence = contradiction(kind)
    damage = data.draw(strategies.damaged(evidence.to_bytes()))
    try:
        finding = verify(Misbehaviour.from_bytes(damage))
    except EvidenceError:
        return
    assert finding == verify(evidence)


@given(strategies.of(Misbehaviour))
def test_only_canonical_bytes_are_evidence(evidence: Misbehaviour):
    """Every value has one file form, and comes back from it; drawn at random it never convicts, and never breaks."""
    assert Misbehaviour.from_bytes(evidence.to_bytes()) == evidence
    assert refusal(evidence)
    assert refusal(replace(evidence, group=SCENE.group.id, culprit=evidence.culprit % 4))


@given(st.sampled_from(KINDS), st.data())
def test_a_correct_replica_is_never_convicted(kind: Kind, data: st.DataObject):
    """Of any two messages that one replica signed: they convict only where the place is one and the words differ."""
    spots = st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from([ONE, OTHER]))
    (view, sequence, digest), (view2, sequence2, digest2) = data.draw(spots), data.draw(spots)
    first, second = said(kind, digest, view, sequence), said(kind, digest2, view2, sequence2)
    same_view = view == view2 or kind not in OF_A_VIEW
    same_sequence = sequence == sequence2 or kind not in OF_A_SEQUENCE
    evidence = held(kind, first, second, by=3)
    if same_view and same_sequence and first != second:
        assert verify(evidence).culprit == 3
    else:
        assert refusal(evidence)


def test_a_place_in_words():
    """What it is bound to, and no more."""
    assert str(Place(Kind.PREPARE, 0, 17)) == "view 0, sequence 17"
    assert str(Place(Kind.NEW_VIEW, 4, None)) == "view 4"
    assert str(Place(Kind.REPLY, None, 3)) == "sequence 3"
    assert CAUTION.count(". ") == 0
    assert CAUTION.endswith(".")


def test_a_signature_of_a_client_convicts_no_replica():
    """A client's key speaks for no replica, whoever it signs as."""
    first, second = (SCENE.say(3, Kind.COMMIT, said(Kind.COMMIT, digest)) for digest in (ONE, OTHER))
    alice = SCENE.signers["alice"]
    fake = replace(second, signature=alice.sign(second.body))
    assert "did not sign the second" in refusal(Misbehaviour.of(SCENE.group, Evidence(3, first, fake)))
