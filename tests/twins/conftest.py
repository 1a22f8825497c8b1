"""Tells at the end of a run how many scenarios of twins it has seen."""

from __future__ import annotations

from tests.tallies import telling
from tests.twins.tally import TALLY

pytest_terminal_summary = telling("twins", TALLY.told)
