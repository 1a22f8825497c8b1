"""Why a group is stuck, or slow: what its replicas' accounts amount to, in sentences, each with what to do about it.

Owns: the rules by which accounts become findings. Asks nobody and prints nothing. An account is one replica's own word,
and a faulty one says what it likes: every field is checked, and each sentence names whose word it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from pbft.core.situation import Phase
from pbft.group_file import GroupFile
from pbft.lab.state import LabState
from pbft.lab.survey import Seen, Survey
from pbft.wording import listing

_NOTICEABLE_MS: Final = 250
"""What is younger than this may be simply under way."""
_MANY: Final = 2**53
"""A number past this is nobody's honest count."""
_SHOWN_PEERS: Final = 128
_SHOWN_SEQUENCES: Final = 16


class Severity(Enum):
    """How bad a finding is."""

    FINE = "fine"
    SLOW = "slow"
    STUCK = "stuck"
    UNSAFE = "unsafe"
    """What a group promises may be broken already."""


@dataclass(frozen=True)
class Finding:
    """One thing to know of a group, and what to do about it."""

    severity: Severity
    sentence: str
    advice: str
    """Empty where there is nothing to do."""


def diagnose(files: GroupFile, found: Survey, state: LabState | None = None) -> list[Finding]:
    """Return what explains how a group is, the worst first; one finding that all is well where nothing does.

    `state` is what the group's keeper tells, where it has one: who was killed, paused or made to lie, and the links.
    """
    doctor = _Doctor(files, found, state)
    order = list(Severity)[::-1]
    findings = sorted(doctor.findings(), key=lambda each: order.index(each.severity))
    if all(each.severity is Severity.FINE for each in findings):
        well = "nothing is stuck: all replicas answer, none is behind and nothing waits"
        findings.insert(0, Finding(Severity.FINE, well, ""))
    return findings


