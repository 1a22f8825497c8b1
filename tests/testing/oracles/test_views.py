"""O6 fires on checkpoints and views without a quorum behind them, O7 on views that lose what committed."""

from __future__ import annotations

from functools import partial

import pytest

from pbft.core.effects import BecameStable, Effect, Persist, ViewEntered
from pbft.core.envelope import Envelope, Kind, seal
from pbft.core.messages import BEGINNING, CheckpointProof, Share, ViewChange, batch_digest, pack
from pbft.testing.oracles.renewal import NULL
from tests.testing.planted import INTERVAL, Planter, fires

ONE, OTHER = b"1" * 32, b"2" * 32


def entering(planter: Planter, entered: ViewEntered) -> None:
    planter.only("O6").judge(1, [entered])


def test_o6_stable_by_too_few() -> None:
    planter = Planter()
    notice = BecameStable(planter.proof(signers=[0, 1]))
    fires("O6", lambda: planter.only("O6").judge(1, [notice]), "2 signatures, and 3 of 4 make a quorum")


def test_o6_stable_by_one_member_twice() -> None:
    planter = Planter()
    notice = BecameStable(planter.proof(signers=[0, 1, 1]))
    fires("O6", lambda: planter.only("O6").judge(1, [notice]), "counts one member twice")


def test_o6_stable_by_a_stranger() -> None:
    planter = Planter()
    proof = planter.proof()
    notice = BecameStable(CheckpointProof(proof.sequence, proof.digest, (*proof.shares[:2], Share(9, bytes(64)))))
    fires("O6", lambda: planter.only("O6").judge(1, [notice]), "somebody who is no member")


def test_o6_stable_on_a_forged_signature() -> None:
    planter = Planter()
    proof = planter.proof()
    other = CheckpointProof(proof.sequence, ONE, proof.shares)
    fires("O6", lambda: planter.only("O6").judge(1, [BecameStable(other)]), "replica 0 never signed it")


def test_o6_stable_between_two_checkpoints() -> None:
    planter = Planter()
    notice = BecameStable(planter.proof(INTERVAL + 1))
    fires("O6", lambda: planter.only("O6").judge(1, [notice]), "checkpoints lie 4 apart")


def test_o6_a_view_that_too_few_asked_for() -> None:
    planter = Planter()
    entered = planter.entered(votes=[planter.view_change(i) for i in (0, 1)])
    fires("O6", lambda: entering(planter, entered), "on 2 VIEW_CHANGEs, and 3 of 4 make a quorum")


def test_o6_a_view_that_one_member_asked_for_twice() -> None:
    planter = Planter()
    entered = planter.entered(votes=[planter.view_change(i) for i in (0, 1, 1)])
    fires("O6", lambda: entering(planter, entered), "two VIEW_CHANGEs of one member")


def test_o6_a_view_on_votes_for_another() -> None:
    planter = Planter()
    entered = planter.entered(votes=[planter.view_change(i, view=2) for i in range(3)])
    fires("O6", lambda: entering(planter, entered), "on a VIEW_CHANGE for view 2")


def test_o6_a_view_on_a_vote_in_anothers_name() -> None:
    planter = Planter()
    body = pack(ViewChange(1, BEGINNING, ()))
    forged = seal(planter.group, planter.members[3].signer, Kind.VIEW_CHANGE, 2, body)
    entered = planter.entered(votes=[planter.view_change(0), planter.view_change(1), forged])
    fires("O6", lambda: entering(planter, entered), "replica 2 never signed its VIEW_CHANGE")


@pytest.mark.parametrize(
    ("sequences", "view", "words"),
    [([2, 1], 0, "shows s1 out of place"), ([9], 0, "shows s9 out of place"), ([1], 1, "a certificate of view 1")],
)
def test_o6_a_view_on_a_vote_out_of_shape(sequences: list[int], view: int, words: str) -> None:
    """Certificates rise by sequence, lie within the log, and come from earlier views."""
    planter = Planter()
    prepared = [planter.certificate(ONE, sequence, view) for sequence in sequences]
    votes = [planter.view_change(0), planter.view_change(1), planter.view_change(2, prepared=prepared)]
    fires("O6", lambda: entering(planter, planter.entered(votes=votes)), words)


def test_o6_a_view_on_something_else_than_votes() -> None:
    planter = Planter()
    votes = [planter.view_change(0), planter.view_change(1), planter.prepare(ONE, 2)]
    fires("O6", lambda: entering(planter, planter.entered(votes=votes)), "a PREPARE is no VIEW_CHANGE")


def test_o6_a_view_that_leaves_out_what_its_votes_show() -> None:
    """Sequence 2 was prepared, sequence 1 was not: the view proposes a null batch and then this one, nothing else."""
    planter = Planter()
    shown = planter.view_change(2, prepared=[planter.certificate(ONE, 2)])
    votes = [planter.view_change(0), planter.view_change(1), shown]
    for digests in ((), (NULL,), (ONE,), (NULL, OTHER), (NULL, ONE, NULL)):
        entered = planter.entered(*digests, votes=votes)
        fires("O6", partial(entering, planter, entered), "its votes come to s0 with s1 null, s2 31313131")

    entering(planter, planter.entered(NULL, ONE, votes=votes))


