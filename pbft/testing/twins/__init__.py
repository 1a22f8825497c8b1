"""Twins: a faulty replica as two correct ones under the same keys, and every way to part a group around it.

After Bano et al., "Twins: BFT Systems Made Robust" (OPODIS 2021): scenarios are enumerated, not drawn. Each is a few
phases in which only those talk that stand in one block; then the group heals, and has to make progress.
"""

from pbft.testing.twins.playing import Outcome, Report, play, report
from pbft.testing.twins.scenario import CLIENTS, Phase, Scenario
from pbft.testing.twins.space import FAMILIES, SPACE, Family, Space

__all__ = [
    "CLIENTS",
    "FAMILIES",
    "SPACE",
    "Family",
    "Outcome",
    "Phase",
    "Report",
    "Scenario",
    "Space",
    "play",
    "report",
]
