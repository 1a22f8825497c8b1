"""What happened in a run, one readable line at a time.

Owns: the words of a trace, the last lines for a failure's report, and the running digest that makes two runs
comparable. Knows nothing of what ought to happen.

A line reads: virtual milliseconds, who, and what, as in `12 r1 <- r0 PRE_PREPARE v0 s1 4f2a91c0 with 1 request`.
Digests are shown by their first eight digits. Envelopes are put into words when somebody reads them: most are forgotten
before anybody does.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, assert_never

from pbft.core.effects import (
    BecameStable,
    CommittedLocal,
    Diverged,
    Evidence,
    Executed,
    Ignored,
    Notice,
    OperationFailed,
    Prepared,
    Proposed,
    StateInstalled,
    ViewChangeStarted,
    ViewEntered,
)
from pbft.core.envelope import Envelope, Sender
from pbft.core.findings import DivergenceExplained
from pbft.testing.network import Address
from pbft.testing.words import body_words, place, places, proposals, short
from pbft.wording import count

DEFAULT_LINES: Final = 60


@dataclass(frozen=True, slots=True)
class _Passage:
    """An envelope that arrived, or did not, still to be put into words."""

    at_ms: int
    who: str
    link: Sender
    envelope: Envelope
    lost: bool


class Trace:
    """The story of one run. Keeps its last lines (`keep=None` keeps all) and a digest over every one."""

    def __init__(self, names: dict[bytes, str], keep: int | None = DEFAULT_LINES) -> None:
        self._names = names
        """Clients' names by public key; more may be added while the run goes on."""
        self._lines: deque[str | _Passage] = deque(maxlen=keep)
        self._digest = hashlib.blake2b(digest_size=16)
        self.echo: Callable[[str], None] | None = None
        """Where every line goes as well, such as `print`."""

    def note(self, at_ms: int, who: str, what: str) -> None:
        """Add one line."""
        line = _line(at_ms, who, what)
        self._lines.append(line)
        self._digest.update(line.encode())
        self._digest.update(b"\n")
        if self.echo is not None:
            self.echo(line)

    def delivered(self, at_ms: int, src: Address, link: Sender, dst: Address, envelope: Envelope) -> None:
        """Note that an envelope arrived over the link of `link`."""
        self._pass(_Passage(at_ms, f"{place(dst)} <- {place(src)}", link, envelope, False))

    def lost(self, at_ms: int, src: Address, link: Sender, dst: Address, envelope: Envelope) -> None:
        """Note that an envelope will not arrive."""
        self._pass(_Passage(at_ms, f"{place(src)} -> {place(dst)}", link, envelope, True))

    def noticed(self, at_ms: int, replica: int, notice: Notice) -> None:
        """Note what a replica wants known."""
        self.note(at_ms, place(replica), self._notice_words(notice))

    def last(self, lines: int | None = None) -> list[str]:
        """Return the last lines kept, all by default."""
        kept = [line if isinstance(line, str) else self._spell(line) for line in self._lines]
        return kept if lines is None else kept[-lines:]

    def digest(self) -> str:
        """Return the digest over all that happened so far, in hex: every line, and every envelope's bytes."""
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

    def _pass(self, passage: _Passage) -> None:
        envelope = passage.envelope
        head = f"{passage.at_ms} {passage.who} {passage.lost} {envelope.kind} {envelope.sender!r} {passage.link!r}\n"
        for part in (head.encode(), envelope.body, envelope.signature, envelope.beside):
            self._digest.update(part)
        self._lines.append(passage)
        if self.echo is not None:
            self.echo(self._spell(passage))

    def _spell(self, passage: _Passage) -> str:
        words = self.words(passage.envelope, passage.link)
        return _line(passage.at_ms, passage.who, f"lost: {words}" if passage.lost else words)

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
            case ViewChangeStarted(left, view, cause, timeout_ms):
                return f"left v{left} for v{view}: {cause.value}; next timeout {timeout_ms} ms"
            case ViewEntered(view, stable, digests, votes):
                by = places(vote.sender for vote in votes)
                return f"entered v{view} by {by}, stable s{stable}, again {proposals(stable, digests)}"
            case BecameStable(proof):
                by = places(share.signer for share in proof.shares)
                return f"stable s{proof.sequence} {short(proof.digest)} by {by}"
            case StateInstalled(sequence, digest, nodes, size):
                came = f"{count(nodes, 'node')}, {count(size, 'byte')}"
                return f"installed the state of s{sequence} {short(digest)} with {came}"
            case Diverged(sequence, own, proven):
                return f"diverged at s{sequence}: has {short(own)}, and a quorum vouches for {short(proven)}"
            case DivergenceExplained():
                return _explained(notice)
            case OperationFailed(sequence, operation, operations):
                return f"failed at s{sequence} in operation {operation}, and in {operations} of the batch"
            case Ignored(reason, sender, kind):
                return f"ignored {kind.name} from {self.who(sender)}: {reason.value}"
            case Evidence(culprit, first, second):
                return f"evidence against {place(culprit)}: {self.words(first)} and {self.words(second)}"
            case _:
                assert_never(notice)


def _line(at_ms: int, who: str, what: str) -> str:
    return f"{at_ms:>6} {who:<16} {what}"


def _explained(found: DivergenceExplained) -> str:
    known = found.operation is not None
    where = f"first in operation {found.operation} of s{found.differs_at}" if known else found.unknown
    keys = "unknown keys" if found.total_keys is None else count(found.total_keys, "key")
    return f"explained that it diverged at s{found.sequence}: {where}; {keys} of the state differ"
