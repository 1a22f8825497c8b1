"""Why a replica's state is not the group's: it asks the others what they remember, and finds the first operation.

Owns: the questions, level by level, from what batches did to what one operation wrote, the answers to those of others,
and what is found (`pbft.core.findings`). Nothing waits for it: not execution, not the transfer that puts the state
right. A level takes 4 s at most; what the others have forgotten by then stays unknown, and the finding says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from heapq import nsmallest
from typing import Any, Final

from pbft.core.batches import read_batch
from pbft.core.comparison import Comparison, Verdict
from pbft.core.deeds import Past, digest_of
from pbft.core.effects import Reason
from pbft.core.envelope import Envelope, Kind
from pbft.core.execution import Execution
from pbft.core.findings import MOST_KEYS, DifferingKey, DivergenceExplained, Excerpt, Ordered, Recollected
from pbft.core.group import ReplicaId
from pbft.core.log import Log
from pbft.core.messages import CheckpointProof
from pbft.core.outbox import Outbox
from pbft.core.settings import ReplicaSettings
from pbft.core.snapshot import Replacement
from pbft.core.state_messages import BATCHES, MOST_RECALLED, OPERATIONS, WRITES, Recall, Recalled
from pbft.core.telling import read_did, recollect, tell, write_did
from pbft.encoding import DIGEST_BYTES, EncodingError, decode, encode

_LEVEL_MS: Final = 4_000
"""How long the others have for the questions of one level."""
_STATE_MS: Final = 60_000
"""How long a finding waits for the right state, whose keys belong to it."""
_FULL: Final = "the record of operations was full"
_FORGOTTEN: Final = "the others no longer remember"
_FORGOTTEN_SOME: Final = "the others no longer remember all of it, and what they remember is the same"
_OUTSIDE: Final = "all operations that could be compared did the same: the state was changed outside of them"


@dataclass(eq=False, slots=True)
class _Case:
    """One divergence: what is found of it so far, and what is being asked."""

    found: DivergenceExplained
    pasts: dict[int, Past]
    """What this replica's own batches did: kept here, since it may rejoin and forget them meanwhile."""
    batches: dict[int, bytes]
    state_due_ms: int
    """When the finding waits no longer for the right state. Where none is proven it does not wait at all."""
    asking: Recall | None = None
    """The question of the present level, None when all are answered or given up."""
    comparison: Comparison = field(default_factory=lambda: Comparison((), 0, 0, 0, split=False))
    ask_ms: int = 0
    """When whoever did not answer is asked again."""
    pause_ms: int = 0
    end_ms: int = 0
    """When the level is given up."""

    @property
    def awaits_state(self) -> bool:
        """Whether a proven state is to take the place of this replica's own."""
        return self.found.proven is not None and self.found.rejoined_at is None

    def learn(self, **told: Any) -> None:
        """Add to what is found."""
        self.found = replace(self.found, **told)


