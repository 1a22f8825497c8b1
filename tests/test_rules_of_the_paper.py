"""The list of the paper's rules: every test of tests/paper is in it, under a section and a sentence of its own."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.paper.rules import NoRule, Rule, Rules

PAPER = Path(__file__).parent / "paper"


def every_rule() -> list[Rule]:
    """Return what the tests of the paper say of themselves."""
    return [
        Rule.of(f"{path.name}::{node.name}", ast.get_docstring(node))
        for path in sorted(PAPER.glob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


def test_every_test_of_the_paper_names_its_rule():
    """No test stands for a rule that another one stands for, and each says it in its own docstring."""
    words = [(rule.section, rule.words) for rule in every_rule()]
    assert len(words) == len(set(words))


def test_every_test_lies_in_the_file_of_its_section():
    """A section's rules are found where its number is: those of 4.5.1 in test_4_5_..., those of 4 in test_4_..."""
    for rule in every_rule():
        major = "_".join(rule.section.split(".")[:2])
        assert rule.test.startswith(f"test_{major}_"), rule.test


@pytest.mark.parametrize("section", ["4", "4.1", "4.2", "4.3", "4.4", "4.5.1", "4.5.2", "4.6"])
def test_every_section_of_the_algorithm_has_rules(section):
    """From the client to non-determinism, nothing of section 4 is left out."""
    assert [rule for rule in every_rule() if rule.section == section]


@pytest.mark.parametrize("docstring", [None, "", "Some words.", "4.2 A rule.", "4.2: No end", "four: A rule."])
def test_a_test_without_a_rule_is_refused(docstring):
    """A docstring that does not begin with a section and a sentence is no rule."""
    with pytest.raises(NoRule, match="test_nothing"):
        Rule.of("test_nothing", docstring)


def test_the_list_shows_sections_in_order_with_tests_and_differences():
    """Each rule comes with its section, its test, how many cases that had, and what we do in another way."""
    rules = Rules()
    later = rules.rule("tests/b.py::test_b", "4.10: Later.\n\n    Why.\n\n    Differs: in\n    a way.\n    ")
    earlier = rules.rule("tests/a.py::test_a", "4.2: Earlier.")
    assert rules.rule("tests/a.py::test_a", "4.2: Earlier.") is earlier
    later.cases, later.failures, earlier.cases = 1, 1, 2
    assert rules.lines() == [
        "4.2   Earlier.",
        "      tests/a.py::test_a (2 cases)",
        "4.10  Later.",
        "      FAILED tests/b.py::test_b",
        "      differs: in a way.",
        "2 rules of 2 sections in 3 cases: 1 broken, 1 kept in a way of our own",
    ]


def test_a_run_without_the_paper_prints_no_list():
    """Where no rule was looked at, there is nothing to print."""
    assert Rules().lines() == []
