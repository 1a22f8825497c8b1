"""The check of an application: its source read, its operations tried in several processes, its groups under faults.

Owns: the order of the stages, what each is given, and the report. What a stage does is its own module's matter.
"""

from __future__ import annotations

import importlib.util
import json
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pbft.conformance.scripts import script, write_script
from pbft.conformance.source import SourceWarning, scan
from pbft.conformance.subject import Subject
from pbft.conformance.telling import (
    NO_PROOF,
    faults_as_json,
    source_as_json,
    tell_faults,
    tell_source,
    tell_warnings,
    tell_worlds,
    worlds_as_json,
)
from pbft.console.text import to_json
from pbft.encoding import Plain
from pbft.errors import PbftError
from pbft.lab.making import ISSUER_PARAMETER, with_issuer
from pbft.loading import CLIENTS_PARAMETER, create_application, parse_parameters
from pbft.machine import describe_parameters
from pbft.wording import count

if TYPE_CHECKING:
    from pbft.conformance.faults import FaultsReport
    from pbft.conformance.hunting import Found, Hunt

Stage = Literal["source", "worlds", "faults"]

STAGES: Final[tuple[Stage, ...]] = ("source", "worlds", "faults")
CLIENTS: Final = ("alice", "bob", "carol")
EXAMPLES: Final = 80
LONGEST: Final = 40
FAULTS: Final = range(20)
_REHEARSAL: Final = 12
"""Sequences by which calls are found that groups can be asked for, where nothing else was to be found."""

Told = Callable[[Sequence[str]], None]
"""Hears the lines of each stage when it has ended."""
Moved = Callable[[str], None]
"""Hears in a few words how far a stage is."""


class CheckError(PbftError):
    """A check that cannot be made as asked. The message is one sentence that says what to do."""


@dataclass(frozen=True)
class Report:
    """What a check came to: each stage's result, None for one that was not run."""

    subject: Subject
    seed: int
    stages: tuple[Stage, ...]
    """Those that were asked for."""
    source: tuple[SourceWarning, ...] | None = None
    worlds: Hunt | None = None
    faults: FaultsReport | None = None
    saved: Path | None = None
    """Where the script lies that shows the finding again."""
    unsaved: str = ""
    """Why it lies nowhere, though it was asked for."""

    @property
    def found(self) -> Found | None:
        """The least sequence that shows a fault in different processes, if there is one."""
        return None if self.worlds is None else self.worlds.found

    @property
    def ok(self) -> bool:
        """Whether nothing was found. Warnings alone are no finding."""
        return self.found is None and (self.faults is None or self.faults.ok)

    @property
    def script(self) -> str:
        """A script that shows the finding again, for a file in the working directory; empty where there is none."""
        return script(self.subject, self.found.case, self.seed, Path("check.py")) if self.found else ""

    @property
    def lines(self) -> list[str]:
        """All that the command prints."""
        return [*(line for stage in self.stages for line in self.lines_of(stage)), *self.last_lines]

    def lines_of(self, stage: Stage) -> list[str]:
        """Return what is printed of one stage."""
        if stage == "source":
            return [] if self.source is None else tell_source(self.source)
        if stage == "worlds":
            if self.worlds is None:
                return []
            return [*tell_worlds(self.worlds, self.source or ()), *self._told_script(), *tell_warnings(self.worlds)]
        if self.faults is not None:
            return tell_faults(self.faults)
        if self.found is not None:
            return ["faults    not run: mend first what was found, they would only show it again"]
        return ["faults    not run: no operation was accepted, so that clients have nothing to ask for"]

    @property
    def last_lines(self) -> list[str]:
        """What is printed at the end: that passing is no proof."""
        return [NO_PROOF] if self.ok else []

    def _told_script(self) -> list[str]:
        if self.saved is not None:
            return [f"  python {shlex.quote(str(self.saved))} shows it again"]
        return [f"  no script was written: {self.unsaved}"] if self.unsaved else []

    def to_json(self) -> dict[str, Any]:
        """Return all of it as data."""
        return {
            "application": self.subject.spec,
            "parameters": to_json(dict(self.subject.parameters)),
            "seed": self.seed,
            "ok": self.ok,
            "source": None if self.source is None else source_as_json(self.source),
            "worlds": None if self.worlds is None else worlds_as_json(self.worlds),
            "faults": None if self.faults is None else faults_as_json(self.faults),
            "script": str(self.saved) if self.saved else None,
        }

    def raise_for_findings(self) -> None:
        """Raise AssertionError where anything was found, with all that the command would print, and the script."""
        if self.ok:
            return
        lines = [f"{self.subject.name} does not pass its check", *self.lines]
        if self.script and self.saved is None:
            lines += ["  this script shows it again:", "", *self.script.splitlines()]
        raise AssertionError("\n".join(lines))