class _Doctor:
    """One look at a group."""

    def __init__(self, files: GroupFile, found: Survey, state: LabState | None) -> None:
        self._files = files
        self._found = found
        self._state = state
        self._quorums = files.group.quorums

    def findings(self) -> Iterator[Finding]:
        yield from self._of_faults()
        yield from self._of_states()
        yield from self._of_answers()
        yield from self._of_links()
        yield from self._of_view_changes()
        yield from self._of_sequences()
        yield from self._of_stragglers()
        yield from self._of_checkpoints()
        yield from self._of_resources()

    # What is known of the lab.

    def _of_faults(self) -> Iterator[Finding]:
        state, faults = self._state, self._quorums.faults
        if state is None or not state.faulty:
            return
        told = ", ".join(f"replica {replica} ({why})" for replica, why in state.faulty)
        if len(state.faulty) > faults:
            promised = "nothing is promised"
            if state.answers_hold:
                promised = "answers stay right, but that there will be any is not promised"
            yield Finding(
                Severity.STUCK if state.answers_hold else Severity.UNSAFE,
                f"{len(state.faulty)} replicas are faulty, more than the {faults} that {self._files.group.n} survive, "
                f"so {promised}: {told}",
                self._remedy(state),
            )
        else:
            left = faults - len(state.faulty)
            more = "no further one may fail" if not left else f"{left} more may"
            yield Finding(Severity.FINE, f"{len(state.faulty)} of {faults} faults are used, and {more}: {told}", "")

    def _remedy(self, state: LabState) -> str:
        """Return how a lab's group comes back from more faults than it survives.

        A replica that is started again answers, but it forgot its votes and goes on counting.
        """
        where = self._files.directory
        away = {each.id: each.state for each in state.replicas if each.state != "running"}
        if not state.answers_hold or not away:
            return f"start afresh: pbft down {where}, then pbft up {where}"
        paused = [replica for replica, condition in away.items() if condition == "paused"]
        return f"let one go on: pbft fault resume {paused[0]}" if paused else self._revival(next(iter(away)))

    def _revival(self, replica: int) -> str:
        """Return how a replica that does not answer is brought back."""
        if self._state is not None:
            paused = any(each.id == replica and each.state == "paused" for each in self._state.replicas)
            verb = "resume" if paused else "restart"
            return f"bring it back: pbft fault {verb} {replica}" + ("" if paused else " (it has forgotten its votes)")
        if not self._files.lab:
            return f"see to its host, or start it there: pbft replica DIR {replica}"
        if not self._found.answering:
            return f"start the group: pbft up {self._files.directory}"
        return f"start it: pbft replica {self._files.directory} {replica}"

    def _of_links(self) -> Iterator[Finding]:
        if self._state is None:
            return
        links = self._state.links
        if links.stepping:
            yield Finding(
                Severity.STUCK,
                f"all links are held, with {links.held} messages waiting",
                "let one through with pbft fault step, or all with pbft fault heal",
            )
        told = [f"replicas {one} and {other} are cut off from each other" for one, other in links.cut]
        told += [f"{percent}% of what goes {_spell_link(one, other)} is lost" for one, other, percent in links.loss]
        told += [f"what goes {_spell_link(one, other)} comes {ms} ms later" for one, other, ms in links.delay]
        told += list(links.sentences)
        if told:
            yield Finding(Severity.SLOW, "the network is disturbed: " + "; ".join(told), "end it: pbft fault heal")

    # What replicas tell.

    def _of_states(self) -> Iterator[Finding]:
        for sequence, some, others in self._found.contradictions():
            yield Finding(
                Severity.UNSAFE,
                f"after sequence {sequence}, {listing(some)} and {listing(others)} report different states",
                f"one side lies, or the application is not deterministic: pbft doctor {self._files.directory}",
            )

    def _of_answers(self) -> Iterator[Finding]:
        silent = [each for each in self._found.seen if each.report is None]
        if not silent:
            return
        named = ", ".join(f"{each.replica} ({each.health})" for each in silent)
        advice = self._revival(silent[0].replica)
        if not self._found.has_quorum:
            yield Finding(
                Severity.STUCK,
                f"only {len(self._found.answering)} of {self._files.group.n} replicas answer, and nothing commits "
                f"without {self._found.quorum}; missing: {named}",
                advice,
            )
            return
        primary = self._found.silent_primary
        if primary is not None:
            yield Finding(
                Severity.SLOW,
                f"replica {primary}, the primary, does not answer; the first request that waits for "
                f"{self._files.settings.view_timeout_ms / 1000:g} s replaces it",
                "",
            )
        yield Finding(Severity.SLOW, f"no answer from: {named}; the others go on without", advice)

    def _of_view_changes(self) -> Iterator[Finding]:
        asking: dict[tuple[int, tuple[int, ...], int], list[Seen]] = {}
        for each in self._found.seen:
            target, view = _number(each.report, "target"), _number(each.report, "view")
            if target is not None and view is not None and target > view:
                standing = _part(each, "view_change")
                voters, needed = _members(standing, "have"), _number(standing, "needed") or self._quorums.view_change
                asking.setdefault((target, tuple(voters), needed), []).append(each)
        for (target, have, needed), seen in sorted(asking.items()):
            primary = self._files.group.primary(target)
            names = listing([each.replica for each in seen])
            if len(have) < needed:
                waits = f"{len(have)} of {needed} needed votes are there ({_listed(have)})"
                advice = "a lone replica waits for f+1 others: heal its links, or restart it" if len(seen) == 1 else ""
            else:
                waits = f"a quorum asks for it, and replica {primary}, its primary, has not begun it"
                advice = f"see replica {primary}: pbft status" if primary not in self._found.answering else ""
            timer = _timer(seen[0])
            left = "left its view and asks" if len(seen) == 1 else "left their view and ask"
            yield Finding(Severity.STUCK, f"{names} {left} for view {target}: {waits}{timer}", advice)

    def _of_sequences(self) -> Iterator[Finding]:
        """Name the quorum that lacks votes, once for all who tell the same: nobody speaks in another's name."""
        told: dict[tuple[int, Phase, int, tuple[int, ...], int], list[Seen]] = {}
        for each in self._found.seen:
            blocked = _part(each, "blocked")
            sequence, phase = _number(blocked, "sequence"), _phase(blocked)
            if _part(each, "transfer") is not None:
                # Who fetches a state executes nothing until it is here, and lacks nobody's vote: see the stragglers.
                continue
            ages = [_number(blocked, "for_ms"), _number(_situation(each), "oldest_waiting_ms")]
            age_ms = max((age for age in ages if age is not None), default=0)
            if sequence is not None and phase is not None and age_ms >= _NOTICEABLE_MS:
                have, needed = tuple(_members(blocked, "have")), _number(blocked, "needed") or self._quorums.quorum
                view = _number(each.report, "view") or 0
                # Who has what a phase takes does not lack it: an account that contradicts itself is a liar's.
                if phase not in (Phase.PREPARE, Phase.COMMIT) or len(have) < needed:
                    told.setdefault((sequence, phase, view, have, needed), []).append(each)
        most_told = sorted(told.items(), key=lambda item: (-len(item[1]), item[0][0]))[:_SHOWN_SEQUENCES]
        for what, seen in sorted(most_told, key=lambda item: item[0][0]):
            yield self._of_sequence(*what, seen)

    def _of_sequence(
        self, sequence: int, phase: Phase, view: int, have: Sequence[int], needed: int, seen: Sequence[Seen]
    ) -> Finding:
        whose = listing([each.replica for each in seen])
        primary = self._files.group.primary(view)
        timer = _timer(seen[0])
        match phase:
            case Phase.PRE_PREPARE:
                sentence = f"requests wait at {whose} for sequence {sequence}, which replica {primary}, the primary "
                sentence += f"of view {view}, has not proposed there"
            case Phase.BATCH:
                sentence = f"{whose} knows by its digest only what is proposed again at sequence {sequence}"
            case Phase.CLOCK:
                sentence = f"the time proposed for sequence {sequence} is too far from the clock of {whose}"
            case Phase.EXECUTION:
                sentence = f"sequence {sequence} has committed at {whose}, which does not execute, since its "
                sentence += "state is not what a quorum vouches for"
            case _:
                missing = [each for each in range(self._files.group.n) if each not in have]
                sentence = f"sequence {sequence} lacks {phase.value}s at {whose}: {len(have)} of {needed} needed are "
                sentence += f"there ({_listed(have)}), none from {self._named(missing)}"
        return Finding(Severity.STUCK, sentence + timer, self._advice(phase, have))

    def _advice(self, phase: Phase, have: Sequence[int]) -> str:
        if phase is Phase.CLOCK:
            return "set the clocks of all hosts right"
        if phase is Phase.EXECUTION:
            return f"see where the states part: pbft doctor {self._files.directory}"
        if phase not in (Phase.PREPARE, Phase.COMMIT):
            return ""
        gone = [each.replica for each in self._found.seen if each.report is None and each.replica not in have]
        if gone and self._files.lab:
            return self._revival(gone[0])
        return "" if gone else "if it lasts, the links between them lose messages: compare datagrams in pbft status"

    def _named(self, replicas: Sequence[int]) -> str:
        health = {each.replica: each.health for each in self._found.seen}
        return ", ".join(f"{each} ({health[each]})" for each in replicas)

    def _of_stragglers(self) -> Iterator[Finding]:
        for each in self._found.seen:
            behind, transfer = _number(each.report, "behind"), _part(each, "transfer")
            sequence, size, of = (_number(transfer, name) for name in ("sequence", "bytes", "of"))
            if sequence is not None and size is not None and of is not None:
                told = f"fetches the state at {sequence}: {size} of {of} bytes are there"
                if not of:
                    told = f"is about to fetch the state at {sequence}"
                yield Finding(Severity.SLOW, f"replica {each.replica} {told}", "")
            elif behind:
                yield Finding(
                    Severity.SLOW,
                    f"replica {each.replica} is behind by {behind} sequences and asks the others for them",
                    "",
                )

    def _of_checkpoints(self) -> Iterator[Finding]:
        for each in self._found.seen:
            pending = _part(each, "checkpoint")
            sequence, needed = _number(pending, "sequence"), _number(pending, "needed")
            executed, high = _number(each.report, "executed"), _number(each.report, "high_watermark")
            if None in (sequence, needed, executed, high) or executed != high:
                continue
            have = _members(pending, "have")
            yield Finding(
                Severity.STUCK,
                f"the log of replica {each.replica} is full up to {high}: {len(have)} of {needed} needed vouch for the "
                f"checkpoint at {sequence} ({_listed(have)})",
                "the missing ones are behind or gone, which pbft status tells, or have another state: "
                f"pbft doctor {self._files.directory}",
            )

    def _of_resources(self) -> Iterator[Finding]:
        usual_ms = self._files.settings.view_timeout_ms
        for each in self._found.seen:
            drops, timeout_ms = _number(each.report, "kernel_drops"), _number(each.report, "timeout_ms")
            if drops:
                yield Finding(
                    Severity.SLOW,
                    f"the system dropped {drops} datagrams that replica {each.replica} was too slow to read",
                    "let it grant larger buffers: sysctl net.core.rmem_max",
                )
            if timeout_ms is not None and timeout_ms > usual_ms:
                yield Finding(
                    Severity.SLOW,
                    f"replica {each.replica} waits {timeout_ms / 1000:g} s for a primary, since view changes failed or "
                    "agreement was slow; this shrinks again with progress",
                    "",
                )


