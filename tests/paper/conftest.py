"""Tells at the end of a run which rules of the paper were looked at, and by which tests."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.paper.rules import Rule, Rules

RULE = pytest.StashKey[Rule]()
RULES = Rules()


@pytest.fixture(autouse=True)
def _rule(request: pytest.FixtureRequest) -> None:
    """Read the rule that a test is about; a test without one fails."""
    test = request.node.nodeid.partition("[")[0]
    request.node.stash[RULE] = RULES.rule(test, request.function.__doc__)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note how each test in this folder went."""
    report = yield
    rule = item.stash.get(RULE, None)
    if rule is not None:
        rule.cases += call.when == "call"
        rule.failures += report.failed
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the list: section, rule, test."""
    if lines := RULES.lines():
        terminalreporter.write_sep("-", "OSDI'99, rule by rule")
        for line in lines:
            terminalreporter.write_line(line)
