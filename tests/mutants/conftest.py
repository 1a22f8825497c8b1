"""Tells at the end of a run which oracle caught which mutant, and after how many seeds."""

from __future__ import annotations

from tests.mutants.tally import told
from tests.tallies import telling

pytest_terminal_summary = telling("mutants: mutant, oracle, seeds needed", told)
