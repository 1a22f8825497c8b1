"""The catalogue of faults and attacks: each row has a test that bears its name, for groups of four and of seven.

And how many tests have a lying replica in them, counted in their source.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pbft.testing import byzantine

TESTS = Path(__file__).resolve().parent
ROWS = [
    *(f"n{number}" for number in range(1, 5)),
    *(f"p{number}" for number in range(1, 10)),
    *(f"r{number}" for number in range(1, 9)),
    *(f"t{number}" for number in range(1, 4)),
    *(f"k{number}" for number in range(1, 4)),
    *("x1", "x2", "y1", "y2"),
]
"""What networks, replicas and clients do wrong, alone, together, and too many of them."""
LIARS = {
    name
    for name, kind in vars(byzantine).items()
    if isinstance(kind, type) and issubclass(kind, byzantine.Adversary) and kind is not byzantine.Adversary
}
LYING_TESTS = 60
"""As many tests at least must have a lying replica in them."""


def functions(path: Path) -> dict[str, ast.FunctionDef]:
    """Return the functions of a module by name."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def sized_tests() -> Iterator[str]:
    """Return the names of all tests that run for both sizes."""
    for path in sorted([*(TESTS / "scenarios").glob("test_*.py"), *(TESTS / "twins").glob("test_*.py")]):
        for name, function in functions(path).items():
            if any(isinstance(each, ast.Name) and each.id == "SIZES" for each in function.decorator_list):
                yield name


def words(node: ast.AST) -> set[str]:
    """Return every name and keyword that a piece of source speaks of."""
    found = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    return found | {str(each.arg) for each in ast.walk(node) if isinstance(each, ast.keyword)}


def with_a_liar() -> list[str]:
    """Return the tests that name a misbehaviour or make a replica byzantine, themselves or in what they call."""
    found = []
    for path in sorted(TESTS.rglob("test_*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        pieces = {
            node.name: words(node)
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        }
        lying = {name for name, said in pieces.items() if said & LIARS or "byzantine" in said}
        while more := {name for name, said in pieces.items() if said & lying} - lying:
            lying |= more
        found += [f"{path.relative_to(TESTS)}::{name}" for name in pieces if name in lying and name.startswith("test_")]
    return found


@pytest.mark.parametrize("row", ROWS)
def test_every_row_has_its_named_test_for_four_and_for_seven(row: str) -> None:
    """Whoever reads the catalogue finds the test by the row's name."""
    assert [name for name in sized_tests() if re.match(rf"test_{row}_", name)]


def test_many_tests_have_a_lying_replica() -> None:
    """A test that runs for many sizes, kinds and seeds counts once."""
    lying = with_a_liar()
    print(f"{len(lying)} tests have a lying replica in them")
    assert len(lying) >= LYING_TESTS


def test_the_count_knows_a_test_with_a_liar_from_one_without() -> None:
    """It finds the liar in what a test calls, and none where there is none."""
    lying = with_a_liar()
    assert "scenarios/test_byzantine_backups.py::test_r1_silent_backups_are_not_missed" in lying
    assert "scenarios/test_byzantine_sources.py::test_r7_wrong_nodes_are_refused_and_others_asked" in lying
    assert "scenarios/test_faults.py::test_crashed_backups_are_not_missed" not in lying
    assert "test_table.py" not in " ".join(lying)
