"""The simulated network does what tests ask of it, by chance or by name, and nothing else."""

from __future__ import annotations

import random

import pytest

from pbft.core.envelope import Envelope, Kind
from pbft.testing import network as networks
from pbft.testing.network import EventQueue, Network

PREPARE = Envelope(Kind.PREPARE, 3, b"body", bytes(64))
COMMIT = Envelope(Kind.COMMIT, 3, b"body", bytes(64))


def quiet(delay_ms: tuple[int, int] = (5, 5)) -> Network:
    return Network(random.Random(1), delay_ms=delay_ms)


def passes(network: Network, src: int | str, dst: int | str, envelope: Envelope = PREPARE) -> bool:
    return bool(network.delays(src, dst, envelope))


def test_events_come_by_time_and_then_as_planned() -> None:
    """Within a millisecond the order of planning decides, so no run depends on what events look like."""
    queue: EventQueue[str] = EventQueue()
    for at_ms, event in ((7, "late"), (3, "first"), (3, "second"), (5, "third")):
        queue.plan(at_ms, event)

    assert queue.next_ms == 3
    assert queue.due(2) == []
    assert queue.due(5) == ["first", "second", "third"]
    assert (len(queue), queue.next_ms) == (1, 7)
    assert queue.due(7) == ["late"]
    assert queue.next_ms is None


def test_a_queue_that_only_grows_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays bounded: whoever plans without end is told so."""
    monkeypatch.setattr(networks, "MAX_PENDING", 3)
    queue: EventQueue[str] = EventQueue()
    for at_ms in range(3):
        queue.plan(at_ms, "event")
    with pytest.raises(OverflowError, match="more than 3 events"):
        queue.plan(3, "event")


def test_one_seed_gives_one_fate() -> None:
    """Two networks of one seed treat everything alike; another seed does not."""

    def fates(seed: int) -> list[list[int]]:
        network = Network(random.Random(seed), loss=0.3, duplicate=0.3, reorder=0.3, delay_ms=(1, 50))
        return [network.delays(0, 1, PREPARE) for _ in range(100)]

    assert fates(1) == fates(1)
    assert fates(1) != fates(2)


def test_shares_are_kept() -> None:
    """Of ten thousand, about a fifth are lost, and of the rest about three in ten doubled, each within its delay."""
    network = Network(random.Random(3), loss=0.2, duplicate=0.3, delay_ms=(2, 9))
    fates = [network.delays(0, 1, PREPARE) for _ in range(10_000)]
    assert 1_800 < sum(1 for fate in fates if not fate) < 2_200
    assert 2_200 < sum(1 for fate in fates if len(fate) == 2) < 2_600
    assert sorted(dict.fromkeys(delay for fate in fates for delay in fate)) == list(range(2, 10))


def test_reordered_envelopes_wait_longer() -> None:
    """About a tenth come after the greatest delay, and none later than six times that."""
    network = Network(random.Random(3), reorder=0.1, delay_ms=(1, 10))
    delays = [delay for _ in range(10_000) for delay in network.delays(0, 1, PREPARE)]
    assert 700 < sum(1 for delay in delays if delay > 10) < 1_100
    assert max(delays) <= 60


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_is_between_none_and_all(share: float) -> None:
    chance = random.Random(1)
    for make in (
        lambda: Network(chance, loss=share),
        lambda: Network(chance, duplicate=share),
        lambda: Network(chance, reorder=share),
    ):
        with pytest.raises(ValueError, match=f"from 0 up to but not including 1, not {share}"):
            make()


@pytest.mark.parametrize("delay_ms", [(0, 5), (5, 4)])
def test_a_delay_is_at_least_a_millisecond(delay_ms: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least 1 ms"):
        Network(random.Random(1), delay_ms=delay_ms)


def test_cuts_and_heals() -> None:
    """A cut works both ways, a one-way cut one way, an isolation on every link, a split between its sides only."""
    network = quiet()
    network.cut(0, 1)
    network.cut_one_way(2, 3)
    assert not passes(network, 0, 1)
    assert not passes(network, 1, 0)
    assert not passes(network, 2, 3)
    assert passes(network, 3, 2)

    network.heal()
    network.isolate(2)
    assert not passes(network, 2, "alice")
    assert not passes(network, "alice", 2)
    assert passes(network, "alice", 1)

    network.heal()
    network.split((0, 1), (2,), (3, "alice"))
    assert passes(network, 0, 1)
    assert passes(network, 3, "alice")
    assert not passes(network, 1, 2)
    assert not passes(network, "alice", 2)
    assert passes(network, "bob", 2)

    network.heal()
    assert passes(network, 1, 2)


def test_what_was_done_twice_is_taken_back_twice() -> None:
    """Faults overlap: one that ends mends its own cut and leaves the other's."""
    network = quiet()
    for _ in range(2):
        network.cut(0, 1)
        network.isolate(2)
        network.split((0, 3), (4,))
    network.mend(0, 1)
    network.rejoin(2)
    network.unite((0, 3), (4,))
    assert not passes(network, 0, 1)
    assert not passes(network, 1, 0)
    assert not passes(network, 2, 3)
    assert not passes(network, 3, 4)

    network.mend_one_way(0, 1)
    assert passes(network, 0, 1)
    assert not passes(network, 1, 0)
    network.rejoin(2)
    network.unite((0, 3), (4,))
    assert passes(network, 2, 3)
    assert passes(network, 3, 4)