def check(
    application: Any,
    parameters: Mapping[str, Plain] | None = None,
    *,
    clients: Sequence[str] = CLIENTS,
    seed: int = 0,
    examples: int = EXAMPLES,
    longest: int = LONGEST,
    faults: Sequence[int] = FAULTS,
    only: Collection[Stage] = STAGES,
    save: Path | None = None,
    told: Told | None = None,
    moved: Moved | None = None,
) -> Report:
    """Check an application and return what was found: `check(Auction).raise_for_findings()` in a test.

    `application` is a class, `path.py:Class`, `module:Class` or a registered name. Parameters named `clients` and
    `issuer` are filled as `pbft init` does. `examples` sequences of at most `longest` operations are drawn, always the
    same for a `seed`; `faults` are the seeds of the groups in the simulator. With `save`, a script that shows a finding
    again is written into that folder. Raises CheckError, AppError or HookError where there is nothing to check.
    """
    check_installed()
    if not clients or examples < 1 or longest < 1:
        raise CheckError("a check takes one client, one sequence and one operation at least")
    subject = Subject.of(application, parameters)
    cls = subject.load()
    subject = Subject(subject.spec, filled(cls, subject.parameters, clients))
    move = moved or _nobody
    command = _command(application if isinstance(application, str) else subject.spec, parameters or {}, clients)
    command += f" --seed {seed}" if seed else ""
    # What groups are asked for was found in the worlds: the same again only where these are the same.
    command += f" --examples {examples}" if examples != EXAMPLES and "worlds" in only else ""
    command += "" if "worlds" in only else " --only faults"
    report = Report(subject, seed, tuple(each for each in STAGES if each in only))
    for stage in report.stages:
        if stage == "source":
            report = replace(report, source=tuple(scan(cls)))
        elif stage == "worlds":
            hunt = _hunt(subject, clients, seed, examples, longest, move)
            report = _save(replace(report, worlds=hunt), save)
        elif report.found is None and faults:
            report = replace(report, faults=_run_faults(subject, clients, seed, faults, report.worlds, command, move))
        (told or _nobody)(report.lines_of(stage))
    return report


def check_installed() -> None:
    """Raise CheckError unless the packages are here that a check needs and pbft does without."""
    for name in ("hypothesis", "time_machine"):
        if importlib.util.find_spec(name) is None:
            raise CheckError(
                f"a check needs {name.replace('_', '-')}, which is not installed: pip install 'pbft[test]'"
            )


def filled(cls: type, parameters: Mapping[str, Plain], clients: Sequence[str]) -> dict[str, Plain]:
    """Return parameters with those of the group's clients, as a group is made with; checked by making an application.

    Raises AppError for parameters that do not fit or are missing.
    """
    known = {each.name for each in describe_parameters(cls)}
    ours = {ISSUER_PARAMETER: clients[0], CLIENTS_PARAMETER: tuple(clients)}
    found = {**{name: value for name, value in ours.items() if name in known}, **parameters}
    create_application(cls, found)
    return found


def read_parameters(cls: type, words: Mapping[str, str], clients: Sequence[str]) -> dict[str, Plain]:
    """Return the parameters that `--set name=word` means, filled as `filled` does. Raises AppError."""
    return parse_parameters(cls, with_issuer(cls, words, clients), clients)


def _save(report: Report, folder: Path | None) -> Report:
    if folder is None or report.found is None:
        return report
    try:
        return replace(report, saved=write_script(report.subject, report.found.case, report.seed, folder))
    except OSError as error:
        return replace(report, unsaved=f"{error.filename or folder}: {(error.strerror or str(error)).lower()}")


def _hunt(
    subject: Subject,
    clients: Sequence[str],
    seed: int,
    examples: int,
    longest: int,
    move: Moved,
    rehearse: bool = False,
) -> Hunt:
    # Imported here: `replay` does without hypothesis.
    from pbft.conformance.hunting import hunt

    def told(sequences: int, operations: int) -> None:
        move(f"worlds, {count(sequences, 'sequence')} tried, {operations:,} operations")

    return hunt(subject, clients, seed=seed, examples=examples, longest=longest, rehearsal=rehearse, told=told)


def _command(application: str, parameters: Mapping[str, Plain], clients: Sequence[str]) -> str:
    """Return the words that check this application, with these parameters and clients."""
    words = ["pbft check", shlex.quote(application)]
    for name, value in parameters.items():
        if (name, value) not in ((CLIENTS_PARAMETER, tuple(clients)), (ISSUER_PARAMETER, clients[0])):
            word = value if isinstance(value, str) else json.dumps(to_json(value))
            words.append(f"--set {shlex.quote(f'{name}={word}')}")
    if tuple(clients) != CLIENTS:
        words += [f"--client {each}" for each in clients]
    return " ".join(words)


def _run_faults(
    subject: Subject,
    clients: Sequence[str],
    seed: int,
    seeds: Sequence[int],
    before: Hunt | None,
    command: str,
    move: Moved,
) -> FaultsReport | None:
    from pbft.conformance.faults import run_under_faults

    if before is None:
        before = _hunt(subject, clients, seed, _REHEARSAL, LONGEST, _nobody, rehearse=True)
    if not before.bank:
        return None
    ended = 0

    def told(_seed: int) -> None:
        nonlocal ended
        ended += 1
        move(f"faults, {ended} of {count(len(seeds), 'group')}")

    return run_under_faults(subject, seeds, before.bank, command=command, told=told)


def _nobody(_: object) -> None:
    """Hear and say nothing."""
