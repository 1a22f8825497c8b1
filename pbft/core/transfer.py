"""State transfer: who missed too much takes over the state of a stable checkpoint (OSDI'99 section 4.4; thesis 5.3).

Owns: which checkpoint is being fetched, the chunks that have come, and whom to ask for the others. Every chunk is
checked against the checkpoint's digest, which a quorum signed, before it is kept; a source that lies or stalls is
passed over. Installs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from pbft.core.effects import Reason
from pbft.core.envelope import Envelope, Kind
from pbft.core.group import ReplicaId
from pbft.core.messages import MAX_FETCHED_CHUNKS, CheckpointProof, Chunk, Fetch
from pbft.core.outbox import Outbox
from pbft.core.settings import ReplicaSettings
from pbft.core.situation import TransferStanding
from pbft.core.snapshot import leads_to


@dataclass(frozen=True, slots=True)
class _Asked:
    source: ReplicaId
    due_ms: int


class Transfer:
    """Fetches the chunks of one checkpoint's state from several replicas at once."""

    def __init__(self, outbox: Outbox, settings: ReplicaSettings) -> None:
        self.goal: CheckpointProof | None = None
        """What is being fetched, if anything is."""
        self._out = outbox
        self._settings = settings
        self._chunks: dict[int, bytes] = {}
        self._total = 1
        """How many chunks there are: 1 until the first one has told."""
        self._asked: dict[int, _Asked] = {}
        self._failures: dict[ReplicaId, int] = {}
        self._arrived_ms = 0
        self.arrived = 0
        """How many chunks have come, of whatever was fetched."""

    @property
    def deadline_ms(self) -> int | None:
        """When a source is next given up."""
        return min((asked.due_ms for asked in self._asked.values()), default=None)

    @property
    def complete(self) -> bool:
        """Whether every chunk is here."""
        return self.goal is not None and len(self._chunks) == self._total

    @property
    def stalled(self) -> bool:
        """Whether nothing has come for longer than several sources were given: perhaps none keeps it any more."""
        return self._out.now.monotonic_ms - self._arrived_ms >= 3 * self._settings.transfer_timeout_ms

    def standing(self) -> TransferStanding | None:
        """Return how much of what is being fetched is here."""
        return TransferStanding(self.goal.sequence, len(self._chunks), self._total) if self.goal is not None else None

    def begin(self, goal: CheckpointProof) -> None:
        """Start to fetch the state at a checkpoint, instead of whatever was being fetched."""
        self.stop()
        self.goal = goal
        self._arrived_ms = self._out.now.monotonic_ms
        self._ask()

    def stop(self) -> None:
        """Fetch nothing any more."""
        self.goal = None
        self._total = 1
        self._chunks.clear()
        self._asked.clear()

    def take(self) -> list[bytes]:
        """Return the chunks in order, all of them, and be done."""
        chunks = [self._chunks[index] for index in range(self._total)]
        self.stop()
        return chunks

    def on_chunk(self, chunk: Chunk, envelope: Envelope, sender: ReplicaId) -> None:
        """Keep a chunk of the state that is being fetched.

        Refused unless it is missing and its path leads from it to the digest that a quorum signed.
        """
        goal = self.goal
        if goal is None or chunk.sequence != goal.sequence or chunk.index in self._chunks:
            return self._out.ignore(Reason.NOT_WANTED, envelope, sender)
        if not leads_to(goal.sequence, goal.digest, chunk.index, chunk.chunks, chunk.path, chunk.data):
            self._out.ignore(Reason.WRONG_DIGEST, envelope, sender)
            self._pass_over(sender)
            return self._ask()
        self._total = chunk.chunks
        self._chunks[chunk.index] = chunk.data
        self._asked.pop(chunk.index, None)
        self._arrived_ms = self._out.now.monotonic_ms
        self.arrived += 1
        self._ask()

    def tick(self) -> None:
        """Give up sources that are overdue, and ask others."""
        now_ms = self._out.now.monotonic_ms
        late = dict.fromkeys(asked.source for asked in self._asked.values() if asked.due_ms <= now_ms)
        for source in late:
            self._pass_over(source)
        if late:
            self._ask()

    def _pass_over(self, source: ReplicaId) -> None:
        self._failures[source] = self._failures.get(source, 0) + 1
        self._asked = {index: asked for index, asked in self._asked.items() if asked.source != source}

    def _ask(self) -> None:
        """Ask for what is missing: a share of each idle source among those that failed least."""
        if self.goal is None:
            return
        room = self._settings.transfer_chunks - len(self._asked)
        missing = [each for each in range(self._total) if each not in self._chunks and each not in self._asked]
        n, me = self._out.group.n, self._out.me
        others = [(me + 1 + offset) % n for offset in range(n - 1)]
        fewest = min(self._failures.get(source, 0) for source in others)
        sources = [source for source in others if self._failures.get(source, 0) == fewest]
        busy = {asked.source: None for asked in self._asked.values()}
        share = max(1, self._settings.transfer_chunks // len(sources))
        due_ms = self._out.now.monotonic_ms + self._settings.transfer_timeout_ms
        for source in [each for each in sources if each not in busy]:
            wanted = missing[: min(share, room, MAX_FETCHED_CHUNKS)]
            if not wanted:
                return
            missing, room = missing[len(wanted) :], room - len(wanted)
            for index in wanted:
                self._asked[index] = _Asked(source, due_ms)
            fetch = Fetch(self.goal.sequence, self.goal.digest, tuple(wanted))
            self._out.send(source, self._out.plain(Kind.FETCH, fetch))
