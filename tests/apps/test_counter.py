"""The counter that comes with pbft."""

from __future__ import annotations

import inspect

from hypothesis import given
from hypothesis import strategies as st

from pbft.encoding import MAX_INTEGER
from pbft.machine import Outcome, describe
from pbft_apps import counter
from pbft_apps.counter import Counter
from tests.kiosk import run


@given(st.lists(st.integers(-100, 100)))
def test_it_counts(amounts: list[int]) -> None:
    """Each answer is the sum so far, and reading changes nothing."""
    machine = Counter.create({})
    for number, amount in enumerate(amounts):
        assert run(machine, "add", amount).value == sum(amounts[: number + 1])
    before = machine.digest()
    assert run(machine, "value").value == sum(amounts)
    assert machine.digest() == before


def test_a_total_beyond_64_bits_is_refused_and_changes_nothing() -> None:
    """The machine sees to it; the application need not."""
    machine = Counter.create({})
    run(machine, "add", MAX_INTEGER)

    result = run(machine, "add", 1)

    assert result.outcome is Outcome.FAILED
    assert "beyond 64 bits" in result.value
    assert run(machine, "value").value == MAX_INTEGER


def test_it_is_as_small_as_the_readme_says() -> None:
    """A complete application in about 15 lines, each operation with a line of help."""
    assert len([line for line in inspect.getsource(counter).splitlines() if line.strip()]) <= 18
    assert all(spec.summary for spec in describe(Counter))
