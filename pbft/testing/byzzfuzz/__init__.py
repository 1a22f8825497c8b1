"""ByzzFuzz: short runs in which a few rounds are faulty, the network parted or one replica's messages mutated.

After Winter, Buse, de Graaf, von Gleissenthall, Kulahcioglu Ozkan: "Randomized Testing of Byzantine Fault Tolerant
Algorithms", OOPSLA 2023. A run is drawn from its number; `Pool.each(report, numbers)` plays many of them.
"""

from pbft.testing.byzzfuzz.playing import Outcome, Report, command, play, report
from pbft.testing.byzzfuzz.rounds import Rounds
from pbft.testing.byzzfuzz.scenario import NetworkFault, ProcessFault, Scenario, Scope, Shape

__all__ = [
    "NetworkFault",
    "Outcome",
    "ProcessFault",
    "Report",
    "Rounds",
    "Scenario",
    "Scope",
    "Shape",
    "command",
    "play",
    "report",
]
