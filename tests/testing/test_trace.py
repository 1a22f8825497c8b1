"""A trace is readable, bounded, and its digest covers every line that ever was."""

from __future__ import annotations

import pytest

from pbft.core.effects import Evidence, Executed, Ignored, Notice, Prepared, Proposed, Reason
from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import Prepare, Refusal, RefusalReason, Status, pack
from pbft.testing.trace import Trace
from tests.testing.planted import Planter


def line(notice: Notice) -> str:
    planter = Planter()
    trace = Trace({planter.alice.public_key: "alice"})
    trace.noticed(7, 2, notice)
    return trace.last()[0]


def test_only_the_last_lines_are_kept_and_all_are_digested() -> None:
    """Two traces with the same end differ in their digests when their beginnings differed."""
    one, other = Trace({}, keep=2), Trace({}, keep=2)
    for trace, beginning in ((one, "a"), (other, "b")):
        for what in (beginning, "c", "d"):
            trace.note(1, "r0", what)
    assert one.last() == other.last() == ["     1 r0               c", "     1 r0               d"]
    assert one.last(1) == ["     1 r0               d"]
    assert one.digest() != other.digest()


@pytest.mark.parametrize(
    ("notice", "words"),
    [
        (Proposed(0, 3, b"\xab" * 32, 2), "proposed v0 s3 abababab with 2 requests"),
        (Prepared(1, 3, b"\xab" * 32, ()), "prepared v1 s3 abababab"),
        (Executed(0, 3, b"\xab" * 32, 5, ()), "executed v0 s3 abababab: nothing"),
        (Ignored(Reason.WRONG_VIEW, 3, Kind.PREPARE), "ignored PREPARE from r3: wrong view"),
        (Ignored(Reason.STALE, b"\x01" * 32, Kind.REQUEST), "ignored REQUEST from stranger 01010101: stale"),
    ],
)
def test_notices_in_words(notice: Notice, words: str) -> None:
    assert line(notice) == f"     7 r2               {words}"


def test_requests_and_evidence_in_words() -> None:
    """Clients go by their names, requests that changed nothing are called so, evidence names both votes."""
    planter = Planter()
    fates = (planter.fate(planter.request(), (0, 1)), planter.fate(planter.request(2), (), 2))
    assert line(Executed(0, 1, bytes(32), 1, fates)).endswith("00000000: alice t1 [0, 1], alice t2 no-op")
    evidence = Evidence(3, planter.prepare(b"\xab" * 32, 3), planter.prepare(b"\xcd" * 32, 3))
    assert line(evidence).endswith("evidence against r3: PREPARE by r3 v0 s1 abababab and PREPARE by r3 v0 s1 cdcdcdcd")


def test_envelopes_in_words() -> None:
    """The signer is named where the link does not say as much; bytes that say nothing are called malformed."""
    planter = Planter()
    trace = Trace({planter.alice.public_key: "alice"})
    refusal = Envelope(Kind.REFUSAL, 1, pack(Refusal(bytes(16), 4, bytes(32), int(RefusalReason.BUSY))))
    trace.delivered(1, 1, 1, 2, planter.prepare(bytes(32), 1))
    trace.delivered(2, 3, 3, 2, planter.prepare(bytes(32), 1))
    trace.lost(3, "alice", planter.alice.public_key, 0, planter.request(operations=2))
    trace.delivered(4, 1, 1, "alice", refusal)
    trace.delivered(5, 1, 1, 2, Envelope(Kind.STATUS, 1, pack(Status(0, 4, 1, b"\x01\x03"))))
    trace.delivered(6, 1, 1, 2, Envelope(Kind.PREPARE, 1, pack(Prepare(0, 1, bytes(32)))[:-1], bytes(64)))
    lines = trace.last()
    assert lines[0] == "     1 r2 <- r1         PREPARE v0 s1 00000000"
    assert lines[1] == "     2 r2 <- r3         PREPARE by r1 v0 s1 00000000"
    assert lines[2].startswith("     3 alice -> r0      lost: REQUEST t1 ")
    assert lines[2].endswith(" with 2 operations")
    assert lines[3] == "     4 alice <- r1      REFUSAL t4: BUSY"
    assert lines[4] == "     5 r2 <- r1         STATUS v0 executed 4 held 0103"
    assert lines[5] == "     6 r2 <- r1         PREPARE malformed"
