"""The swarm: whole runs drawn from seeds, each another group, workload, network and mix of faults.

Every run heals at last and has to make progress then. No seed is ever skipped.
"""

from pbft.testing.swarm.keeping import keep, replay_command, smallest
from pbft.testing.swarm.liars import adversary
from pbft.testing.swarm.outcome import Outcome
from pbft.testing.swarm.plan import Plan, PlanError
from pbft.testing.swarm.plan_file import PlanFileError, dump_plan, load_plan, read_plan, write_plan
from pbft.testing.swarm.playing import play
from pbft.testing.swarm.pool import Pool
from pbft.testing.swarm.programs import Program
from pbft.testing.swarm.reports import Report, command, report, report_plan, run
from pbft.testing.swarm.shrinking import Shrunk, shrink
from pbft.testing.swarm.staged import STAGES
from pbft.testing.swarm.workloads import WORKLOADS, Workload

__all__ = [
    "STAGES",
    "WORKLOADS",
    "Outcome",
    "Plan",
    "PlanError",
    "PlanFileError",
    "Pool",
    "Program",
    "Report",
    "Shrunk",
    "Workload",
    "adversary",
    "command",
    "dump_plan",
    "keep",
    "load_plan",
    "play",
    "read_plan",
    "replay_command",
    "report",
    "report_plan",
    "run",
    "shrink",
    "smallest",
    "write_plan",
]
