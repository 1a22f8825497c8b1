"""A kit that finds nothing proves nothing: wrong quorums, and one twin too many, are seen to break agreement."""

from __future__ import annotations

import pytest

from pbft.testing.oracles import OracleFailure
from pbft.testing.twins import SPACE, Family, Space, play
from pbft.testing.twins.space import COMMITTED_MS, VIEW_CHANGED_MS, served_apart, two_worlds
from tests.scenarios.test_quorums import one_short

TIMES = ((COMMITTED_MS,), (VIEW_CHANGED_MS,))

FOUR = Space(Family(4, (0, 1), TIMES, (served_apart, served_apart)))
SEVEN = Space(Family(7, (0, 1, 2), TIMES, (two_worlds, two_worlds)))


def fired(space: Space, number: int, *counts: str) -> str:
    """Play a scenario with some quorums one short, and say which oracle fires. The one of certificates is left out."""
    scenario = space.scenario(number)
    try:
        if counts:
            play(scenario, quorums=one_short(scenario.n, *counts), without_oracles=("O6",))
        else:
            play(scenario)
    except OracleFailure as failure:
        return failure.oracle
    return ""


@pytest.mark.parametrize(("counts", "oracles"), [(("prepared", "committed"), {"O1"}), (("prepared",), {"O1", "O7"})])
def test_a_quorum_one_short_breaks_agreement(counts: tuple[str, ...], oracles: set[str]) -> None:
    """Within three hundred scenarios two batches commit at one sequence, or one that committed is forgotten."""
    assert any(fired(SPACE, number, *counts) in oracles for number in range(300))


def test_a_short_quorum_is_found_by_its_certificates_at_once() -> None:
    """With all oracles at work, nobody gets as far as to disagree."""
    scenario = SPACE.scenario(0)
    with pytest.raises(OracleFailure) as found:
        play(scenario, quorums=one_short(scenario.n, "prepared"))
    assert found.value.oracle == "O6"


@pytest.mark.parametrize("space", [FOUR, SEVEN], ids=["n4", "n7"])
def test_f_plus_one_twins_break_agreement(space: Space) -> None:
    """Nothing is promised with more than f, and agreement is seen to break though every quorum is true (Y2)."""
    assert any(fired(space, number) == "O1" for number in range(200))
