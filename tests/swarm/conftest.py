"""Tells at the end of a run how much the swarm has seen."""

from __future__ import annotations

import pytest

from tests.swarm.tally import TALLY


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print seeds and deliveries, with the rate on this machine: a figure to watch, which no test asserts."""
    if TALLY.seeds:
        terminalreporter.write_sep("-", "swarm")
        for line in TALLY.told():
            terminalreporter.write_line(line)
