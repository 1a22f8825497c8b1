"""What the accounts of several processes say when they are laid side by side.

Owns: the order of the rules: the first operation that shows anything is told, and there what says most: an end, a
difference of outcomes, of states, of answers, and then what each process saw by itself. Runs nothing.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pbft.application import Outcome, Result
from pbft.conformance.findings import Finding, Rule
from pbft.conformance.lanes import Account, Note, Seen
from pbft.conformance.states import Difference, first_difference
from pbft.conformance.steps import Step, tell_answer
from pbft.operations import ArgumentError, decode_operation

_HUNG = (-signal.SIGALRM, -signal.SIGKILL)
"""How a run ends that took too long: by its own alarm, or by whoever waited for it."""


@dataclass(frozen=True)
class Verdict:
    """A finding, and which accounts to look into for the key that differs."""

    finding: Finding
    lanes: tuple[int, int] = (0, 0)
    places: tuple[int, int] = (-1, -1)
    """After which operation each of the two states is to be looked at."""

    @property
    def needs_states(self) -> bool:
        """Whether the states themselves say more."""
        return self.finding.rule in (
            Rule.STATE_DIFFERS,
            Rule.FIRST_STATE_DIFFERS,
            Rule.REFUSED_CHANGED,
            Rule.RESTORED_DIFFERS,
        ) and (self.lanes[0] != self.lanes[1] or self.places[0] != self.places[1])

    def with_states(self, accounts: Sequence[Account]) -> Finding:
        """Return the finding with the first key that differs, where accounts with states have one."""
        here = accounts[self.lanes[0]].dumps.get(self.places[0])
        there = accounts[self.lanes[1]].dumps.get(self.places[1])
        found = first_difference(here, there) if here is not None and there is not None else None
        if found is None:
            return self.finding
        return replace(
            self.finding,
            where=found.where,
            here=found.here,
            there=found.there,
            sentence=_states_sentence(self.finding.rule, found),
        )


def judge(steps: Sequence[Step], accounts: Sequence[Account], *, machine: bool) -> Verdict | None:
    """Return what the accounts show first, None where they show nothing. `machine` says that it is a StateMachine."""
    lost = [account for account in accounts if account.lost_in_company]
    accounts = [account for account in accounts if not account.lost_in_company]
    verdict = _judge_first(accounts) or _judge_restored(-1, None, accounts) or _judge_stopped(-1, None, accounts)
    for place, step in enumerate(steps):
        if verdict is not None:
            break
        verdict = (
            _judge_step(place, step, accounts, machine)
            or _judge_restored(place, step, accounts)
            or _judge_stopped(place, step, accounts)
        )
    verdict = verdict or _judge_last(steps, accounts)
    if verdict is None and lost:
        # On the machine that was asked it was well, on another one before it was not.
        place = lost[0].company - 1 if lost[0].number % 2 == 0 else len(steps) - lost[0].company
        verdict = _judge_end(place, steps[place], lost[0])
    if verdict is None:
        return None
    causes = [cause for cause in _causes(verdict.finding, accounts) if cause != verdict.finding.sentence]
    return replace(verdict, finding=replace(verdict.finding, causes=(*verdict.finding.causes, *causes)))


def warnings_of(steps: Sequence[Step], accounts: Sequence[Account]) -> tuple[Finding, ...]:
    """Return everything that is worth a word and breaks no rule, each once."""
    found: dict[tuple[Rule, str], Finding] = {}
    for account in accounts:
        for place, seen in enumerate(account.steps):
            for note in seen.notes:
                if note.rule.is_warning and note.where != "clock":
                    key = note.rule, (note.where or note.sentence) + _name(steps[place])
                    found.setdefault(key, _finding(note, place, steps[place]))
    return tuple(sorted(found.values(), key=lambda each: each.place))


def _judge_first(accounts: Sequence[Account]) -> Verdict | None:
    plain = accounts[0]
    for account in accounts:
        if account.first is None and account.stopped and account.stopped[-1].rule is not Rule.IMPORT_DIFFERS:
            return _judge_notes(-1, None, [account.stopped])
        if account.first is None:
            here, there = _why_none(plain), _why_none(account)
            sentence = there if account is plain else f"it can be created here, and not there: {there}"
            return Verdict(Finding(Rule.IMPORT_DIFFERS, -1, None, sentence, "the first state", here, there))
        if account.first != plain.first:
            sentence = "two processes create it in different states"
            finding = Finding(Rule.FIRST_STATE_DIFFERS, -1, None, sentence, "the first state")
            return Verdict(finding, (0, account.number), (-1, -1))
    return _judge_notes(-1, None, [account.first_notes for account in accounts])


def _why_none(account: Account) -> str:
    if account.stopped:
        return account.stopped[-1].sentence
    if account.first is not None:
        return "created"
    return "creating it does not end" if account.code in _HUNG else f"creating it ends the process{_code(account.code)}"


def _judge_step(place: int, step: Step, accounts: Sequence[Account], machine: bool) -> Verdict | None:
    for account in accounts:
        if len(account.steps) == place:
            return _judge_end(place, step, account)
    row = [account.steps[place] for account in accounts]
    return (
        _judge_outcomes(place, step, row)
        or _judge_states(place, step, accounts)
        or _judge_answers(place, step, row)
        or _judge_refused(place, step, accounts, machine)
        or _judge_notes(place, step, [seen.notes for seen in row])
    )


def _judge_stopped(place: int, step: Step | None, accounts: Sequence[Account]) -> Verdict | None:
    """Judge who stopped after an operation: at its snapshot, or at the restoring of it."""
    return _judge_notes(place, step, [account.stopped or () for account in accounts if account.stopped_at == place])


def _judge_last(steps: Sequence[Step], accounts: Sequence[Account]) -> Verdict | None:
    """Judge who executed all and did not come to the end: what followed was a snapshot, or its restoring."""
    for account in accounts:
        if account.code is not None:
            rule = Rule.HANGS if account.code in _HUNG else Rule.ENDS_THE_PROCESS
            sentence = "a snapshot of the state, or its restoring, " + (
                "does not end" if rule is Rule.HANGS else f"ends the process{_code(account.code)}"
            )
            return Verdict(Finding(rule, len(steps) - 1, steps[-1] if steps else None, sentence))
    return None


def _judge_end(place: int, step: Step, account: Account) -> Verdict | None:
    if account.stopped is not None:
        return _judge_notes(place, step, [account.stopped])
    if account.code in _HUNG:
        return Verdict(Finding(Rule.HANGS, place, step, f"{step.told} does not end"))
    return Verdict(Finding(Rule.ENDS_THE_PROCESS, place, step, f"{step.told} ends the process{_code(account.code)}"))


def _judge_outcomes(place: int, step: Step, row: Sequence[Seen]) -> Verdict | None:
    for seen in row:
        if seen.result.outcome is not row[0].result.outcome:
            return _answers(place, step, row[0], seen)
    return None


def _judge_states(place: int, step: Step, accounts: Sequence[Account]) -> Verdict | None:
    for account in accounts:
        if account.steps[place].digest != accounts[0].steps[place].digest:
            sentence = "two processes that executed the same have different states"
            finding = Finding(Rule.STATE_DIFFERS, place, step, sentence, "the state")
            return Verdict(finding, (0, account.number), (place, place))
    return None


def _judge_answers(place: int, step: Step, row: Sequence[Seen]) -> Verdict | None:
    for seen in row:
        if seen.result != row[0].result:
            return _answers(place, step, row[0], seen)
    return None


def _answers(place: int, step: Step, here: Seen, there: Seen) -> Verdict:
    part, own, other = tell_answer(here.result, there.result)
    sentence = _answer_sentence(here.result, there.result)
    return Verdict(Finding(Rule.ANSWER_DIFFERS, place, step, sentence, f"the answer{part}", own, other))


def _judge_refused(place: int, step: Step, accounts: Sequence[Account], machine: bool) -> Verdict | None:
    for account in accounts:
        seen = account.steps[place]
        if machine and seen.result.outcome is not Outcome.INVALID and _is_garbage(step):
            return Verdict(Finding(Rule.GARBAGE_ACCEPTED, place, step, f"{step.told} is no operation, and was taken"))
        if seen.result.outcome is not Outcome.OK and seen.digest != account.digest_after(place - 1):
            sentence = f"the operation ended {seen.result.outcome.name}, and the state is not what it was"
            finding = Finding(Rule.REFUSED_CHANGED, place, step, sentence, "the state")
            return Verdict(finding, (account.number, account.number), (place - 1, place))
    return None


def _judge_notes(place: int, step: Step | None, row: Sequence[Sequence[Note]]) -> Verdict | None:
    for notes in row:
        for note in notes:
            if not note.rule.is_warning:
                return Verdict(_finding(note, place, step))
    return None


def _judge_restored(place: int, step: Step | None, accounts: Sequence[Account]) -> Verdict | None:
    """Judge what a snapshot that was taken after an operation came to."""
    before = place + 1
    plain = accounts[0]
    for account in accounts:
        if before not in account.restored:
            continue
        digest, notes = account.restored[before]
        if noted := _judge_notes(place, step, [notes]):
            return noted
        if digest != account.digest_after(place):
            sentence = "the state is another after it was restored from its snapshot in a fresh process"
            finding = Finding(Rule.RESTORED_DIFFERS, place, step, sentence, "the state")
            return Verdict(finding, (0, account.number), (place, place))
        own, other = plain.snapshots.get(before), account.snapshots.get(before)
        if own is not None and other is not None and own != other:
            sentence = (
                "equal states gave other pieces: snapshot() depends on more than the state, or what was executed after "
                "the call changed them"
            )
            return Verdict(Finding(Rule.SNAPSHOT_DIFFERS, place, step, sentence, "the snapshot"))
    return None


def _is_garbage(step: Step) -> bool:
    try:
        decode_operation(step.data)
    except ArgumentError:
        return True
    return False


def _finding(note: Note, place: int, step: Step | None) -> Finding:
    return Finding(note.rule, place, step, note.sentence, note.where, note.here, note.there)


def _causes(finding: Finding, accounts: Sequence[Account]) -> list[str]:
    """Return what processes saw at the same operation, and the answers where the states are what is told."""
    found: dict[str, None] = {}
    rows = [account.steps[finding.place] for account in accounts if 0 <= finding.place < len(account.steps)]
    if finding.rule is Rule.STATE_DIFFERS:
        other = next((seen.result for seen in rows if seen.result != rows[0].result), None)
        if other is not None:
            found[_answer_sentence(rows[0].result, other)] = None
    for notes in [seen.notes for seen in rows] + [account.stopped or () for account in accounts]:
        for note in notes:
            found[note.sentence] = None
    return list(found)


def _answer_sentence(here: Result, there: Result) -> str:
    part, own, other = tell_answer(here, there)
    return f"the answer{part} is {own} here and {other} there"


def _states_sentence(rule: Rule, found: Difference) -> str:
    if rule is Rule.REFUSED_CHANGED:
        return f"{found.where} was {found.here} and became {found.there}, though the operation was refused"
    if rule is Rule.RESTORED_DIFFERS:
        return f"{found.where} is {found.here} here and {found.there} where the snapshot was restored"
    return f"{found.where} is {found.here} here and {found.there} there"


def _code(code: int | None) -> str:
    if code is None:
        return ""
    if code < 0:
        return f" by {signal.Signals(-code).name}"
    return f" with exit code {code}"


def _name(step: Step) -> str:
    """Return what of a step says which code ran."""
    try:
        return decode_operation(step.data).name
    except ArgumentError:
        return ""
