"""Which round of a run a message belongs to.

Owns: the count of rounds. The paper tests algorithms whose messages belong to rounds. PBFT's do by what they say: four
rounds order one request, the pre-prepare, the prepares, the commits and the replies, and each new view has two before
them, the VIEW-CHANGEs and the NEW-VIEW. So the round of a message follows from its view, sequence and phase alone:

    round = start(view) + phase + 4 * (sequence - first(view))

`start` is the round of a view's VIEW-CHANGEs, the next after the greatest round that anybody has come to when the first
is sent, and `first` the sequence after the checkpoint at which the view begins. View 0 begins with the pre-prepare of
sequence 1 as round 1.

Here nothing waits for a round to end, and replicas send again what was lost. What is sent again belongs to its old
round, so that a fault in that round meets it again. What names no place (a STATUS, a CHECKPOINT, nodes of a state)
belongs to the greatest round that anybody has come to.
"""

from __future__ import annotations

from typing import Final

from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import NewView, ReplyDetail, unpack
from pbft.encoding import EncodingError
from pbft.net.verbs import place_of

ROUNDS_PER_SEQUENCE: Final = 4

_PHASES: Final = {Kind.VIEW_CHANGE: 0, Kind.NEW_VIEW: 1, Kind.PRE_PREPARE: 2, Kind.PREPARE: 3, Kind.COMMIT: 4}
_REPLY: Final = 5


class Rounds:
    """Counts the rounds of one run, by what it is shown."""

    def __init__(self) -> None:
        self.now = 0
        """The greatest round that anybody has come to."""
        self._starts = {0: -1}
        self._firsts = {0: 1}

    def met(self, envelope: Envelope) -> int:
        """Return the round of something that its sender truly has come to say, and learn from it."""
        view, sequence = _place(envelope)
        if view is not None:
            self._starts.setdefault(view, self.now + 1)
            if envelope.kind is Kind.NEW_VIEW:
                self._firsts.setdefault(view, unpack(NewView, envelope.body).stable + 1)
            elif sequence is not None:
                self._firsts.setdefault(view, sequence)
        found = self.of(envelope)
        self.now = max(self.now, found)
        return found

    def of(self, envelope: Envelope) -> int:
        """Return the round of an envelope, which may be a lie: a place where nobody has been belongs to this round."""
        view, sequence = _place(envelope)
        if view is None or view not in self._starts:
            return self.now
        phase = _PHASES.get(envelope.kind, _REPLY)
        if sequence is None:
            return self._starts[view] + phase
        ahead = max(0, sequence - self._firsts.get(view, sequence))
        return self._starts[view] + phase + ROUNDS_PER_SEQUENCE * ahead


def _place(envelope: Envelope) -> tuple[int | None, int | None]:
    """Return the view and the sequence of what belongs to a round by itself."""
    if envelope.kind is Kind.REPLY:
        try:
            return unpack(ReplyDetail, envelope.beside).view, place_of(envelope)[1]
        except EncodingError:
            return None, None
    return place_of(envelope) if envelope.kind in _PHASES else (None, None)