class Recollection:
    """What operations did, asked of others when one's own state differs, and told to others whose does."""

    def __init__(self, outbox: Outbox, execution: Execution, log: Log, settings: ReplicaSettings) -> None:
        self._out = outbox
        self._execution = execution
        self._log = log
        self._settings = settings
        self._case: _Case | None = None
        self._equal_upto = 0
        """The last sequence at which this replica's own state was proven to be the group's."""
        self._judged = 0
        """The last proven sequence at which its own state was compared."""
        self._split_since: int | None = None
        """Which state was stable when a split was looked into: one such between two stable states."""

    @property
    def deadline_ms(self) -> int | None:
        """When somebody is asked again, or given up."""
        case = self._case
        if case is None:
            return None
        return case.state_due_ms if case.asking is None else min(case.ask_ms, case.end_ms)

    def usage(self) -> dict[str, int]:
        """Return how much is held, for `pbft.core.usage`."""
        case = self._case
        if case is None:
            return {"recalled_deeds": 0, "recalled_batch_bytes": 0, "recalled_bytes": 0}
        answers = case.comparison.answers.values()
        return {
            "recalled_deeds": sum(map(len, case.pasts.values())),
            "recalled_batch_bytes": sum(map(len, case.batches.values())),
            "recalled_bytes": sum(len(item) for items in answers for item in items),
        }

    # When it begins, and what it waits for.

    def follow(self, proof: CheckpointProof, own: bytes | None, split: tuple[int, bytes] | None) -> None:
        """Compare this replica's digest after a stable checkpoint, None if unknown; look into it where it differs.

        `split` is a sequence for whose state no quorum can be found any more, with this replica's own digest.
        """
        if own is not None and proof.sequence > self._judged:
            self._judged = proof.sequence
            if own == proof.digest:
                self._equal_upto = proof.sequence
            elif self._case is None or not self._case.awaits_state:
                self._begin(proof.sequence, own, proof.digest)
        elif split is not None and self._case is None and self._split_since != proof.sequence:
            self._split_since = proof.sequence
            self._begin(*split, None)

    def installing(self, sequence: int, replacements: Sequence[Replacement]) -> None:
        """A proven state is about to take the place of this replica's own: see what differs."""
        self._judged = max(self._judged, sequence)
        self._equal_upto = max(self._equal_upto, sequence)
        case = self._case
        if case is None or not case.awaits_state:
            return
        case.learn(rejoined_at=sequence)
        if sequence == case.found.sequence:
            keys, total = self._differing(replacements)
            case.learn(keys=keys, total_keys=total)
        self._end_if_done(case)

    def tick(self) -> None:
        """Ask again who did not answer, and give up what took too long."""
        case, now_ms = self._case, self._out.now.monotonic_ms
        if case is None:
            return
        if case.asking is not None and now_ms >= case.end_ms:
            self._advance(case, final=True)
        elif case.asking is not None and now_ms >= case.ask_ms:
            self._ask(case)
        self._end_if_done(case)

    def _begin(self, sequence: int, own: bytes, proven: bytes | None) -> None:
        if self._case is not None:
            self._tell(self._case)
        first = max(self._equal_upto + 1, sequence - MOST_RECALLED + 1)
        batches = {
            number: slot.committed.envelope.beside
            for number in range(first, sequence + 1)
            if (slot := self._log.find(number)) is not None and slot.committed is not None
        }
        pasts = self._execution.deeds.between(first, sequence)
        sections = self._execution.section_names()[1:]
        found = DivergenceExplained(sequence, own, proven, self._equal_upto, compared_from=first, sections=sections)
        state_due_ms = self._out.now.monotonic_ms + (_STATE_MS if proven is not None else 0)
        self._case = case = _Case(found, pasts, batches, state_due_ms)
        items = [self._execution.deeds.digest(number)[0] for number in range(first, sequence + 1)]
        self._begin_level(case, Recall(BATCHES, first, sequence, 0), items)

    def _begin_level(self, case: _Case, asking: Recall, items: Sequence[bytes]) -> None:
        quorums, others = self._out.group.quorums, self._out.group.n - 1
        split = case.found.proven is None
        case.asking = asking
        case.comparison = Comparison(items, others, quorums.weak, quorums.faults, split=split)
        case.pause_ms = self._settings.status_interval_ms
        case.end_ms = self._out.now.monotonic_ms + _LEVEL_MS
        self._ask(case)

    def _ask(self, case: _Case) -> None:
        """Ask everybody whose answer is not here, and ask again after a while that grows."""
        for member in self._out.group.members:
            self._ask_one(case, member.id)
        case.ask_ms = self._out.now.monotonic_ms + case.pause_ms
        case.pause_ms = min(2 * case.pause_ms, self._settings.status_interval_max_ms)

    def _ask_one(self, case: _Case, replica: ReplicaId) -> None:
        question = self._question(case, replica)
        if question is not None:
            self._out.send(replica, self._out.plain(Kind.RECALL, question))

    def _question(self, case: _Case, replica: ReplicaId) -> Recall | None:
        """Return what is to be asked of somebody: what it has not told, None where nothing is."""
        asking, told = case.asking, case.comparison.told(replica)
        if asking is None or replica == self._out.me or told == len(case.comparison.own):
            return None
        return asking if asking.level != BATCHES else Recall(BATCHES, asking.first + told, asking.last, 0)

    # Answers.

    def on_recalled(self, recalled: Recalled, envelope: Envelope, sender: ReplicaId) -> None:
        """Take in what somebody recalls. Refused unless it was asked just that, and tells no more than was asked."""
        case = self._case
        if case is None or recalled.asked != self._question(case, sender):
            return self._out.ignore(Reason.NOT_WANTED, envelope, sender)
        items = self._read(case, recalled)
        if items is None:
            return self._out.ignore(Reason.MALFORMED, envelope, sender)
        case.comparison.answers.setdefault(sender, []).extend(items)
        self._advance(case, final=False)
        if self._case is case and case.asking is not None and recalled.asked.level == case.asking.level:
            self._ask_one(case, sender)
        self._end_if_done(case)

    def _read(self, case: _Case, recalled: Recalled) -> list[bytes] | None:
        """Return an answer's items, one for each place that it tells of, None where they are none."""
        items, asked = list(recalled.items), recalled.asked
        if asked.level == WRITES:
            try:
                return [_checked(items)]
            except EncodingError:
                return None
        if asked.level == BATCHES:
            fits = 1 <= len(items) <= asked.last - asked.first + 1 and all(
                len(each) in (0, DIGEST_BYTES) for each in items
            )
            return items if fits else None
        width = len(case.comparison.own)
        if not items:
            return [b""] * width
        return items if len(items) == width and all(len(each) == DIGEST_BYTES for each in items) else None

    # What follows from them.

    def _advance(self, case: _Case, *, final: bool) -> None:
        """Compare what is here; where a level is decided, begin the next one, or end."""
        asking, comparison = case.asking, case.comparison
        if asking is None:
            return
        verdict = comparison.go_on(final=final)
        if verdict is Verdict.OPEN:
            return
        found = verdict in (Verdict.DIFFERS, Verdict.SPLIT)
        case.asking = None
        if asking.level == BATCHES:
            self._on_batches(case, asking, _why(verdict, comparison) if not found else "")
        elif asking.level == OPERATIONS:
            self._on_operations(case, asking, _why(verdict, comparison) if not found else "")
        else:
            accounts = tuple(_accounts(comparison))
            unknown = "" if accounts else f"what the others did there is not known: {Verdict.LATE.value}"
            case.learn(others_did=accounts, unknown=unknown)

    def _on_batches(self, case: _Case, asking: Recall, why: str) -> None:
        """The first sequence that differs is known, or why it is not."""
        case.learn(compared_from=asking.first + case.comparison.compared_from, unknown=why)
        if why:
            return
        at = asking.first + case.comparison.place
        case.learn(differs_at=at)
        past = case.pasts[at]
        case.pasts, case.batches = {at: past}, {each: batch for each, batch in case.batches.items() if each == at}
        digests = [digest_of(deed) for deed in past[:MOST_RECALLED]]
        self._begin_level(case, Recall(OPERATIONS, at, at, 0), digests)

    def _on_operations(self, case: _Case, asking: Recall, why: str) -> None:
        """The first operation of that sequence that differs is known, or why it is not."""
        case.learn(unknown=why)
        if why:
            return
        place = case.comparison.place
        did = tell(case.pasts[asking.first][place])
        case.learn(operation=place, ordered=self._ordered(case, asking.first, place), did=did)
        self._begin_level(case, Recall(WRITES, asking.first, asking.first, place), [_join(write_did(did))])

    def _ordered(self, case: _Case, sequence: int, place: int) -> Ordered | None:
        """Return the operation at a position of a batch, if the log still had the batch when it came to that."""
        group = self._out.group
        if sequence not in case.batches:
            return None
        for signed in read_batch(case.batches[sequence], group, lambda _: True)[1]:
            operations = signed.request.operations
            if place < len(operations):
                name = group.clients[signed.request.client].name
                return Ordered(name, signed.request.timestamp, Excerpt.of(operations[place]))
            place -= len(operations)
        return None

    def _differing(self, replacements: Sequence[Replacement]) -> tuple[tuple[DifferingKey, ...], int]:
        """Return the first keys of a state that differ from those of another, and how many there are."""
        found: list[DifferingKey] = []
        total = 0
        for name, each in zip(self._execution.section_names(), replacements, strict=True):
            differing = {key: own for key, right in each.writes.items() if (own := each.base.get(key)) != right}
            total += len(differing)
            for key in nsmallest(MOST_KEYS - len(found), differing):
                own, right = differing[key], each.writes[key]
                found.append(DifferingKey(name, Excerpt.of(key), _excerpt(own), _excerpt(right)))
        return tuple(found), total

    def _end_if_done(self, case: _Case) -> None:
        """Tell what was found when nothing more is to be learnt."""
        if case is not self._case or case.asking is not None:
            return
        if case.found.rejoined_at is not None or self._out.now.monotonic_ms >= case.state_due_ms:
            self._tell(case)

    def _tell(self, case: _Case) -> None:
        self._case = None
        if case.asking is not None:
            case.learn(unknown="the replica's state differed again before it was known")
        self._out.notice(case.found)

    # Others who ask.

    def serve(self, recall: Recall, envelope: Envelope, peer: ReplicaId) -> int:
        """Tell a peer what is remembered here; return the bytes that this took, digesting included.

        Refused unless it asks as a correct replica would. Of what this replica has not executed yet it tells nothing:
        that is not the same as to have forgotten it.
        """
        width = recall.last - recall.first + 1
        if not 1 <= width <= (MOST_RECALLED if recall.level == BATCHES else 1):
            self._out.ignore(Reason.MALFORMED, envelope, peer)
            return 0
        if recall.first > self._execution.executed:
            return 0
        items, work = recollect(self._execution.deeds, min(recall.last, self._execution.executed), recall)
        answer = self._out.plain(Kind.RECALLED, Recalled(recall, tuple(items)))
        self._out.send(peer, answer)
        # However short an answer is, a peer that asks without end is given no more than one a millisecond.
        return max(len(answer.body) + work, self._settings.repair_bytes_per_ms)


def _why(verdict: Verdict, comparison: Comparison) -> str:
    """Return why no place was found."""
    if verdict is Verdict.LATE:
        return Verdict.LATE.value
    if comparison.compared_from == 0:
        return _OUTSIDE
    if comparison.own_missing:
        return _FULL
    return _FORGOTTEN if comparison.compared_from == len(comparison.own) else _FORGOTTEN_SOME


def _accounts(comparison: Comparison) -> Iterator[Recollected]:
    """Yield what others recall of an operation: what f+1 recall alike, or all there is where no f+1 do."""
    comparison.place = 0
    right = comparison.right()
    for item, replicas in comparison.accounts():
        if right is None or item == right:
            yield Recollected(replicas, read_did(decode(item)))


def _checked(items: Sequence[bytes]) -> bytes:
    """Return an account as one item, empty where it is forgotten. Raises EncodingError for what is none."""
    if not items:
        return b""
    read_did(items)
    return _join(items)


def _join(items: Sequence[bytes]) -> bytes:
    return encode(list(items))


def _excerpt(value: bytes | None) -> Excerpt | None:
    return None if value is None else Excerpt.of(value)
