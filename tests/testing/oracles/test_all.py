"""Oracles are quiet while all is well, judge nobody but the correct, and each is seen to fire in this folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pbft.core.effects import Executed, Persist, StateInstalled
from pbft.core.envelope import Kind
from pbft.core.messages import Checkpoint, batch_digest
from pbft.core.session import Completed
from pbft.machine import Outcome, Result
from pbft.testing.oracles import ORACLES, OracleFailure, oversee
from pbft.testing.oracles.linearizable import LINEARIZABLE
from pbft.testing.oracles.liveness import LIVENESS
from tests.testing.planted import INTERVAL, SESSION, Planter


def test_a_run_as_it_should_be_fires_nothing() -> None:
    """Sequences agreed, executed and answered, one with a stale request; a checkpoint, a view, a state taken over."""
    planter = Planter()
    overseer = planter.overseer()
    requests = [planter.request(1), planter.request(2), planter.request(1), planter.request(3)]
    for sequence, request in enumerate(requests, start=1):
        batch = planter.batch(request, time_ms=sequence)
        planter.agree(overseer, batch, sequence)
        fate = planter.fate(request, () if sequence == 3 else (0,), timestamp=(1, 2, 1, 3)[sequence - 1])
        for i in planter.correct[:3]:
            overseer.judge(i, [Executed(0, sequence, batch_digest(batch), sequence, (fate,))])
    state = overseer.record.checkpoints[INTERVAL]
    for i in planter.correct[:3]:
        overseer.judge(i, [Persist(planter.sealed(i, Kind.CHECKPOINT, Checkpoint(INTERVAL, state)), ())])
    for i in planter.correct:
        overseer.judge(i, [planter.stable(INTERVAL, state)])
    overseer.judge(3, [StateInstalled(INTERVAL, state, 1, 100)])
    votes = [planter.view_change(i, stable=planter.proof(INTERVAL, state)) for i in range(3)]
    for i in planter.correct[:3]:
        overseer.judge(i, [Persist(votes[i], ())])
    overseer.judge(1, [Persist(planter.new_view(stable=INTERVAL), tuple(votes))])
    for i in planter.correct:
        overseer.judge(i, [planter.entered(stable=INTERVAL, votes=votes)])

    for timestamp, sequence in ((1, 1), (2, 2), (3, 4)):
        told = Completed(1, Result.of(Outcome.OK, 5), 0, sequence, timestamp, (0, 1), (), (2, 3), 2, 10, None, 0)
        overseer.completed(planter.alice.public_key, SESSION, told)


def test_what_adversaries_do_is_not_judged() -> None:
    """Replica 3 is wicked: its votes for two digests break nothing, while replica 2's would."""
    planter = Planter(byzantine=[3])
    overseer = planter.overseer()
    for i in (3, 2):
        overseer.judge(i, [Persist(planter.prepare(bytes(32), i), ())])
    overseer.judge(3, [Persist(planter.prepare(b"x" * 32, 3), ())])
    with pytest.raises(OracleFailure):
        overseer.judge(2, [Persist(planter.prepare(b"x" * 32, 2), ())])


def test_only_oracles_that_exist_can_be_left_out() -> None:
    """A misspelt id would leave nothing out and let a test prove the wrong thing."""
    planter = Planter()
    with pytest.raises(ValueError, match="there are persist-before-send, O5, O16, O6, O1, O2, O3, O4, O7, O8, O11"):
        oversee(planter.facts(), ["O99"])


@pytest.mark.parametrize("n", range(4, 40))
def test_facts_count_quorums_by_their_meaning(n: int) -> None:
    """The oracles' own quorum: two always share a correct member, one fewer need not, and n-f make one."""
    planter = Planter(n)
    facts = planter.facts()
    assert n >= 3 * facts.faults + 1
    assert n < 3 * (facts.faults + 1) + 1
    assert 2 * facts.quorum - n >= facts.faults + 1
    assert 2 * (facts.quorum - 1) - n < facts.faults + 1
    assert facts.quorum <= n - facts.faults
    assert facts.quorum == planter.group.quorums.quorum


def test_every_oracle_is_seen_to_fire() -> None:
    """An oracle that nothing makes fire proves nothing: each id has a test in this folder that is named after it."""
    tests = "".join(path.read_text(encoding="utf-8") for path in sorted(Path(__file__).parent.glob("test_*.py")))
    for oracle in [*(oracle.id for oracle in ORACLES), LINEARIZABLE, LIVENESS]:
        assert re.search(rf"^def test_{oracle.lower().replace('-', '_')}_", tests, re.MULTILINE), (
            f"nothing fires {oracle}"
        )
