"""O13, O14 and O15: how much is kept, and how long a healed group may take."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from pbft.core.group import Quorums
from pbft.core.replica import Replica
from pbft.core.settings import ReplicaSettings, SessionSettings
from pbft.core.usage import bounds
from pbft.testing import Cluster, OracleFailure
from pbft.testing.journal import Journal
from pbft.testing.oracles.liveness import recovery_ms
from tests.testing.planted import Nodding, Planter, fires


def counting(**counts: int) -> tuple[Planter, Replica]:
    """Return a group and a replica of it whose account of itself is changed by these counts."""
    planter = Planter()

    class Counting(Replica):
        def usage(self) -> dict[str, int]:
            """Tell something else."""
            return {**super().usage(), **counts}

    return planter, Counting(1, planter.group, Nodding(), planter.members[1].signer, planter.keys.verifier)


def test_o13_a_slot_beyond_the_high_watermark() -> None:
    planter, replica = counting(above_high=1)
    fires("O13", lambda: planter.overseer().sampled(replica), "keeps 1 slots beyond its high watermark 8")


def test_o14_a_count_beyond_its_bound() -> None:
    """Every count fires when it is one too many, and none at its bound."""
    planter, replica = counting()
    assert all(name in bounds(planter.group, replica.settings) for name in replica.usage())
    for name, most in bounds(planter.group, replica.settings).items():
        _, full = counting(**{name: most})
        planter.overseer().sampled(full)
        _, over = counting(**{name: most + 1})
        fires("O14", partial(planter.only("O14").sampled, over), f"{name} = {most + 1}, and {most} is the most")


def test_o14_a_count_that_nobody_bounded() -> None:
    planter, replica = counting(secrets=0)
    fires("O14", lambda: planter.overseer().sampled(replica), "counts other things than have bounds: secrets")


def test_o15_a_healed_group_that_does_not_go_on() -> None:
    """With more than f dead no quorum is left, so nothing can be promised: the bound passes, and is told."""
    group = Cluster(Journal, seed=1, replay="again")
    alice = group.client("alice")
    group.gather(alice.call("write", "x"))
    group.crash(2)
    group.crash(3)
    within_ms = group.recovery_ms()
    with pytest.raises(OracleFailure, match=f"no answer to alice.*within {within_ms} ms") as failure:
        group.finish(alice.call("write", "y"))
    assert failure.value.oracle == "O15"


def test_o15_a_replica_that_does_not_catch_up() -> None:
    """All calls are answered, and one replica stays behind for ever, since nothing reaches it."""
    group = Cluster(Journal, seed=2)
    alice = group.client("alice")
    group.network.isolate(3)
    with pytest.raises(OracleFailure, match="no equal histories") as failure:
        group.finish(alice.call("write", "x"))
    assert failure.value.oracle == "O15"


def test_the_bound_grows_with_what_it_depends_on() -> None:
    """More dead, wrong clocks, longer delays, later timers: each makes the bound longer, and it says so in advance."""
    group = Cluster(Journal, seed=3, n=7)
    settings, session = ReplicaSettings(), SessionSettings()
    living = [group.replica(i).status() for i in range(7)]
    usual = recovery_ms(group.group, settings, session, living, 0, 10)
    assert usual < recovery_ms(group.group, settings, session, living[2:], 0, 10)
    assert usual < recovery_ms(group.group, settings, session, living, 1, 10)
    assert usual < recovery_ms(group.group, settings, session, living, 0, 20)
    late = [*living[1:], replace(living[0], timeout_ms=64_000)]
    assert usual < recovery_ms(group.group, settings, session, late, 0, 10)
    assert usual < recovery_ms(group.group, replace(settings, status_interval_max_ms=3_200), session, living, 0, 10)
    assert usual < recovery_ms(group.group, settings, SessionSettings(retransmit_max_ms=4_000), living, 0, 10)
    assert Quorums.of(7).faults == 2