def test_what_ends_after_all_was_healed_does_nothing() -> None:
    """A fault whose end comes late must not leave a debt behind, by which the next cut would not cut."""
    network = quiet()
    network.cut(0, 1)
    network.isolate(2)
    network.heal()
    network.mend(0, 1)
    network.rejoin(2)
    network.cut(0, 1)
    network.isolate(2)
    assert not passes(network, 0, 1)
    assert not passes(network, 2, 3)


def test_exponential_delays_are_mostly_short() -> None:
    """Half of them lie in the lowest tenth, a few far beyond the middle, none outside."""
    network = Network(random.Random(1), delay_ms=(1, 1_000), spread="exponential")
    delays = [network.delays(0, 1, PREPARE)[0] for _ in range(10_000)]
    assert 4_700 < sum(1 for delay in delays if delay <= 100) < 5_300
    assert 100 < sum(1 for delay in delays if delay > 500) < 600
    assert min(delays) >= 1
    assert max(delays) <= 1_000
    with pytest.raises(ValueError, match="'even' or 'exponential', not 'normal'"):
        Network(random.Random(1), spread="normal")  # type: ignore[arg-type]


def test_the_longest_way_counts_slow_links_and_disorder() -> None:
    """The bound on recovery rests on it: what is not lost arrives by then."""
    network = Network(random.Random(1), reorder=0.5, delay_ms=(1, 10))
    assert network.longest_ms == 60
    assert max(delay for _ in range(1_000) for delay in network.delays(0, 1, PREPARE)) <= 60
    network.calm()
    assert network.longest_ms == 10
    network.slow(0, 1, (5, 200))
    assert network.longest_ms == 200
    network.hasten(0, 1)
    assert network.longest_ms == 10


def test_rules_read_as_they_work() -> None:
    """For prepares from 3 to 1: drop. Everything else passes, before as after the rule is stopped."""
    network = quiet()
    rule = network.on(Kind.PREPARE, src=3, dst=1).drop()
    assert not passes(network, 3, 1)
    assert passes(network, 3, 1, COMMIT)
    assert passes(network, 3, 2)
    assert passes(network, 2, 1)
    assert rule.met == 1

    rule.stop()
    assert passes(network, 3, 1)


def test_rules_count_delay_double_and_look_inside() -> None:
    """The first two lost; all of one link later; those to several addresses doubled; those that say something lost."""
    network = quiet()
    network.on(Kind.PREPARE, dst=1).drop(first=2)
    assert [passes(network, 3, 1) for _ in range(4)] == [False, False, True, True]

    network.heal()
    network.on(src=3, dst=(1, "alice")).delay(100)
    assert network.delays(3, 1, PREPARE) == [105]
    assert network.delays(3, "alice", PREPARE) == [105]

    network.heal()
    network.on(dst=(1, 2)).duplicate(3)
    assert network.delays(3, 2, PREPARE) == [5, 5, 5]

    network.heal()
    network.on(where=lambda envelope: envelope.body == b"body").drop()
    assert not passes(network, 3, 1)
    assert passes(network, 3, 1, Envelope(Kind.PREPARE, 3, b"other", bytes(64)))


def test_the_first_rule_met_wins_and_one_without_a_verb_does_nothing() -> None:
    network = quiet()
    network.on(Kind.PREPARE)
    network.on(Kind.PREPARE).delay(10)
    network.on().drop()
    assert network.delays(3, 1, PREPARE) == [15]
    assert network.delays(3, 1, COMMIT) == []


def test_rules_are_bounded() -> None:
    """A test that adds rules in a loop is told to heal first."""
    network = quiet()
    for _ in range(networks.MAX_RULES):
        network.on().drop()
    with pytest.raises(OverflowError, match="heal"):
        network.on()


def test_a_slow_link_is_slow_in_one_direction_until_healed() -> None:
    network = quiet()
    network.slow(0, 1, (200, 200))
    assert network.delays(0, 1, PREPARE) == [200]
    assert network.delays(1, 0, PREPARE) == [5]
    network.heal()
    assert network.delays(0, 1, PREPARE) == [5]


def test_calm_ends_what_chance_does() -> None:
    network = Network(random.Random(1), loss=0.9, duplicate=0.9, reorder=0.9, delay_ms=(5, 5))
    network.calm()
    assert all(network.delays(0, 1, PREPARE) == [5] for _ in range(100))
