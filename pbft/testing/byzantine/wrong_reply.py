"""WrongReply: orders and executes as it should, and lies to clients about what came of it (R8)."""

from __future__ import annotations

from dataclasses import replace

from pbft.core import merkle
from pbft.core.effects import Answer, Effect
from pbft.core.envelope import Kind
from pbft.core.messages import OperationResult, Reply, ReplyDetail, pack, unpack
from pbft.core.replies import leaf
from pbft.core.settings import Now
from pbft.encoding import encode_plain
from pbft.testing.byzantine.adversary import Adversary

LIE = 424_242
"""What every operation came to, if a liar is to be believed. All liars say the same, so that f of them agree."""


class WrongReply(Adversary):
    """Puts a lie in place of each result, under a root and a signature that fit the lie."""

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Lie to clients; be honest with replicas."""
        return [self._lie(effect) if isinstance(effect, Answer) else effect for effect in super().twist(effects, now)]

    def _lie(self, answer: Answer) -> Answer:
        if answer.envelope.kind is not Kind.REPLY:
            return answer
        sequence = unpack(Reply, answer.envelope.body).sequence
        detail = unpack(ReplyDetail, answer.envelope.beside)
        results = tuple(OperationResult(0, encode_plain(LIE)) for _ in detail.results)
        rows = merkle.levels([leaf(sequence, detail.request_digest, results)])
        lie = pack(replace(detail, results=results, leaf=0, leaves=1, path=()))
        return replace(answer, envelope=self.say(Kind.REPLY, pack(Reply(sequence, rows[-1][0])), lie))
