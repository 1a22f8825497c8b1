"""Everything a replica refuses of checkpoints, view changes and state (OSDI'99 section 4.3, 4.4): see `refusals.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from pbft.core.effects import Reason
from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import (
    NamedVote,
    NewView,
    Share,
    pack,
)
from pbft.core.state_messages import TOP, Address, Fetch, NodeAt, Nodes
from tests.core.builders import Microscope, Scene, Turn, forged
from tests.core.refusals import LIMITS, Table

TABLE = Table()
refused = TABLE.refused

DIGEST = bytes(range(32))
NODES = Nodes(4, (NodeAt(TOP, b"state"),))


def signed_kinds(scene: Scene, by: int = 2) -> list[Envelope]:
    """Return one well-signed message of each kind that may be handed on."""
    votes = [scene.view_change(each, 2) for each in range(scene.group.quorums.view_change)]
    return [scene.checkpoint(by, 4, DIGEST), scene.view_change(by, 2), scene.new_view(2, votes)]


def unsigned_kinds(scene: Scene, by: int = 2) -> list[Envelope]:
    """Return one message of each kind that its link alone authenticates."""
    return [
        Envelope(Kind.CHECKPOINT_PROOF, by, pack(scene.proof(4, DIGEST))),
        Envelope(Kind.FETCH, by, pack(Fetch(4, DIGEST, (TOP,)))),
        Envelope(Kind.NODES, by, pack(NODES)),
        scene.committed(by, scene.pre_prepare(1)),
    ]


def hand(watched: Microscope, envelopes: Sequence[Envelope]) -> list[Turn]:
    return [watched.give(each) for each in envelopes]


def make_stable(watched: Microscope, upto: int = 4) -> None:
    """Have the replica execute up to a checkpoint, which becomes stable."""
    for vote in watched.run(upto).said(Kind.CHECKPOINT):
        watched.stabilise(vote)
    assert watched.replica.status().stable_checkpoint == upto


# Whatever the kind.


@refused(Reason.MALFORMED)
def bodies_that_are_no_message(watched):
    """Whatever the kind, a body that does not decode is refused: a NODES nobody reads while none are missing."""
    every = (*signed_kinds(watched.scene), *unsigned_kinds(watched.scene))
    kinds = [each.kind for each in every if each.kind is not Kind.NODES]
    bodies = (b"", b"\xff", b"\x80", pack(NODES) + b"\0")
    return [watched.give(Envelope(kind, 2, body, bytes(64))) for kind in kinds for body in bodies]


@refused(Reason.MALFORMED)
def what_goes_beside_and_is_signed_by_nobody(watched):
    """Beside a batch's certificate travels the batch; beside the others not one byte (W2)."""
    laden = (*signed_kinds(watched.scene), *unsigned_kinds(watched.scene)[:-1])
    return [watched.give(replace(each, beside=b"\0")) for each in laden]


@refused(Reason.WRONG_SENDER)
def what_clients_bring(watched):
    """A client's link carries nothing that replicas say among themselves."""
    alice = watched.scene.key("alice")
    return [watched.give(each, alice) for each in (*signed_kinds(watched.scene), *unsigned_kinds(watched.scene))]


@refused(Reason.WRONG_SENDER)
def what_no_signature_covers_on_another_link(watched):
    """Proofs, nodes and questions come from whoever says them."""
    return [watched.give(each, 3) for each in unsigned_kinds(watched.scene)]


@refused(Reason.NOT_A_MEMBER)
def replicas_that_do_not_exist(watched):
    """Numbers from n on speak for nobody."""
    fine = (*signed_kinds(watched.scene), *unsigned_kinds(watched.scene))
    return [watched.give(replace(each, sender=number), 2) for each in fine for number in (watched.scene.n, 2**16 - 1)]


# Checkpoints.


@refused(Reason.OUTSIDE_WATERMARKS)
def checkpoints_where_there_are_none(watched):
    """Multiples of K above the stable one, up to H: neither 0 nor between two, neither old nor far away."""
    make_stable(watched)
    sequences = (0, 4, 5, 7, LIMITS.log_size + 8, 2**63 - 1)
    return [watched.give(watched.scene.checkpoint(2, sequence, DIGEST)) for sequence in sequences]


@refused(Reason.DUPLICATE)
def checkpoints_that_are_held(watched):
    """The same again, also under another signature or from another link: one replica is one vote (R2)."""
    vote = watched.scene.checkpoint(2, 4, DIGEST)
    assert watched.give(vote).reasons == []
    return [watched.give(vote), watched.give(vote, 3), watched.give(forged(vote))]


@refused(Reason.BAD_SIGNATURE)
def forged_checkpoints(watched):
    """One that somebody else brings is verified before it takes its signer's place."""
    vote = watched.scene.checkpoint(2, 4, DIGEST)
    return [watched.give(forged(vote), 3), watched.give(replace(vote, sender=3), 2)]


