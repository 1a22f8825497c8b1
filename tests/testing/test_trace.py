"""A trace is readable, bounded, and its digest covers every line that ever was."""

from __future__ import annotations

import pytest

from pbft.core.effects import (
    Cause,
    Diverged,
    Evidence,
    Executed,
    Ignored,
    Notice,
    Prepared,
    Proposed,
    Reason,
    StateInstalled,
    ViewChangeStarted,
    ViewEntered,
)
from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import (
    NULL_BATCH,
    Checkpoint,
    CommitCertificate,
    Prepare,
    Refusal,
    RefusalReason,
    Status,
    batch_digest,
    pack,
)
from pbft.core.state_messages import BATCHES, TOP, WRITES, Address, Fetch, NodeAt, Nodes, Recall, Recalled
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
        (
            ViewChangeStarted(0, 2, Cause.JOINED, 1_000),
            "left v0 for v2: f+1 others have left it; next timeout 1000 ms",
        ),
        (StateInstalled(8, b"\xab" * 32, 3, 1), "installed the state of s8 abababab with 3 nodes, 1 byte"),
        (Diverged(8, b"\xab" * 32, b"\xcd" * 32), "diverged at s8: has abababab, and a quorum vouches for cdcdcdcd"),
        (Ignored(Reason.WRONG_VIEW, 3, Kind.PREPARE), "ignored PREPARE from r3: wrong view"),
        (Ignored(Reason.STALE, b"\x01" * 32, Kind.REQUEST), "ignored REQUEST from stranger 01010101: stale"),
    ],
)
def test_notices_in_words(notice: Notice, words: str) -> None:
    assert line(notice) == f"     7 r2               {words}"


def test_views_and_checkpoints_in_words() -> None:
    """Who asked for a view and what it proposes again, null batches by their name; who vouches for a checkpoint."""
    planter = Planter()
    entered = planter.entered(b"\xab" * 32, batch_digest(NULL_BATCH), view=1, stable=4)
    assert line(entered).endswith("entered v1 by r0 r1 r2, stable s4, again s5 abababab, s6 null")
    assert line(ViewEntered(1, 0, (), entered.votes)).endswith("stable s0, again nothing")
    assert line(planter.stable(4, b"\xab" * 32)).endswith("stable s4 abababab by r0 r1 r2")


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
    trace.delivered(5, 1, 1, 2, Envelope(Kind.STATUS, 1, pack(Status(0, 0, 0, 4, 1, True, b"\x01\x03", (), ()))))
    trace.delivered(6, 1, 1, 2, Envelope(Kind.PREPARE, 1, pack(Prepare(0, 1, bytes(32)))[:-1], bytes(64)))
    lines = trace.last()
    assert lines[0] == "     1 r2 <- r1         PREPARE v0 s1 00000000"
    assert lines[1] == "     2 r2 <- r3         PREPARE by r1 v0 s1 00000000"
    assert lines[2].startswith("     3 alice -> r0      lost: REQUEST t1 ")
    assert lines[2].endswith(" with 2 operations")
    assert lines[3] == "     4 alice <- r1      REFUSAL t4: BUSY"
    assert lines[4] == "     5 r2 <- r1         STATUS v0 stable s0 executed 4 held 0103"
    assert lines[5] == "     6 r2 <- r1         PREPARE malformed"


def test_messages_of_views_and_states_in_words() -> None:
    """Votes for views show their certificates, statuses what is missing, states their nodes."""
    planter = Planter()
    some, other = b"\xab" * 32, b"\xcd" * 32
    trace = Trace({})
    status = Status(1, 3, 4, 5, 0, True, b"\x01", (0, 3, 2, 0), (some,))
    certificate = CommitCertificate(1, 5, some, planter.proof().shares)
    for envelope in (
        planter.sealed(1, Kind.CHECKPOINT, Checkpoint(4, some)),
        planter.view_change(1, 2, planter.proof(4, some), [planter.certificate(other, 5, 1)]),
        planter.view_change(1, 2),
        planter.new_view(some, batch_digest(NULL_BATCH), view=1, stable=4),
        Envelope(Kind.CHECKPOINT_PROOF, 1, pack(planter.proof(4, some))),
        Envelope(Kind.COMMITTED, 1, pack(certificate), beside=b"batch"),
        Envelope(Kind.FETCH, 1, pack(Fetch(4, some, (TOP, Address(2, b""), Address(2, b"\x0a\x03"))))),
        Envelope(Kind.FETCH, 1, pack(Fetch(4, some, tuple(Address(1, bytes([i])) for i in range(6))))),
        Envelope(Kind.NODES, 1, pack(Nodes(4, (NodeAt(Address(0, b"\x0f"), b"data"), NodeAt(TOP, b"top"))))),
        Envelope(Kind.RECALL, 1, pack(Recall(BATCHES, 3, 9, 0))),
        Envelope(Kind.RECALLED, 1, pack(Recalled(Recall(WRITES, 3, 3, 2), (b"a", b"b")))),
        Envelope(Kind.STATUS, 1, pack(status)),
    ):
        trace.delivered(1, 1, 1, 2, envelope)
    told = [line.partition("r2 <- r1")[2].strip() for line in trace.last()]
    assert told == [
        "CHECKPOINT s4 abababab",
        "VIEW_CHANGE v2 stable s4 prepared s5 v1 cdcdcdcd",
        "VIEW_CHANGE v2 stable s0 prepared nothing",
        "NEW_VIEW v1 by r0 00000000 r1 00000000 r2 00000000, stable s4, again s5 abababab, s6 null",
        "CHECKPOINT_PROOF s4 abababab by r0 r1 r2",
        "COMMITTED v1 s5 abababab by r0 r1 r2 with its batch",
        "FETCH s4 abababab nodes top 2/ 2/a3",
        "FETCH s4 abababab nodes 1/0 1/1 1/2 1/3 and 2 more",
        "NODES s4 nodes 0/f top with 7 bytes",
        "RECALL batches of s3 to s9",
        "RECALLED writes of operation 2 of s3 to s3 2 items",
        "STATUS v1 wants v3 stable s4 executed 5 held 01, VIEW_CHANGEs of r1 v3, r2 v2, lacks abababab",
    ]


def test_who_listens_hears_every_line_as_it_is_kept() -> None:
    """An echo gets the same words, at once; envelopes are put into words for it, and otherwise when they are read."""
    planter = Planter()
    heard: list[str] = []
    trace = Trace({})
    trace.echo = heard.append
    trace.note(1, "r0", "something")
    trace.delivered(2, 1, 1, 2, planter.prepare(bytes(32), 1))
    trace.lost(3, 1, 1, 3, planter.prepare(bytes(32), 1))
    assert heard == trace.last()