def _spell_link(one: str | int, other: str | int) -> str:
    return "over all links" if one == other == "*" else f"between replicas {one} and {other}"


def _listed(members: Sequence[int]) -> str:
    return listing(members) if members else "nobody"


def _number(fields: Mapping[str, Any] | None, name: str) -> int | None:
    value = (fields or {}).get(name)
    return value if type(value) is int and 0 <= value < _MANY else None


def _situation(seen: Seen) -> Mapping[str, Any]:
    told = seen.word("situation", dict)
    return told if told is not None else {}


def _part(seen: Seen, name: str) -> Mapping[str, Any] | None:
    part = _situation(seen).get(name)
    return part if type(part) is dict else None


def _members(part: Mapping[str, Any] | None, name: str) -> list[int]:
    told = (part or {}).get(name)
    if type(told) is not list:
        return []
    return sorted({each for each in told[:_SHOWN_PEERS] if type(each) is int and 0 <= each < _SHOWN_PEERS})


def _phase(part: Mapping[str, Any] | None) -> Phase | None:
    word = (part or {}).get("phase")
    return next((each for each in Phase if each.value == word), None)


def _timer(seen: Seen) -> str:
    """Return which timer fires next at a replica, and when, as the end of a sentence."""
    timer = _part(seen, "timer")
    what, in_ms = (timer or {}).get("what"), _number(timer, "in_ms")
    words = {
        "leave the view": f"replica {seen.replica} gives up on the primary",
        "ask for the next view": f"replica {seen.replica} asks for the next view",
    }
    if not isinstance(what, str) or what not in words or in_ms is None:
        return ""
    return f"; {words[what]} in {in_ms / 1000:.1f} s unless something moves"
