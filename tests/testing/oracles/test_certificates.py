"""O6 fires on every certificate of a batch that is none."""

from __future__ import annotations

import pytest

from pbft.core.effects import CommittedLocal, Persist, Prepared
from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import batch_digest
from pbft.testing.oracles import Overseer
from tests.testing.planted import Planter, fires

# O6, certificates.


def judged_certificate(planter: Planter, notice: Prepared | CommittedLocal) -> None:
    overseer: Overseer = planter.overseer(without=["O1"])
    if isinstance(notice, CommittedLocal):
        planter.agree(overseer, planter.batch())
    overseer.judge(1, [notice])


def test_o6_prepared_by_too_few() -> None:
    planter = Planter()
    notice = planter.prepared(planter.batch(), backups=[1])
    fires("O6", lambda: judged_certificate(planter, notice), "2 members, and 3 of 4 make a quorum")


def test_o6_prepared_by_one_backup_twice() -> None:
    planter = Planter()
    notice = planter.prepared(planter.batch(), backups=[1, 1])
    fires("O6", lambda: judged_certificate(planter, notice), "counts one member twice")


def test_o6_prepared_by_the_primary_itself() -> None:
    planter = Planter()
    notice = planter.prepared(planter.batch(), backups=[0, 1, 2])
    fires("O6", lambda: judged_certificate(planter, notice), "counts a prepare of the primary")


def test_o6_prepared_on_a_forged_signature() -> None:
    planter = Planter()
    notice = planter.prepared(planter.batch())
    forged = Envelope(Kind.PREPARE, 2, notice.certificate[1].body, notice.certificate[1].signature)
    broken = Prepared(0, 1, notice.digest, (*notice.certificate[:2], forged))
    fires("O6", lambda: judged_certificate(planter, broken), "PREPARE that replica 2 never signed")


def test_o6_prepared_on_votes_of_another_group() -> None:
    planter, other = Planter(4), Planter(7)
    batch = planter.batch()
    digest = batch_digest(batch)
    votes = [other.prepare(digest, i) for i in (1, 2)]
    broken = Prepared(0, 1, digest, (planter.pre_prepare(batch), *votes))
    fires("O6", lambda: judged_certificate(planter, broken), "never signed in this group")


@pytest.mark.parametrize(("view", "sequence", "digest"), [(1, 1, None), (0, 2, None), (0, 1, b"x" * 32)])
def test_o6_prepared_on_votes_for_something_else(view: int, sequence: int, digest: bytes | None) -> None:
    planter = Planter()
    notice = planter.prepared(planter.batch(), backups=[1])
    stray = planter.prepare(digest or notice.digest, 2, sequence, view)
    broken = Prepared(0, 1, notice.digest, (*notice.certificate, stray))
    fires("O6", lambda: judged_certificate(planter, broken), "a vote for something else")


def test_o6_prepared_without_the_primarys_proposal() -> None:
    planter = Planter()
    batch = planter.batch()
    digest = batch_digest(batch)
    votes = tuple(planter.prepare(digest, i) for i in (1, 2, 3))
    for proposals in ((), (planter.pre_prepare(batch, by=3),)):
        broken = Prepared(0, 1, digest, (*proposals, *votes))
        fires("O6", lambda broken=broken: judged_certificate(planter, broken), "no single pre-prepare of its primary")  # type: ignore[misc]


def test_o6_committed_by_too_few() -> None:
    planter = Planter()
    notice = planter.committed(planter.batch(), members=[0, 1])
    fires("O6", lambda: judged_certificate(planter, notice), "2 members, and 3 of 4 make a quorum")


def test_o6_committed_by_one_member_twice() -> None:
    planter = Planter()
    notice = planter.committed(planter.batch(), members=[0, 1, 1])
    fires("O6", lambda: judged_certificate(planter, notice), "counts one member twice")


def test_o6_committed_on_a_vote_its_owner_never_cast() -> None:
    """A commit may count on its link alone, but none stands in a correct replica's name that it did not say."""
    planter = Planter()
    overseer = planter.overseer()
    fires("O6", lambda: overseer.judge(1, [planter.committed(planter.batch())]), "a commit that replica 0 never voted")


def test_o6_committed_by_a_stranger() -> None:
    planter = Planter(byzantine=[3])
    notice = planter.committed(planter.batch(), members=[0, 1])
    stranger = Envelope(Kind.COMMIT, 9, notice.certificate[0].body, bytes(64))
    broken = CommittedLocal(0, 1, notice.digest, (*notice.certificate, stranger))
    fires("O6", lambda: judged_certificate(planter, broken), "somebody who is no member")


def test_o6_a_commit_of_something_not_prepared() -> None:
    planter = Planter()
    overseer = planter.overseer()
    vote = Persist(planter.commit(bytes(32), 1), ())
    fires("O6", lambda: overseer.judge(1, [vote]), "COMMIT v0 s1 00000000 without a prepared certificate")


def test_o6_an_execution_of_something_not_committed() -> None:
    planter = Planter()
    overseer = planter.overseer(without=["O2"])
    fires("O6", lambda: overseer.judge(1, [planter.executed(planter.batch())]), "sequence 1 without a certificate")
