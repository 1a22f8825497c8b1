"""What a check says, in lines for people and as data for programs.

Owns: the words of each stage. Decides nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from pbft.conformance.aspects import Aspect
from pbft.conformance.findings import Finding
from pbft.conformance.minimal import Case
from pbft.conformance.plans import WORLDS
from pbft.conformance.source import SourceRule, SourceWarning
from pbft.conformance.vocabulary import VALUES_HOOK
from pbft.wording import count

if TYPE_CHECKING:
    from pbft.conformance.faults import FaultsReport
    from pbft.conformance.hunting import Found, Hunt, Tally

NO_PROOF: Final = "Passing is no proof: it says what was tried, and no more."

_WORLDS: Final = f"{WORLDS} processes that differ in hash seed, clock, random, time zone, place and company"
_FEW_TRIES: Final = 20
_FEW_PERCENT: Final = 1
_SHOWN_WARNINGS: Final = 12
_STORY_END: Final = 12
"""Lines shown of a failed run from its beginning, and from its end."""

_FITS: Final[Mapping[Aspect, tuple[SourceRule, ...]]] = {
    Aspect.HASH_SEED: (SourceRule.SET_ORDER, SourceRule.IDENTITY, SourceRule.FLOAT, SourceRule.OBJECT_TEXT),
    Aspect.CLOCK: (SourceRule.CLOCK, SourceRule.TIME_ZONE, SourceRule.UNIQUE),
    Aspect.RANDOM: (SourceRule.RANDOM, SourceRule.UNIQUE),
    Aspect.TIME_ZONE: (SourceRule.TIME_ZONE, SourceRule.CLOCK),
    Aspect.PLACE: (SourceRule.ENVIRONMENT, SourceRule.INPUT_OUTPUT),
    Aspect.MEMORY: (SourceRule.MEMORY,),
    Aspect.FRESH: (SourceRule.GLOBAL, SourceRule.DEFAULT, SourceRule.CACHE, SourceRule.HIDDEN_FIELD, SourceRule.MEMORY),
    Aspect.COMPANY: (SourceRule.GLOBAL, SourceRule.DEFAULT, SourceRule.CACHE, SourceRule.HIDDEN_FIELD),
}
"""Which warnings of the source may explain what takes which difference."""


def tell_source(warnings: Sequence[SourceWarning]) -> list[str]:
    """Return what reading the source gave."""
    if not warnings:
        return ["source    ok   nothing in it that replicas are known to do differently"]
    lines = [f"source    {count(len(warnings), 'warning')}"]
    lines += [f"  {_place(each)}  {each.sentence}" for each in warnings]
    return lines


def tell_worlds(hunt: Hunt, warnings: Sequence[SourceWarning] = ()) -> list[str]:
    """Return what the search for a difference came to; `warnings` are those of the source, which may explain it."""
    if hunt.found is None:
        lines = [f"worlds    ok   {_tried(hunt)}"]
    else:
        found = hunt.found
        lines = [
            f"worlds    {line}" if not place else line for place, line in enumerate(tell_case(found.case, found.drawn))
        ]
        lines += [f"  {each}" for each in _explained(found)]
        lines += [f"  see {_place(each)}  {each.sentence}" for each in fitting(found, warnings)]
    return lines


def tell_warnings(hunt: Hunt) -> list[str]:
    """Return what was seen besides, and is no fault by itself."""
    lines = [f"  {each.step.told}: {each.sentence}" if each.step else f"  {each.sentence}" for each in hunt.warnings]
    if len(lines) > _SHOWN_WARNINGS:
        lines[_SHOWN_WARNINGS:] = [f"  and {count(len(lines) - _SHOWN_WARNINGS, 'warning')} more"]
    if hunt.found is None:
        lines += [f"  {each}" for each in seldom_accepted(hunt.tallies)]
    return lines


def tell_case(case: Case, drawn: int) -> list[str]:
    """Return what a sequence shows, and the sequence; `drawn` is how many operations it had when it was found."""
    finding = case.finding
    if not case.steps:
        return [finding.rule.value, f"  {finding.sentence}"]
    total = len(case.steps)
    shrunk = f" (shrunk from {drawn})" if drawn > total else ""
    lines = [f"{finding.rule.value}, at operation {finding.place + 1} of {total}{shrunk}"]
    width = max(len(each.client) for each in case.steps)
    for place, step in enumerate(case.steps):
        if place in case.restores:
            lines.append("       (a new process takes over the state)")
        lines.append(f"    {place + 1}  {step.client:{width}}  {step.told}")
    if total in case.restores:
        lines.append("       (a new process takes over the state)")
    lines.append(f"  {finding.sentence}")
    lines += [f"  {each}" for each in finding.causes]
    return lines


def tell_faults(report: FaultsReport) -> list[str]:
    """Return what came of the groups in the simulator."""
    if report.ok:
        told = f"{count(report.groups, 'group')} under liars, losses and crashes agreed and answered"
        return [f"faults    ok   {told}, {report.operations:,} calls"]
    lines = [
        f"faults    {len(report.failures)} of {count(report.groups, 'group')} failed" if report.failures else "faults"
    ]
    for place, failure in enumerate(report.failures):
        lines.append(f"  seed {failure.seed}: {failure.oracle}: {failure.sentence}")
        # Those of a kind that was told already would only say it again, at length.
        if not place or failure.shrunk:
            lines += [f"    {each}" for each in _in_short(failure.story)]
            lines += [f"    {failure.shrunk}"] if failure.shrunk else []
        lines.append(f"  {failure.replay}")
    if report.unfinished:
        seeds = ", ".join(map(str, report.unfinished))
        lines.append(f"  broken off since they took too long, so nothing is known of them: seeds {seeds}")
    return lines


def _in_short(story: Sequence[str]) -> list[str]:
    """Return what a run began with and how it ended."""
    left_out = len(story) - 2 * _STORY_END
    if left_out <= 0:
        return list(story)
    return [*story[:_STORY_END], f"… {count(left_out, 'line')} more, which --json has …", *story[-_STORY_END:]]


def fitting(found: Found, warnings: Sequence[SourceWarning]) -> list[SourceWarning]:
    """Return the warnings of the source that may explain what was found: those of its kind, of its operations first."""
    rules = [rule for aspect in found.enough or () for rule in _FITS.get(aspect, ())]
    names = [step.told.partition("(")[0] for step in found.case.steps]
    fits = [each for each in warnings if each.rule in rules]
    return [each for each in fits if each.place.rpartition(".")[2] in names] or fits


def seldom_accepted(tallies: Mapping[str, Tally]) -> Iterator[str]:
    """Yield a sentence for each operation that nearly nothing got through to."""
    for name, tally in tallies.items():
        if tally.tried >= _FEW_TRIES and 100 * tally.accepted < _FEW_PERCENT * tally.tried:
            failed = f" and failed in {tally.failed}" if tally.failed else ""
            remedy = "mend that first" if failed else f"name values that it takes in a classmethod {VALUES_HOOK}"
            yield (
                f"{name} was accepted in {tally.accepted} of {tally.tried} tries{failed}, "
                f"so little was seen of it: {remedy}"
            )
        elif not tally.tried:
            yield f"{name} was never called with arguments that fit, so nothing was seen of it; draw more: --examples"


def finding_as_json(finding: Finding) -> dict[str, Any]:
    """Return a finding as data."""
    return {
        "rule": finding.rule.name.lower(),
        "place": finding.place,
        "operation": finding.step.told if finding.step else None,
        "sentence": finding.sentence,
        "where": finding.where,
        "here": finding.here,
        "there": finding.there,
        "causes": list(finding.causes),
    }


def worlds_as_json(hunt: Hunt) -> dict[str, Any]:
    """Return what a search came to as data."""
    told: dict[str, Any] = {
        "ok": hunt.found is None,
        "sequences": hunt.sequences,
        "operations": hunt.operations,
        "restored": hunt.restored,
        "tried": {name: {"tried": each.tried, "accepted": each.accepted} for name, each in hunt.tallies.items()},
        "warnings": [finding_as_json(each) for each in hunt.warnings],
        "seldom_accepted": list(seldom_accepted(hunt.tallies)),
    }
    if hunt.found is not None:
        found = hunt.found
        told["finding"] = {
            **finding_as_json(found.case.finding),
            "drawn": found.drawn,
            "steps": [
                {"client": each.client, "time_ms": each.time_ms, "operation": each.told, "bytes": each.data.hex()}
                for each in found.case.steps
            ],
            "restores": list(found.case.restores),
            "takes": None if found.enough is None else [each.value for each in found.enough],
        }
    return told


def faults_as_json(report: FaultsReport) -> dict[str, Any]:
    """Return what came of the groups as data."""
    return {"ok": report.ok, **asdict(report)}


def source_as_json(warnings: Sequence[SourceWarning]) -> list[dict[str, Any]]:
    """Return the warnings of the source as data."""
    return [asdict(each) for each in warnings]


def _place(warning: SourceWarning) -> str:
    if not warning.file:
        return warning.place
    # As people would write it where they are, unless that leads up and down again.
    relative = os.path.relpath(warning.file)
    name = warning.file if relative.startswith(os.pardir) else relative
    return f"{name}:{warning.line}" if warning.line else name


def _tried(hunt: Hunt) -> str:
    restored = f", and restored at {count(hunt.restored, 'place')}" if hunt.restored else ""
    return f"{count(hunt.sequences, 'sequence')}, {hunt.operations:,} operations: the same in {_WORLDS}{restored}"


def _explained(found: Found) -> Iterator[str]:
    if not found.steady:
        yield "it does not show each time, so something that the check does not hold still has a part in it"
    elif found.enough is None:
        return
    elif found.enough:
        yield "it takes " + ", or ".join(each.explained for each in found.enough)
    else:
        yield "no single difference between the processes shows it: it takes several at once"
