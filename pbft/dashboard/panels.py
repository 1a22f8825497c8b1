"""What the panels show of a group: why it is stuck or slow, and what its replicas can prove.

Owns: the latest account of each replica, as long as that stands for it, and the look of findings. What they amount to
is judged in `pbft.lab.diagnosis` and `pbft.core.evidence`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

from rich.text import Text

from pbft.console.outcome import Failure
from pbft.console.proofs import judge_evidence, kept_evidence, sum_up
from pbft.console.text import clean
from pbft.core.evidence import CAUTION, Finding
from pbft.group_file import GroupFile
from pbft.wording import listing

_STYLES: Final = {"fine": "green", "slow": "yellow", "stuck": "bold yellow", "unsafe": "bold red"}
_MOST_FILES: Final = 2_048
_MOST_ACTS: Final = 100


class Accounts:
    """What each replica said last of itself, and the keeper of the lab."""

    def __init__(self, files: GroupFile) -> None:
        self._n = files.group.n
        self.reports: dict[int, Mapping[str, Any] | None] = {}
        self.state: Mapping[str, Any] | None = None

    def note(self, event: Mapping[str, Any]) -> None:
        """Take one event of the stream; what is no account of a replica of this group is passed over."""
        replica = event.get("replica")
        match event.get("event"):
            case "lab" if isinstance(event.get("state"), Mapping):
                self.state = event["state"]
            case "gone" if replica is None:
                self.state = None
            case "counters" if type(replica) is int and 0 <= replica < self._n:
                report = event.get("report")
                if isinstance(report, Mapping) and report.get("id") == replica:
                    self.reports[replica] = report
            case "gone" if type(replica) is int:
                self.reports.pop(replica, None)
            case _:
                pass


def explain(files: GroupFile, accounts: Accounts) -> list[Text]:
    """Return why the group is stuck or slow, the worst first, and what to do."""
    from pbft.lab.diagnosis import diagnose
    from pbft.lab.state import LabState
    from pbft.lab.survey import judge

    try:
        state = None if accounts.state is None else LabState.from_json(accounts.state)
    except ValueError:
        # Whoever listens there is no keeper of ours.
        state = None
    lines = []
    for finding in diagnose(files, judge(files, accounts.reports), state):
        lines.append(Text().append("• ", _STYLES[finding.severity.value]).append(clean(finding.sentence)))
        if finding.advice:
            lines.append(Text("    → ", "cyan").append(clean(finding.advice), "cyan"))
    return lines


class Proofs:
    """What the replicas whose data lies here can prove against others; each file is judged once."""

    def __init__(self, files: GroupFile) -> None:
        self._files = files
        self._judged: dict[tuple[Path, int, int], Finding | str] = {}

    def look(self) -> list[Text]:
        """Return who is proven guilty of what, and who keeps the proof. Reads files and checks signatures."""
        judged = [(path, self._judge(path)) for path in islice(kept_evidence(self._files), _MOST_FILES)]
        if not judged:
            return [
                Text("No replica keeps evidence here: none has signed two things that contradict each other."),
                Text("F8 makes the selected replica do so; send some requests then.", "bright_black"),
            ]
        proven = sum_up((path, each) for path, each in judged if not isinstance(each, str))
        lines = []
        for each in proven[:_MOST_ACTS]:
            keepers = f"  kept by {listing(each.keepers)}"
            lines.append(Text("• ", "bold red").append(clean(each.act), "default").append(keepers, "bright_black"))
        lines += [Text(each) for each in dict.fromkeys(each for _, each in judged if isinstance(each, str))]
        if proven:
            check = f"Check one without asking anybody: pbft evidence verify {clean(str(proven[0].newest))}"
            lines += [Text(), Text(CAUTION), Text(check)]
        return lines

    def _judge(self, path: Path) -> Finding | str:
        """Return what a file proves, or why it proves nothing, cleaned."""
        try:
            found = path.stat()
            key = (path, found.st_mtime_ns, found.st_size)
            if key not in self._judged:
                self._judged[key] = judge_evidence(path, self._files)
            return self._judged[key]
        except (Failure, OSError) as error:
            return clean(str(error))