def test_o6_the_highest_view_counts() -> None:
    """Of two certificates for one sequence the one of the later view is proposed again, whoever shows it."""
    planter = Planter()
    early = planter.view_change(0, view=3, prepared=[planter.certificate(ONE, 1, view=0)])
    late = planter.view_change(1, view=3, prepared=[planter.certificate(OTHER, 1, view=2)])
    votes = [early, late, planter.view_change(2, view=3)]
    fires("O6", lambda: entering(planter, planter.entered(ONE, view=3, votes=votes)), "come to s0 with s1 32323232")

    entering(planter, planter.entered(OTHER, view=3, votes=votes))


def test_o6_a_certificate_that_proves_nothing_counts_for_nothing() -> None:
    """One backup short, the primary among the backups, a forged share: each is as if it were not there."""
    planter = Planter()
    good = planter.certificate(ONE)
    short = planter.certificate(ONE, backups=[1])
    primary = planter.certificate(ONE, backups=[0, 1])
    twice = planter.certificate(ONE, backups=[1, 1])
    forged = planter.certificate(OTHER, sequence=1)
    borrowed = type(good)(0, 1, ONE, good.pre_prepare, forged.prepares)
    for bad in (short, primary, twice, borrowed):
        votes = [planter.view_change(0), planter.view_change(1), planter.view_change(2, prepared=[bad])]
        entering(planter, planter.entered(votes=votes))
        entered = planter.entered(ONE, votes=votes)
        fires("O6", partial(entering, planter, entered), "its votes come to s0 with nothing")


def test_o6_a_view_starts_at_the_highest_proven_checkpoint() -> None:
    """A checkpoint without a proof does not count, however high it is; certificates below the start do not either."""
    planter = Planter()
    proven = planter.view_change(0, stable=planter.proof(INTERVAL))
    boast = planter.view_change(1, stable=planter.proof(2 * INTERVAL, signers=[0, 1]))
    behind = planter.view_change(2, prepared=[planter.certificate(ONE, 1), planter.certificate(OTHER, INTERVAL + 1)])
    votes = [proven, boast, behind]
    for stable in (0, 2 * INTERVAL):
        entered = planter.entered(stable=stable, votes=votes)
        fires("O6", partial(entering, planter, entered), "come to s4 with s5 32323232")

    entering(planter, planter.entered(OTHER, stable=INTERVAL, votes=votes))


@pytest.mark.parametrize("first", ["commit", "view"])
def test_o7_a_view_that_loses_what_committed(first: str) -> None:
    """Whichever is seen first, the commit in view 0 or the view after it, that view must propose the batch again."""
    for digests, words in (((), "proposes nothing there"), ((OTHER,), "proposes 32323232 there")):
        planter = Planter()
        overseer = planter.only("O7")
        steps: list[Effect] = [planter.committed(planter.batch()), planter.entered(*digests)]
        one, two = steps if first == "commit" else steps[::-1]
        overseer.judge(1, [one])
        fires("O7", partial(overseer.judge, 2, [two]), f"committed at sequence 1 in view 0, and view 1 {words}")


def test_o7_a_new_view_that_loses_what_committed() -> None:
    """What a correct primary signs is held to the same, before anybody enters."""
    planter = Planter()
    overseer = planter.only("O7")
    overseer.judge(2, [planter.committed(planter.batch())])
    fires(
        "O7",
        lambda: overseer.judge(1, [Persist(planter.new_view(NULL), ())]),
        f"view 1 proposes {NULL[:4].hex()} there",
    )


def test_o7_two_beginnings_of_one_view() -> None:
    planter = Planter()
    overseer = planter.only("O7")
    overseer.judge(1, [planter.entered(ONE)])
    fires("O7", lambda: overseer.judge(2, [planter.entered(OTHER)]), "began view 1 at s0 with s1 32323232, another")


def test_o7_is_content_with_views_that_keep_it() -> None:
    """Proposed again, or covered by the checkpoint that the view starts from, or committed in that view or later."""
    planter = Planter()
    overseer = planter.only("O7")
    batch = planter.batch()
    overseer.judge(1, [planter.committed(batch), planter.entered(batch_digest(batch))])
    overseer.judge(1, [planter.entered(view=2, stable=INTERVAL)])
    overseer.judge(1, [planter.committed(planter.batch(time_ms=2), sequence=INTERVAL + 1, view=2)])


def test_o7_takes_only_a_primarys_own_word() -> None:
    """A backup that keeps the NEW-VIEW of a liar has not said it itself."""
    planter = Planter(byzantine=[1])
    overseer = planter.only("O7")
    overseer.judge(2, [planter.committed(planter.batch())])
    overseer.judge(2, [Persist(Envelope(Kind.NEW_VIEW, 1, planter.new_view(NULL).body, bytes(64)), ())])
