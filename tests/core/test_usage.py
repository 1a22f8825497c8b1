"""What one liar can make a replica hold, whatever it signs: within the written bounds, always (O13, O14; R5)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft.core.envelope import Envelope, Kind
from pbft.core.group import Limits
from pbft.core.messages import (
    BEGINNING,
    Commit,
    NamedVote,
    NewView,
    Prepare,
    PreparedCertificate,
    Renewal,
    Share,
    ViewChange,
    pack,
)
from pbft.core.settings import ReplicaSettings
from pbft.core.state_messages import TOP, Address, Fetch, NodeAt, Nodes
from pbft.core.usage import bounds
from tests.core.builders import Microscope, Scene, session_id

LIMITS = Limits(checkpoint_interval=4, log_size=8, sessions_per_client=2)
SETTINGS = ReplicaSettings(early_bytes=4_096, waiting_requests=6, waiting_requests_per_client=3)
LIAR = 3
FAR = 2**62


def within_bounds(watched: Microscope) -> None:
    usage, most = watched.replica.usage(), bounds(watched.scene.group, watched.replica.settings)
    assert usage.keys() == most.keys()
    assert [(name, count, most[name]) for name, count in usage.items() if count > most[name]] == []


def what_a_liar_says(scene: Scene, kind: Kind, view: int, sequence: int, number: int) -> Envelope:
    """Return a message of the liar's, with its good signature: of whatever it may speak of, and of what it may not."""
    digest = number.to_bytes(32, "big")
    junk = Share(number % scene.n, bytes(64))
    match kind:
        case Kind.PRE_PREPARE:
            return scene.pre_prepare(sequence, scene.request("alice", number, (bytes(2_000),)), view=view, by=LIAR)
        case Kind.PREPARE:
            return scene.say(LIAR, kind, Prepare(view, sequence, digest))
        case Kind.COMMIT:
            return scene.say(LIAR, kind, Commit(view, sequence, digest))
        case Kind.CHECKPOINT:
            return scene.checkpoint(LIAR, sequence - sequence % 4, digest)
        case Kind.VIEW_CHANGE:
            junk_certificates = tuple(
                PreparedCertificate(0, each, digest, bytes(64), (junk,) * (scene.group.quorums.quorum - 1))
                for each in range(1, 1 + number % (LIMITS.log_size + 1))
            )
            return scene.say(LIAR, kind, ViewChange(view, BEGINNING, junk_certificates))
        case Kind.NEW_VIEW:
            named = tuple(NamedVote(by, digest) for by in range(scene.group.quorums.view_change))
            renewals = (Renewal(digest, bytes(64)),) * (number % 20)
            return scene.say(LIAR, kind, NewView(4 * view + LIAR if view < FAR else FAR + LIAR, named, 0, renewals))
        case Kind.FETCH:
            places = (TOP, Address(number % 2**16, bytes([number % 16])))
            return Envelope(kind, LIAR, pack(Fetch(sequence, digest, places)))
        case Kind.NODES:
            told = (NodeAt(TOP, bytes(1_000)), NodeAt(Address(number % 2**16, b""), bytes(1_000)))
            return Envelope(kind, LIAR, pack(Nodes(sequence, told)))
        case Kind.REQUEST:
            return scene.request("alice", number, session=session_id(number % 9))
        case _:
            return scene.status(LIAR, sequence, number, wanted=(digest,), view_changes=(view,) * 4)


KINDS = [
    Kind.PRE_PREPARE,
    Kind.PREPARE,
    Kind.COMMIT,
    Kind.CHECKPOINT,
    Kind.VIEW_CHANGE,
    Kind.NEW_VIEW,
    Kind.FETCH,
    Kind.NODES,
    Kind.REQUEST,
    Kind.STATUS,
]
numbers = st.integers(0, 20) | st.sampled_from([FAR, 2**63 - 1])
lies = st.tuples(st.sampled_from(KINDS), numbers, numbers, st.integers(0, 100))


@given(st.lists(lies, max_size=60), st.sampled_from([0, 1, 2, 3]), st.integers(0, 8))
def test_one_liar_makes_nobody_hold_more_than_the_bounds(told, view, executed):
    """Before and after views and checkpoints: no count of `usage` ever passes its formula."""
    watched = Scene(limits=LIMITS).watch(2, SETTINGS)
    if view:
        watched.enter(view)
    if watched.primary != watched.me:
        for vote in watched.run(executed).said(Kind.CHECKPOINT):
            watched.stabilise(vote)
    for kind, of_view, sequence, number in told:
        watched.give(what_a_liar_says(watched.scene, kind, of_view, sequence, number), LIAR)
        within_bounds(watched)
    watched.wait(5_000)
    within_bounds(watched)


@pytest.mark.parametrize("kind", KINDS)
def test_a_flood_of_one_kind_fills_nothing_beyond_its_bound(kind):
    """Hundreds of different messages of a kind, in rising views and at all sequences."""
    watched = Scene(limits=LIMITS).watch(2, SETTINGS)
    for number in range(500):
        watched.give(what_a_liar_says(watched.scene, kind, number // 7, number % 40, number), LIAR)
    within_bounds(watched)


def test_the_bounds_are_within_reach():
    """A correct group comes to a good part of them by itself: they are no fantasies that nothing could ever pass."""
    watched = Scene(limits=LIMITS).watch(2, SETTINGS)
    most = bounds(watched.scene.group, SETTINGS)
    (vote,) = watched.run(4).said(Kind.CHECKPOINT)
    watched.stabilise(vote)
    watched.run(12)
    for by in (0, 1, LIAR):
        watched.give(watched.scene.view_change(by, 5))
    usage = watched.replica.usage()
    assert usage["slots"] == 12
    assert 2 * usage["slots"] >= most["slots"]
    assert usage["view_changes"] == 4
    assert usage["snapshots"] == 3
    within_bounds(watched)


def test_shares_without_end_are_no_certificate():
    """A VIEW-CHANGE is no larger than a quorum's signatures for each sequence of the log make it."""
    watched = Scene(limits=LIMITS).watch(2, SETTINGS)
    scene = watched.scene
    good = scene.certificate(scene.pre_prepare(1))
    padded = replace(good, prepares=good.prepares * 400)
    watched.give(scene.view_change(LIAR, 1, [padded]))
    within_bounds(watched)
    watched.give(scene.view_change(LIAR, 2, (), replace(BEGINNING, shares=good.prepares * 400)))
    within_bounds(watched)


def test_votes_for_refused_new_views_are_let_go():
    """Lying primaries name votes of which others are held here, one after the other: few are kept at a time."""
    scene = Scene(7)
    watched = scene.watch(2)
    watched.enter(1)
    certificate = scene.certificate(scene.pre_prepare(1))
    for by in watched.peers:
        watched.give(scene.view_change(by, 31 if by < 5 else 41))
    assert watched.replica.status().target == 31
    for view in (12, 13, 14):
        named = [scene.view_change(by, view, [certificate]) for by in (0, 1, 3, 4, 5)]
        watched.give(scene.new_view(view, named, digests=()))
        for vote in named[: 4 if view == 14 else 5]:
            watched.give(vote, 6)
        within_bounds(watched)
