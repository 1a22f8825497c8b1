"""An answer that f+1 replicas agreed on, with all that is known about how it came.

Owns: the shape of an answer, and how an outcome becomes a value or an error. Knows no sockets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from pbft.client.errors import InvalidOperation, OperationFailed, OperationRejected
from pbft.core.group import ReplicaId
from pbft.core.receipt import Receipt
from pbft.core.session import Completed
from pbft.core.tally import Tally
from pbft.encoding import EncodingError, Plain, decode_plain
from pbft.machine import Outcome


@dataclass(frozen=True)
class Reply:
    """What one operation came to."""

    outcome: Outcome
    payload: bytes
    """The result as bytes; `value` decodes it."""
    view: int
    """The view the group is in, as far as its replicas told."""
    sequence: int
    """The operation's place in the order of batches."""
    timestamp: int
    """The counter of the session's request that it rode in."""
    matching: tuple[ReplicaId, ...]
    """Who gave this answer."""
    differing: tuple[ReplicaId, ...]
    """Who gave another one."""
    silent: tuple[ReplicaId, ...]
    """Who had not answered when enough others had, or when `Client.tally` ended: late, perhaps, and no more."""
    needed: int
    """How many equal answers it took: f+1, so that at least one correct replica stands behind them."""
    ms: int
    """From the call to the answer."""
    receipt: Receipt | None
    """Proof for others, if it was asked for. It covers the whole request; `index` says which result is this one."""
    index: int

    @property
    def value(self) -> Plain:
        """The operation's value, decoded afresh; the message, where the outcome is not OK.

        Raises EncodingError for an application whose results are bytes of its own kind: read `payload` then.
        """
        return decode_plain(self.payload)

    @classmethod
    def of(cls, completed: Completed) -> Reply:
        """Return the reply for what a session completed."""
        return cls(
            outcome=completed.result.outcome,
            payload=completed.result.payload,
            view=completed.view,
            sequence=completed.sequence,
            timestamp=completed.timestamp,
            matching=completed.matching,
            differing=completed.differing,
            silent=completed.silent,
            needed=completed.needed,
            ms=completed.elapsed_ms,
            receipt=completed.receipt,
            index=completed.index,
        )

    def counted(self, tally: Tally) -> Reply:
        """Return this reply with who answered what by now; the answer itself, its time and its proof stay."""
        return replace(self, matching=tally.matching, differing=tally.differing, silent=tally.silent)

    def check(self) -> Reply:
        """Return this reply if its outcome is OK; raise Rejected, InvalidOperation or OperationFailed otherwise."""
        match self.outcome:
            case Outcome.OK:
                return self
            case Outcome.REJECTED:
                raise OperationRejected(self._message(), self)
            case Outcome.INVALID:
                raise InvalidOperation(self._message(), self)
            case Outcome.FAILED:
                raise OperationFailed(self._message(), self)

    def _message(self) -> str:
        try:
            return str(self.value)
        except EncodingError:
            return self.outcome.name.lower()
