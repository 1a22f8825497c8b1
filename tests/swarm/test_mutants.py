"""Planted bugs beyond wrong counts: replicas that break one rule of views and states each, found out by the swarm.

Each is searched for from the first seed on, and has to be found soon: a swarm that catches nothing proves nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pbft.core import view_change
from pbft.core.agreement import Agreement
from pbft.core.log import Log
from pbft.core.reproposal import Reproposal, repropose
from pbft.core.transfer import Transfer
from pbft.testing import swarm

SEEDS = range(60)


def found() -> str:
    """Return what the first seed that breaks says; nothing when none does."""
    return next((done.failure for done in map(swarm.report, SEEDS) if done.outcome is None), "")


def test_a_view_that_forgets_its_last_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """All replicas alike propose one batch too few: what had committed is missing in the new view."""

    def forgetful(*args: Any) -> Reproposal:
        whole = repropose(*args)
        return replace(whole, digests=whole.digests[:-1])

    monkeypatch.setattr(view_change, "repropose", forgetful)
    assert found().startswith(("O6: ", "O7: "))


def test_a_vote_for_a_view_that_hides_what_it_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every VIEW-CHANGE comes without certificates, and the new view follows from it as it should."""
    monkeypatch.setattr(Log, "certificates", lambda *_: ())
    assert found().startswith("O7: ")


def test_a_replica_that_votes_on_in_a_view_it_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Agreement, "leave", lambda _: None)
    assert found().startswith("O4: ")


def test_a_replica_that_never_fetches_a_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """Safe, and behind for ever once its log was cut elsewhere: the bound on recovery passes."""
    monkeypatch.setattr(Transfer, "begin", lambda *_: None)
    assert found().startswith("O15: ")
