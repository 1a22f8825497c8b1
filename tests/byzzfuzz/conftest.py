"""Tells at the end of a run how many ByzzFuzz runs there were."""

from __future__ import annotations

import pytest

from tests.byzzfuzz.tally import TALLY


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print runs, time and violations: a figure to watch, which no test asserts."""
    if TALLY.runs:
        terminalreporter.write_sep("-", "byzzfuzz")
        for line in TALLY.told():
            terminalreporter.write_line(line)
