"""The swarm: whole runs drawn from seeds, each another group, workload, network and mix of faults.

Every run heals at last and has to make progress then. No seed is ever skipped.
"""

from pbft.testing.swarm.draws import ADVERSARIES
from pbft.testing.swarm.plan import Plan, Program
from pbft.testing.swarm.playing import PLANTS, Outcome, Report, play, report, run
from pbft.testing.swarm.pool import Pool
from pbft.testing.swarm.workloads import WORKLOADS, Workload

__all__ = [
    "ADVERSARIES",
    "PLANTS",
    "WORKLOADS",
    "Outcome",
    "Plan",
    "Pool",
    "Program",
    "Report",
    "Workload",
    "play",
    "report",
    "run",
]
