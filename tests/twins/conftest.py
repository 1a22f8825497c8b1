"""Tells at the end of a run how many scenarios of twins it has seen."""

from __future__ import annotations

import pytest

from tests.twins.tally import TALLY


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print scenarios and deliveries, with the rate on this machine: a figure to watch, which no test asserts."""
    if TALLY.scenarios:
        terminalreporter.write_sep("-", "twins")
        for line in TALLY.told():
            terminalreporter.write_line(line)
