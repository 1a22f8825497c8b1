"""What happened in a run, one readable line at a time.

Owns: the words of a trace, the last lines for a failure's report, and the running digest that makes two runs
comparable. Knows nothing of what ought to happen.

A line reads: virtual milliseconds, who, and what, as in `12 r1 <- r0 PRE_PREPARE v0 s1 4f2a91c0 with 1 request`.
Digests are shown by their first eight digits.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Final, assert_never

from pbft.core.effects import CommittedLocal, Evidence, Executed, Ignored, Notice, Prepared, Proposed
from pbft.core.envelope import Envelope, Kind, Sender
from pbft.core.messages import (
    Batch,
    Commit,
    Hello,
    Prepare,
    PrePrepare,
    Refusal,
    RefusalReason,
    Reply,
    ReplyDetail,
    Request,
    Status,
    Welcome,
    request_digest,
    unpack,
)
from pbft.encoding import EncodingError
from pbft.testing.network import Address
from pbft.wording import count

DEFAULT_LINES: Final = 60


class Trace:
    """The story of one run. Keeps its last lines (`keep=None` keeps all) and a digest over every one."""

    def __init__(self, names: dict[bytes, str], keep: int | None = DEFAULT_LINES) -> None:
        self._names = names
        """Clients' names by public key; more may be added while the run goes on."""
        self._lines: deque[str] = deque(maxlen=keep)
        self._digest = hashlib.blake2b(digest_size=16)
        self.echo: Callable[[str], None] | None = None
        """Where every line goes as well, such as `print`."""

    def note(self, at_ms: int, who: str, what: str) -> None:
        """Add one line."""
        line = f"{at_ms:>6} {who:<16} {what}"
        self._lines.append(line)
        self._digest.update(line.encode())
        self._digest.update(b"\n")
        if self.echo is not None:
            self.echo(line)

    def delivered(self, at_ms: int, src: Address, link: Sender, dst: Address, envelope: Envelope) -> None:
        """Note that an envelope arrived over the link of `link`."""
        self.note(at_ms, f"{place(dst)} <- {place(src)}", self.words(envelope, link))

    def lost(self, at_ms: int, src: Address, link: Sender, dst: Address, envelope: Envelope) -> None:
        """Note that an envelope will not arrive."""
        self.note(at_ms, f"{place(src)} -> {place(dst)}", f"lost: {self.words(envelope, link)}")

    def noticed(self, at_ms: int, replica: int, notice: Notice) -> None:
        """Note what a replica wants known."""
        self.note(at_ms, place(replica), self._notice_words(notice))

    def last(self, lines: int | None = None) -> list[str]:
        """Return the last lines kept, all by default."""
        kept = list(self._lines)
        return kept if lines is None else kept[-lines:]

    def digest(self) -> str:
        """Return the digest over every line so far, in hex."""
        return self._digest.hexdigest()

    def words(self, envelope: Envelope, link: Sender | None = None) -> str:
        """Return an envelope in words. Its signer is named unless the link says as much."""
        by = "" if envelope.sender == link else f" by {self.who(envelope.sender)}"
        return envelope.kind.name + by + body_words(envelope.kind, envelope.body, envelope.beside)

    def who(self, sender: Sender) -> str:
        """Return a party's short name."""
        if isinstance(sender, int):
            return place(sender)
        return self._names.get(sender) or f"stranger {sender[:4].hex()}"

    def _notice_words(self, notice: Notice) -> str:
        match notice:
            case Proposed(view, sequence, digest, requests):
                return f"proposed v{view} s{sequence} {short(digest)} with {count(requests, 'request')}"
            case Prepared(view, sequence, digest):
                return f"prepared v{view} s{sequence} {short(digest)}"
            case CommittedLocal(view, sequence, digest):
                return f"committed_local v{view} s{sequence} {short(digest)}"
            case Executed():
                each = ", ".join(
                    f"{self.who(one.client)} t{one.timestamp} {list(one.outcomes) or 'no-op'}"
                    for one in notice.requests
                )
                return f"executed v{notice.view} s{notice.sequence} {short(notice.digest)}: {each or 'nothing'}"
            case Ignored(reason, sender, kind):
                return f"ignored {kind.name} from {self.who(sender)}: {reason.value}"
            case Evidence(culprit, first, second):
                return f"evidence against {place(culprit)}: {self.words(first)} and {self.words(second)}"
            case _:
                assert_never(notice)


def place(address: Address) -> str:
    """Return an address as a trace shows it: `r2` for replica 2, a client's label as it is."""
    return f"r{address}" if isinstance(address, int) else address


def short(digest: bytes) -> str:
    """Return the first eight digits of a digest."""
    return digest[:4].hex()


# Every envelope is shown once a delivery, and broadcast to all: what its bytes say is worth remembering.
@lru_cache(maxsize=4096)
def body_words(kind: Kind, body: bytes, beside: bytes) -> str:
    """Return what a body says, in words; bytes that say nothing are called malformed."""
    try:
        return _body_words(kind, body, beside)
    except EncodingError:
        return " malformed"


def _body_words(kind: Kind, body: bytes, beside: bytes) -> str:
    if kind is Kind.PRE_PREPARE:
        said = unpack(PrePrepare, body)
        requests = count(len(unpack(Batch, beside).requests), "request")
        return f" v{said.view} s{said.sequence} {short(said.digest)} with {requests}"
    if kind is Kind.PREPARE or kind is Kind.COMMIT:
        vote = unpack(Prepare, body) if kind is Kind.PREPARE else unpack(Commit, body)
        return f" v{vote.view} s{vote.sequence} {short(vote.digest)}"
    if kind is Kind.REQUEST:
        request = unpack(Request, body)
        operations = count(len(request.operations), "operation")
        return f" t{request.timestamp} {short(request_digest(body))} with {operations}"
    if kind is Kind.REPLY:
        reply, detail = unpack(Reply, body), unpack(ReplyDetail, beside)
        outcomes = [result.outcome for result in detail.results]
        return f" s{reply.sequence} {short(reply.root)} t{detail.timestamp} {outcomes}"
    if kind is Kind.STATUS:
        status = unpack(Status, body)
        return f" v{status.view} executed {status.executed} held {status.held.hex() or 'nothing'}"
    if kind is Kind.WELCOME:
        return f" v{unpack(Welcome, body).view}"
    if kind is Kind.REFUSAL:
        refusal = unpack(Refusal, body)
        return f" t{refusal.timestamp}: {RefusalReason(refusal.reason).name}"
    if kind is Kind.HELLO:
        unpack(Hello, body)
    return ""
