"""Tells at the end of a run how much the swarm has seen."""

from __future__ import annotations

from tests.swarm.tally import TALLY
from tests.tallies import telling

pytest_terminal_summary = telling("swarm", TALLY.told)
