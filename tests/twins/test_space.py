"""The numbering of scenarios: whole, without doubles, a fair sample wherever one looks, and plain data."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import replace

import pytest

from pbft.testing.twins import CLIENTS, FAMILIES, SPACE, Family, Phase, Scenario
from pbft.testing.twins.space import (
    COMMITTED_MS,
    PREPARED_MS,
    PROPOSED_MS,
    STAYING,
    VIEW_CHANGED_MS,
    anywhere,
    served,
    served_apart,
)

SAMPLE = [SPACE.scenario(number) for number in range(2_000)]

Canonical = tuple[object, ...]


def canonical(scenario: Scenario) -> Canonical:
    """Return what is equal for scenarios that differ in names only, found by trying every renaming.

    The two cores of a replica may change names, and so may replicas that are no primary of views 0 to f and alike:
    all double, or none.
    """
    first = (scenario.n - 1) // 3 + 1
    plain = [i for i in range(first, scenario.n) if i not in scenario.twins]
    double = [i for i in scenario.twins if i >= first]
    found = []
    for backups, twins in itertools.product(itertools.permutations(plain), itertools.permutations(double)):
        names = {str(i): str(i) for i in range(scenario.n)}
        names |= {str(old): str(new) for old, new in zip((*plain, *double), (*backups, *twins), strict=True)}
        for turned in itertools.product((False, True), repeat=len(scenario.twins)):
            cores = dict(names)
            for twin, turn in zip(scenario.twins, turned, strict=True):
                one, other = names[str(twin)], f"{names[str(twin)]}'"
                cores[str(twin)], cores[f"{twin}'"] = (other, one) if turn else (one, other)
            found.append(tuple(_renamed(phase, cores) for phase in scenario.phases))
    return scenario.n, scenario.twins, tuple((phase.lasts_ms, phase.calls) for phase in scenario.phases), min(found)


def _renamed(phase: Phase, names: dict[str, str]) -> tuple[tuple[str, ...], ...]:
    return tuple(sorted(tuple(sorted(names.get(node, node) for node in block)) for block in phase.blocks))


def test_there_are_enough_and_all_are_known_by_number() -> None:
    assert len(SPACE) == sum(map(len, FAMILIES)) >= 50_000
    for number in (-1, len(SPACE)):
        with pytest.raises(IndexError, match=f"there are {len(SPACE)} scenarios, from 0 on"):
            SPACE.scenario(number)
    with pytest.raises(IndexError):
        FAMILIES[0].scenario(len(FAMILIES[0]))


def test_no_two_of_many_are_one_under_other_names() -> None:
    """Two thousand in the order of play."""
    assert len(dict.fromkeys(map(canonical, SAMPLE))) == len(SAMPLE)


def test_a_small_family_is_whole_and_without_doubles() -> None:
    """Every class that any choice of placements falls into is there once: counted by trying every renaming of each."""
    family = Family(4, (0,), ((3,), (3,)), (served_apart, served_apart))
    listed = [canonical(family.scenario(number)) for number in range(len(family))]
    assert len(dict.fromkeys(listed)) == len(listed)

    one = family.scenario(0)
    pairs = itertools.product(*family.placements)
    everything = {
        canonical(
            replace(one, phases=tuple(replace(phase, blocks=blocks(family, placement)) for phase, placement in both))
        )
        for both in (zip(one.phases, pair, strict=True) for pair in pairs)
    }
    assert everything == set(listed)


def blocks(family: Family, placement: tuple[int, ...]) -> tuple[tuple[str, ...], ...]:
    """Spell a placement."""
    return tuple(
        tuple(node for node, place in zip(family.nodes, placement, strict=True) if place == wanted)
        for wanted in range(max(placement) + 1)
    )


def test_neighbours_in_a_family_differ() -> None:
    """A stretch of a family as it is numbered, not as it is played: all different there, too."""
    for family in FAMILIES:
        stretch = [canonical(family.scenario(number)) for number in range(100)]
        assert len(dict.fromkeys(stretch)) == len(stretch)


def test_every_stretch_is_a_fair_sample() -> None:
    """Each family has its share of the first two thousand, to a quarter or so."""
    drawn = Counter((each.n, each.twins, len(each.phases)) for each in SAMPLE)
    for family in FAMILIES:
        share = len(SAMPLE) * len(family) / len(SPACE)
        assert abs(drawn[family.n, family.twins, len(family.times_ms)] - share) <= 3 * math.sqrt(share)
    assert sum(each.stays for each in SAMPLE) == len(SAMPLE) // STAYING


def test_all_there_is_comes_up() -> None:
    """Twins that are the first primary, the second and a backup, at n=4; f of them at n=7; one to three blocks."""
    assert {each.twins for each in SAMPLE if each.n == 4} == {(0,), (1,), (3,)}
    assert {each.twins for each in SAMPLE if each.n == 7} == {(0, 1), (0, 6), (5, 6)}
    phases = [phase for each in SAMPLE for phase in each.phases]
    assert {len(phase.blocks) for phase in phases} == {1, 2, 3}
    assert {phase.lasts_ms for phase in phases} == {PROPOSED_MS, PREPARED_MS, COMMITTED_MS, VIEW_CHANGED_MS}
    # Two clients' requests arrive in one block or in two.
    apart = [sum(any(name in block for name in CLIENTS) for block in each.phases[0].blocks) for each in SAMPLE]
    assert set(apart) == {1, 2}


def test_three_blocks_are_all_partitions_of_five_nodes() -> None:
    """S(5,1) + S(5,2) + S(5,3) ways to part five cores, each client in one of the blocks."""
    family = Family(4, (0,), ((3,), (3,)), (served, anywhere))
    placed = dict.fromkeys(placement[:5] for placement in family.placements[1])
    assert len(placed) == 1 + 15 + 25
    assert len(family.placements[1]) == 1 + 15 * 2**2 + 25 * 3**2


def test_a_scenario_reads_back() -> None:
    names = {"Scenario": Scenario, "Phase": Phase}
    assert [eval(repr(each), names) for each in SAMPLE[:200]] == SAMPLE[:200]


def test_a_scenario_is_told_a_line_each() -> None:
    phase = Phase(3, (("0", "1", "alice", "bob"), ("2", "0'", "3")), ("alice",))
    assert Scenario(4, (0,), (phase,)).told() == [
        "n=4, replica 0 is double",
        "3 ms 0 1 alice bob | 2 0' 3, alice call",
        "healed, without who was double",
    ]


@pytest.mark.parametrize(
    ("phase", "sentence"),
    [
        (Phase(3, (("0", "1", "alice", "bob"), ("2", "3"))), "every one of 0, 1, 2, 3, 0', alice, bob stands in one"),
        (Phase(0, (("0", "1", "2", "3", "0'", "alice", "bob"),)), "a phase lasts at least 1 ms"),
        (Phase(3, (("0", "1", "2", "3", "0'", "alice", "bob"),), ("carol",)), "alice and bob may call"),
    ],
)
def test_a_scenario_that_cannot_be_is_refused(phase: Phase, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Scenario(4, (0,), (phase,))
