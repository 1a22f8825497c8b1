"""Tells at the end of a run how many ByzzFuzz runs there were."""

from __future__ import annotations

from tests.byzzfuzz.tally import TALLY
from tests.tallies import telling

pytest_terminal_summary = telling("byzzfuzz", TALLY.told)
