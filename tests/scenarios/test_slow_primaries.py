"""A primary that answers all, and always late: found and replaced, and nobody else is (P7; design 4.14)."""

from __future__ import annotations

from pbft.core.effects import Cause, Send, ViewChangeStarted
from pbft.core.envelope import Kind
from pbft.core.settings import ReplicaSettings, SessionSettings
from pbft.testing import Cluster
from pbft.testing.byzantine import SlowPrimary, SlowVoter
from pbft.testing.faulty_clients import OneBackup
from pbft_apps.counter import Counter
from tests.scenarios.stories import LONGEST_MS, ROUND_MS, SIZES, Load, backups, faults, primaries

T = 1_000
SETTINGS = ReplicaSettings(view_timeout_ms=T)

REPLACED_MS = 4 * (T + 3 * ROUND_MS) + SessionSettings().retransmit_ms + T // 8 + ROUND_MS
"""Four answers, each just before a timeout has passed, and the first look at the fifth request, sent to all."""
REST_MS = 8 * T
"""How long a replica that called one primary slow takes before it calls another."""


class HardlySlow(SlowPrimary):
    """Lets requests lie for two fifths of the timeout."""

    share = 0.4


class SlowInAll(SlowVoter):
    """Proposes late, and votes late."""

    share = 0.8


class TellsSomeLate(SlowPrimary):
    """Proposes late, and later still to one correct backup; what it says of its own commits comes last.

    Whoever was told in time sees the group take long to agree.
    """

    share = 0.5

    def delay_ms(self, sent: Send) -> int:
        """Hold back what the others wait for."""
        kind, later_ms = sent.envelope.kind, 2 * self.core.status().timeout_ms // 5
        late = kind is Kind.COMMIT or (kind is Kind.PRE_PREPARE and sent.to == self.means.correct[-1])
        return max(super().delay_ms(sent), later_ms) if self.is_in_office and late else super().delay_ms(sent)


def causes(group: Cluster) -> list[Cause]:
    """Return why correct replicas left views, all of them."""
    return [step.cause for i in group.correct for step in group.steps(i, ViewChangeStarted)]


@SIZES
def test_p7_slow_primaries_are_replaced(n: int) -> None:
    """Each f of them in turn, after four late answers each and a rest in between; then all is quick again."""
    group = Cluster(Counter, seed=61, n=n, byzantine=primaries(n, SlowPrimary), settings=SETTINGS)
    load = Load(group, "alice", "bob")
    replaced_ms = sum(max(REPLACED_MS, REST_MS * (view > 0)) + T + ROUND_MS for view in range(faults(n)))

    group.run_until(lambda: group.views() == {faults(n)}, within_ms=replaced_ms)
    assert Cause.SLOW in causes(group)
    assert set(causes(group)) <= {Cause.SLOW, Cause.JOINED}

    group.run(T)
    before = load.answers("alice")
    group.run(T)
    assert load.answers("alice") - before > T // (6 * LONGEST_MS)
    group.finish(*load.stop())
    assert group.views() == {faults(n)}
    assert load.exactly_once()


@SIZES
def test_p7_each_answer_comes_in_time_before_that(n: int) -> None:
    """A slow primary never makes a client wait for longer than a timeout and what a request takes besides."""
    group = Cluster(Counter, seed=62, n=n, byzantine=primaries(n, SlowPrimary), settings=SETTINGS)
    load = Load(group, "alice")
    group.run(REPLACED_MS)
    waits = [later - before for before, later in zip([0, *load.answered_ms], load.answered_ms, strict=False)]
    assert max(waits) <= 2 * T + SessionSettings().retransmit_ms + 6 * ROUND_MS


@SIZES
def test_p7_who_holds_back_its_votes_as_well_is_replaced(n: int) -> None:
    """Late votes of liars delay nobody, since a quorum of correct replicas is enough; late proposals do."""
    group = Cluster(Counter, seed=63, n=n, byzantine=primaries(n, SlowInAll), settings=SETTINGS)
    load = Load(group, "alice", "bob")
    group.run_until(lambda: min(group.views()) >= faults(n), within_ms=60 * T)
    group.finish(*load.stop())
    assert load.exactly_once()


@SIZES
def test_p7_who_tells_some_late_is_replaced(n: int) -> None:
    """It cannot make most of them believe that it is the group that takes so long."""
    group = Cluster(Counter, seed=5, n=n, byzantine=primaries(n, TellsSomeLate), settings=SETTINGS)
    load = Load(group, "alice", "bob", think_ms=20)
    group.run_until(lambda: min(group.views()) >= faults(n), within_ms=40 * T)
    assert Cause.SLOW in causes(group)
    group.finish(*load.stop())
    assert load.exactly_once()


@SIZES
def test_p7_with_the_switch_off_a_slow_primary_stays(n: int) -> None:
    settings = ReplicaSettings(view_timeout_ms=T, replace_slow_primary=False)
    group = Cluster(Counter, seed=64, n=n, byzantine=primaries(n, SlowPrimary), settings=settings)
    load = Load(group, "alice", "bob")
    group.run(60 * T)
    group.finish(*load.stop())
    assert causes(group) == []
    assert group.views() == {0}
    assert load.answers("alice") <= 60 * T // (9 * T // 10)


@SIZES
def test_p7_who_is_hardly_slow_stays(n: int) -> None:
    """A primary may answer within half of the timeout: below that nobody is blamed."""
    group = Cluster(Counter, seed=65, n=n, byzantine=primaries(n, HardlySlow), settings=SETTINGS)
    load = Load(group, "alice", "bob")
    group.run(30 * T)
    group.finish(*load.stop())
    assert causes(group) == []


@SIZES
def test_p7_liars_and_clients_rotate_no_correct_primary(n: int) -> None:
    """f backups that vote late, and clients that ask one backup alone: for fifteen timeouts no correct primary goes."""
    group = Cluster(
        Counter,
        seed=66,
        n=n,
        byzantine=backups(n, SlowVoter),
        clients=("alice", "bob", "mallory", "trudy"),
        colluders=("mallory", "trudy"),
        settings=SETTINGS,
    )
    load = Load(group, "alice", "bob", think_ms=500)
    for name in ("mallory", "trudy"):
        group.let_loose(name, OneBackup)
    group.run(15 * T)
    assert causes(group) == []
    group.finish(*load.stop())
    assert load.exactly_once()


@SIZES
def test_p7_a_network_that_makes_every_primary_slow_makes_no_group_rotate(n: int) -> None:
    """No liar can do this: requests reach any primary late. f+1 of them are tried, then what all need is fine."""
    group = Cluster(Counter, seed=67, n=n, settings=SETTINGS)
    group.network.on(Kind.REQUEST).delay(6 * T // 10)
    load = Load(group, "alice", "bob", think_ms=200)
    group.run(60 * T)
    assert 0 < len(group.views()) == 1
    assert max(group.views()) <= faults(n) + 1
    assert set(causes(group)) <= {Cause.SLOW, Cause.JOINED}
    group.finish(*load.stop())
    assert load.exactly_once()
