"""Sources of state that are none (R7): they give wrong chunks, or none, or late, or claim to have come far.

Owns: the lies about one chunk, by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar, Final

from pbft.core.effects import Effect, Send
from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import Chunk, Status, pack, unpack
from pbft.core.replica import Replica
from pbft.core.settings import Now
from pbft.encoding import digest
from pbft.testing.byzantine.adversary import Adversary, Means
from pbft.testing.byzantine.flooder import Flooder
from pbft.testing.byzantine.holding import Holding

_LIE: Final = digest(b"pbft/lie", b"")

CHUNK_LIES: Final[Mapping[str, Callable[[Chunk, Chunk], Chunk]]] = {
    "another chunk's data": lambda chunk, other: replace(chunk, data=other.data[::-1] + b"\0"),
    "a wrong path": lambda chunk, other: replace(chunk, path=tuple(_LIE for _ in chunk.path) or (_LIE,)),
    "a path too long": lambda chunk, other: replace(chunk, path=(*chunk.path, _LIE)),
    "another place": lambda chunk, other: replace(chunk, index=chunk.index + 1, chunks=chunk.chunks + 1),
    "too many chunks": lambda chunk, other: replace(chunk, chunks=chunk.chunks + 1),
    "very many chunks": lambda chunk, other: replace(chunk, chunks=2**16 - 1),
    "no chunks": lambda chunk, other: replace(chunk, chunks=0),
    "nothing": lambda chunk, other: replace(chunk, data=b""),
    "a chunk of an older checkpoint": lambda chunk, other: replace(chunk, data=other.data, path=other.path),
}
"""Each makes a bad chunk of a good one, and of the first one that this liar ever served."""


class ChunkForger(Adversary):
    """Serves chunks that are wrong in one of its `lies`, one after the other (R7)."""

    lies: ClassVar[tuple[str, ...]] = tuple(CHUNK_LIES)

    def __init__(self, core: Replica, means: Means) -> None:
        super().__init__(core, means)
        self.lied = 0
        """How many chunks it has spoilt."""
        self._earliest: Chunk | None = None

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Spoil every chunk."""
        return [self._misserved(each) if isinstance(each, Send) else each for each in super().twist(effects, now)]

    def _misserved(self, sent: Send) -> Send:
        if sent.envelope.kind is not Kind.CHUNK:
            return sent
        chunk = unpack(Chunk, sent.envelope.body)
        self._earliest = self._earliest or chunk
        lie = CHUNK_LIES[self.lies[self.lied % len(self.lies)]]
        self.lied += 1
        return Send(sent.to, Envelope(Kind.CHUNK, self.me, pack(lie(chunk, self._earliest))))


class SilentSource(Adversary):
    """Never gives a chunk to whoever asks for it, but behaves well otherwise (R7)."""

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Answer no FETCH."""
        return [each for each in super().twist(effects, now) if not _is_chunk(each)]


class SlowSource(Holding):
    """Gives each chunk just before it would be passed over for another source (R7)."""

    share: ClassVar[float] = 0.9
    """How much of the time that a source is given it takes."""

    def delay_ms(self, sent: Send) -> int:
        """Hold back chunks."""
        late_ms = int(self.share * self.core.settings.transfer_timeout_ms) if _is_chunk(sent) else 0
        return max(super().delay_ms(sent), late_ms)


class Braggart(Flooder):
    """Claims to have come further than anybody, then nowhere, then one step further than it has (R7)."""

    def flood(self) -> list[Envelope]:
        """Say without being asked how far it has come, each time something else."""
        status = self.core.status()
        far = (2**40 + self.floods, 0, status.executed + 1, status.stable_checkpoint + self._interval)[self.floods % 4]
        said = Status(status.view, status.target, far, far, self.floods, self.floods % 2 == 0, b"", (), ())
        return [*super().flood(), Envelope(Kind.STATUS, self.me, pack(said))]

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Leave out the truth."""
        return [each for each in super().twist(effects, now) if not self._is_own_status(each)]

    def _is_own_status(self, effect: Effect) -> bool:
        return isinstance(effect, Send) and effect.envelope.kind is Kind.STATUS

    @property
    def _interval(self) -> int:
        return self.means.group.limits.checkpoint_interval


def _is_chunk(effect: Effect) -> bool:
    return isinstance(effect, Send) and effect.envelope.kind is Kind.CHUNK
