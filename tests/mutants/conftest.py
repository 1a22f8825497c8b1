"""Prints at the end of a run which oracle caught which mutant, and after how many seeds."""

from __future__ import annotations

import pytest

from tests.mutants.tally import FATES, told


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table: the sample is fixed, but the seeds needed move with whatever seeds draw."""
    if FATES:
        terminalreporter.write_sep("-", "mutants: mutant, oracle, seeds needed")
        for line in told():
            terminalreporter.write_line(line)