@refused(Reason.CONFLICTING)
def second_checkpoints(watched):
    """A second digest for the same sequence: the first keeps its place."""
    watched.give(watched.scene.checkpoint(2, 4, DIGEST))
    other = watched.scene.checkpoint(2, 4, bytes(32))
    return [watched.give(other), watched.give(other), watched.give(forged(other))]


@refused(Reason.NOT_WANTED)
def proofs_of_what_is_known(watched):
    """Neither of the beginning, nor of the checkpoint that is stable here, nor of one before."""
    make_stable(watched, 8)
    proofs = [watched.scene.proof(sequence, DIGEST) for sequence in (0, 4, 8)]
    return [watched.give(Envelope(Kind.CHECKPOINT_PROOF, 2, pack(each))) for each in proofs]


def spoilt(shares: tuple[Share, ...], n: int) -> list[tuple[Share, ...]]:
    """Return a quorum's signatures spoilt in each way: one too few or many, one twice, of a stranger, or bad."""
    first, *rest = shares
    return [
        (),
        tuple(rest),
        (first, first, *rest[1:]),
        (Share(n, first.signature), *rest),
        (replace(first, signature=bytes(64)), *rest),
        (Share(rest[0].signer, first.signature), Share(first.signer, rest[0].signature), *rest[1:]),
    ]


@refused(Reason.BAD_CERTIFICATE)
def proofs_that_prove_nothing(watched):
    """Less than a quorum of good signatures of distinct members, or of a sequence that is no checkpoint."""
    scene = watched.scene
    good = scene.proof(8, DIGEST)
    proofs = [replace(good, shares=shares) for shares in spoilt(good.shares, scene.n)]
    extra = scene.proof(8, DIGEST, range(scene.group.quorums.stable + 1))
    proofs += [extra, replace(good, digest=bytes(32)), replace(good, sequence=12), scene.proof(7, DIGEST)]
    return [watched.give(Envelope(Kind.CHECKPOINT_PROOF, 2, pack(each))) for each in proofs]


# Commit certificates.


def committed(watched: Microscope, **changes: object) -> Envelope:
    """Return a commit certificate of sequence 1 as replica 2 sends it, with some fields changed."""
    proposal = watched.scene.pre_prepare(1, watched.scene.request())
    certificate = replace(watched.scene.commit_certificate(proposal), **changes)  # type: ignore[arg-type]
    return Envelope(Kind.COMMITTED, 2, pack(certificate), b"", proposal.beside)


@refused(Reason.BAD_CERTIFICATE)
def commits_of_no_quorum(watched):
    """Signatures are checked here, every one: what counts on its own link proves nothing on another."""
    scene = watched.scene
    good = scene.commit_certificate(scene.pre_prepare(1, scene.request()))
    turns = [watched.give(committed(watched, commits=shares)) for shares in spoilt(good.commits, scene.n)]
    return [*turns, watched.give(committed(watched, view=1)), watched.give(committed(watched, sequence=2))]


@refused(Reason.WRONG_DIGEST)
def a_certificate_with_another_batch(watched):
    """What is to be executed is the batch that a quorum committed, or nothing."""
    fine, other = committed(watched), watched.scene.pre_prepare(1)
    return [watched.give(replace(fine, beside=beside)) for beside in (b"", other.beside, fine.beside + b"\0")]


@refused(Reason.OUTSIDE_WATERMARKS)
def certificates_outside_the_log(watched):
    """h < n <= H holds for what committed, too."""
    make_stable(watched)
    sequences = (0, 4, LIMITS.log_size + 5, 2**63 - 1)
    return [watched.give(committed(watched, sequence=sequence)) for sequence in sequences]


@refused(Reason.DUPLICATE)
def certificates_of_what_committed_here(watched):
    """What was executed, or committed and waits for a gap, needs no proof."""
    watched.agree(watched.scene.pre_prepare(1, watched.scene.request()))
    waiting = watched.scene.pre_prepare(3)
    watched.agree(waiting)
    assert watched.executed == 1
    return [watched.give(committed(watched)), watched.give(watched.scene.committed(2, waiting))]


@refused(Reason.FULL)
def certificates_there_is_no_room_for(watched):
    """What is not the next to execute has to fit the bytes that may wait; it is asked for again later."""
    scene = watched.scene
    large = [scene.pre_prepare(number, scene.request("alice", number, (bytes(1_500),))) for number in (2, 3)]
    assert watched.give(scene.committed(2, large[0])).reasons == []
    return [watched.give(scene.committed(2, large[1])), watched.give(large[1])]


@refused(Reason.BAD_BATCH)
def certificates_of_what_is_no_batch(watched):
    """More than f liars could sign one; it is not executed all the same."""
    return [watched.give(watched.scene.committed(2, watched.scene.propose(1, batch))) for batch in (b"", b"\x80")]


# View changes.


@refused(Reason.WRONG_VIEW)
def votes_for_views_gone_by(watched):
    """Neither a VIEW-CHANGE nor a NEW-VIEW leads to the view we are in, or back."""
    scene = watched.scene
    turns = hand(watched, [scene.view_change(2, 0), scene.new_view(0, [scene.view_change(2, 0)])])
    watched.enter(2)
    votes = watched.votes(2)
    later = [*votes, scene.new_view(2, votes), scene.view_change(2, 1), scene.new_view(1, votes, by=2)]
    return turns + hand(watched, later)


