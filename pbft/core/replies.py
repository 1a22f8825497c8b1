"""Answers to clients: one signature a batch, a path for each request (design 4.4).

Owns: how a request's results become a leaf, how the leaves of a sequence become one signed root, and how a client
checks that an answer hangs together. Knows nothing of quorums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pbft.core import merkle
from pbft.core.client_table import ClientTable
from pbft.core.envelope import Envelope, Kind, Signer, seal
from pbft.core.execution import Ran
from pbft.core.group import ClientKey, Group, ReplicaId
from pbft.core.messages import OperationResult, Reply, ReplyDetail, pack, unpack
from pbft.encoding import EncodingError, encode
from pbft.machine import Outcome, Result


@dataclass(frozen=True, slots=True)
class ReadReply:
    """An answer whose parts fit each other: the results are a leaf under the root that the envelope names."""

    envelope: Envelope
    sequence: int
    detail: ReplyDetail
    results: tuple[Result, ...]


def leaf(sequence: int, request_digest: bytes, results: Sequence[OperationResult]) -> bytes:
    """Return what a replica attests for one request: its digest, its place in the order, and its results."""
    return encode([sequence, request_digest, [[result.outcome, result.payload] for result in results]])


def write_replies(
    group: Group, signer: Signer, me: ReplicaId, view: int, sequence: int, ran: Sequence[Ran]
) -> list[Envelope]:
    """Return a reply for each request that ran at a sequence, under one signature."""
    if not ran:
        return []
    results = [tuple(OperationResult(int(each.outcome), each.payload) for each in one.results) for one in ran]
    rows = merkle.levels([leaf(sequence, one.signed.digest, each) for one, each in zip(ran, results, strict=True)])
    signed = seal(group, signer, Kind.REPLY, me, pack(Reply(sequence, rows[-1][0])))
    replies = []
    for index, (one, each) in enumerate(zip(ran, results, strict=True)):
        request = one.signed.request
        detail = ReplyDetail(
            view,
            request.session,
            request.timestamp,
            one.signed.digest,
            each,
            index,
            len(ran),
            merkle.path(rows, index),
        )
        replies.append(Envelope(Kind.REPLY, me, signed.body, signed.signature, pack(detail)))
    return replies


class LastReplies:
    """The last reply of each session, ready to be sent again (OSDI'99 section 4.1)."""

    def __init__(self, gap_ms: int) -> None:
        """`gap_ms` is how far apart one reply is sent again at most."""
        self._gap_ms = gap_ms
        self._replies: dict[tuple[ClientKey, bytes], Envelope] = {}
        self._again_ms: dict[tuple[ClientKey, bytes], int] = {}

    def __len__(self) -> int:
        return len(self._replies)

    def keep(self, client: ClientKey, session: bytes, reply: Envelope) -> None:
        """Keep a session's reply in place of the one before."""
        self._replies[client, session] = reply
        self._again_ms.pop((client, session), None)

    def again(self, client: ClientKey, session: bytes, now_ms: int) -> Envelope | None:
        """Return the last reply of a session if it is to be sent again now; None when it was a moment ago."""
        reply = self._replies.get((client, session))
        if reply is None or now_ms < self._again_ms.get((client, session), now_ms):
            return None
        self._again_ms[client, session] = now_ms + self._gap_ms
        return reply

    def forget(self, client: ClientKey, session: bytes) -> None:
        """Forget a session that left the client table."""
        self._replies.pop((client, session), None)
        self._again_ms.pop((client, session), None)

    def retain(self, clients: ClientTable) -> None:
        """Forget what is no session's last reply any more, now that the client table moved on without us."""
        for client, session in list(self._replies):
            last = clients.last(client, session)
            detail = unpack(ReplyDetail, self._replies[client, session].beside)
            if last is None or last.timestamp != detail.timestamp:
                self.forget(client, session)


def read_reply(envelope: Envelope) -> ReadReply:
    """Decode a reply and check that its results lead to its root. Checks no signature.

    Raises EncodingError.
    """
    reply = unpack(Reply, envelope.body)
    detail = unpack(ReplyDetail, envelope.beside)
    data = leaf(reply.sequence, detail.request_digest, detail.results)
    if merkle.root_of(data, detail.leaf, detail.leaves, detail.path) != reply.root:
        raise EncodingError("a reply's results do not lead to the root that it signs")
    results = tuple(Result(Outcome(each.outcome), each.payload) for each in detail.results)
    return ReadReply(envelope, reply.sequence, detail, results)
