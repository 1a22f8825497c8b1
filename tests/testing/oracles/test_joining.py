"""O6 where replicas follow each other out of a view: it fires when the f+1 hold nobody correct."""

from __future__ import annotations

import pytest

from pbft.core.effects import Cause, ViewChangeStarted
from tests.testing.planted import Planter, fires


def left(view: int, cause: Cause) -> ViewChangeStarted:
    """The notice of a replica that leaves view 0."""
    return ViewChangeStarted(0, view, cause, 1_000)


def test_o6_nobody_follows_a_liar_alone() -> None:
    """Replica 3 asked for view 2, whoever counts that; among the correct one has asked for view 1 only."""
    planter = Planter(byzantine=[3])
    overseer = planter.overseer()
    overseer.judge(0, [left(1, Cause.STALLED)])
    overseer.judge(1, [left(1, Cause.JOINED)])
    overseer.judge(3, [left(2, Cause.STALLED)])
    fires("O6", lambda: overseer.judge(2, [left(2, Cause.JOINED)]), "replica 2 followed 2 others to view 2")


@pytest.mark.parametrize("cause", [each for each in Cause if each is not Cause.JOINED])
def test_o6_whoever_has_reasons_may_be_followed(cause: Cause) -> None:
    overseer = Planter().overseer()
    overseer.judge(0, [left(3, cause)])
    for replica, view in ((1, 3), (2, 1), (3, 2)):
        overseer.judge(replica, [left(view, Cause.JOINED)])


def test_more_than_f_liars_may_pull_anybody() -> None:
    """Nothing is promised then, and nothing judged."""
    overseer = Planter(byzantine=[2, 3]).overseer()
    overseer.judge(0, [left(7, Cause.JOINED)])