@refused(Reason.NOT_WANTED)
def votes_that_others_bring(watched):
    """A VIEW-CHANGE comes from who says it, unless a NEW-VIEW names it."""
    return [watched.give(watched.scene.view_change(2, 2), 3), watched.give(watched.scene.view_change(3, 9), 2)]


@refused(Reason.STALE)
def votes_for_less_than_before(watched):
    """The vote for the highest view is the one that is kept."""
    watched.give(watched.scene.view_change(2, 9))
    return hand(watched, [watched.scene.view_change(2, view) for view in (1, 8)])


@refused(Reason.DUPLICATE)
def votes_for_views_that_are_held(watched):
    """The same again, under whatever signature, and the same NEW-VIEW again."""
    scene = watched.scene
    vote, new_view = scene.view_change(2, 6), scene.new_view(2, watched.votes(2))
    for each in (vote, new_view):
        assert watched.give(each).reasons == []
    return [watched.give(each) for each in (vote, forged(vote), new_view, forged(new_view))]


@refused(Reason.BAD_SIGNATURE)
def forged_votes_for_views(watched):
    """Who leads others into a view has to have signed it."""
    scene = watched.scene
    vote, new_view = scene.view_change(2, 2), scene.new_view(2, watched.votes(2))
    return hand(watched, [forged(vote), forged(new_view), replace(vote, sender=3)])


@refused(Reason.BAD_CERTIFICATE)
def votes_out_of_shape(watched):
    """Certificates rise by sequence, lie between the watermarks of the checkpoint and are of earlier views."""
    scene = watched.scene
    certificates = {each: scene.certificate(scene.pre_prepare(each, view=1)) for each in (1, 2, 4, 5, 20, 21)}
    first, second = certificates[1], certificates[2]
    stable = scene.proof(4, DIGEST)
    shapes = [(second, first), (first, first), (first, scene.certificate(scene.pre_prepare(1)))]
    votes = [scene.view_change(2, 3, shape) for shape in (*shapes, (certificates[20],))]
    votes += [scene.view_change(2, 3, (certificates[each],), stable) for each in (1, 4, 21)]
    votes += [scene.view_change(2, 1, (first,))]
    too_many, too_few = (replace(second, prepares=each) for each in (second.prepares * 9, second.prepares[1:]))
    votes += [scene.view_change(2, 3, (first, each)) for each in (too_many, too_few)]
    votes += [scene.view_change(2, 3, (), replace(stable, shares=each)) for each in (stable.shares * 9, ())]
    assert watched.give(scene.view_change(3, 3, (certificates[5], certificates[20]), stable)).reasons == []
    return hand(watched, votes)


@refused(Reason.CONFLICTING)
def second_votes_for_a_view(watched):
    """A second, different VIEW-CHANGE or NEW-VIEW: the first keeps its place."""
    scene = watched.scene
    second = scene.view_change(2, 6, [scene.certificate(scene.pre_prepare(1))])
    watched.give(scene.view_change(2, 6))
    first, other = (scene.new_view(3, votes) for votes in (watched.votes(3), watched.votes(3)[::-1]))
    watched.give(first)
    return hand(watched, [second, second, other, other, forged(other)])


@refused(Reason.NOT_PRIMARY)
def new_views_by_backups(watched):
    """A view is opened by its primary alone."""
    return [watched.give(watched.scene.new_view(2, watched.votes(2), by=by)) for by in (0, 3)]


@refused(Reason.BAD_NEW_VIEW)
def new_views_of_no_quorum(watched):
    """Exactly a quorum's votes, each member's once, in order, and no more than a log of proposals."""
    scene = watched.scene
    votes = [scene.view_change(each, 2) for each in range(scene.n)]
    needed = scene.group.quorums.view_change
    chosen = [votes[: needed - 1], votes[: needed + 1], votes[: needed - 1] + votes[:1], votes[needed - 1 :: -1]]
    turns = [watched.give(scene.new_view(2, each)) for each in chosen]
    turns.append(watched.give(scene.new_view(2, votes[:needed], digests=(DIGEST,) * (LIMITS.log_size + 1))))
    turns.append(watched.give(scene.say(2, Kind.NEW_VIEW, NewView(2, (NamedVote(0, DIGEST),) * needed, 0, ()))))
    return turns


# State.


@refused(Reason.NOT_WANTED)
def nodes_that_nobody_asked_for(watched):
    """State is taken over by who fetches it, and never on another's own accord."""
    told = (NODES, Nodes(4, (NodeAt(Address(0, b""), b"state"),)))
    return [watched.give(Envelope(Kind.NODES, 2, pack(each))) for each in told]


@pytest.mark.parametrize("n", [4, 7])
@pytest.mark.parametrize("name", TABLE.names)
def test_refusals(name, n):
    """Each case meets its Reason and nothing else: no vote, no view entered, nothing executed, sent or installed."""
    TABLE.check(name, n)
