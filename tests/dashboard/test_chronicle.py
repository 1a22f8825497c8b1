"""The event log: what is told, in which words, and how much of it."""

from __future__ import annotations

from pbft.dashboard.chronicle import KEPT as KEPT_LINES
from pbft.dashboard.model import Model
from tests.dashboard.telling import BEGIN_US, DIGEST, OTHER, counters, incident, log_of, started


def test_the_log_speaks_to_people():
    """Each kind of event has a sentence; the same thing told by several is told once."""
    model = started()
    file = "/home/x/data/1/evidence/0-pre-prepare-v0-s5.cbor"
    for replica in (1, 2):
        model.apply(incident(replica, "evidence", "warning", culprit=0, kind="PRE_PREPARE", file=file), BEGIN_US)
        model.apply(
            incident(
                replica, "operation failed", "warning", sequence=9, error="ValueError", text="no\nway", where="a.py"
            ),
            BEGIN_US,
        )
    model.apply(incident(3, "state diverged", "warning", sequence=128, own=DIGEST, proven=OTHER), BEGIN_US)
    model.apply(counters(3, transferring=128), BEGIN_US)
    model.apply(incident(3, "state installed", sequence=128, cause="it was too far behind to execute"), BEGIN_US)
    model.apply(incident(2, "disk nearly full", "warning", free_bytes=12, nested={}, path="/x"), BEGIN_US)
    model.apply(incident(2, "started", "info"), BEGIN_US)
    for replica in range(4):
        model.apply(counters(replica, stable_checkpoint=128), BEGIN_US)
    model.apply(counters(0, state_digest=OTHER), BEGIN_US)
    model.apply({"event": "dropped", "replica": 1, "why": "too slow"}, BEGIN_US)
    model.note("transfer alice bob 5 → ok")
    assert log_of(model) == [
        (
            "replica 1: holds proof that replica 0 lied: it signed two different proposals for the same sequence; "
            "the proof is 0-pre-prepare-v0-s5.cbor, and :evidence shows it"
        ),
        "replica 1: an operation at 9 failed inside the application: ValueError: no\\u000away (a.py)",
        "replica 3: found that its state after 128 is not the one that a quorum vouches for: it fetches that one",
        "replica 3: is too far behind and fetches the state at 128 from others",
        "replica 3: took over the state after 128 from others: it was too far behind to execute",
        "replica 2: disk nearly full (free_bytes 12, path /x)",
        "group: checkpoint: a quorum vouches for the state after 128, older votes can go",
        "replica 0: reports another state after 5 than f+1 others do: it lies, or its machine is not deterministic",
        "replica 1: ended its stream to this dashboard: too slow",
        "you: transfer alice bob 5 → ok",
    ]


def test_one_source_cannot_fill_the_log():
    """After its share a liar gets one line that says so; the group's own facts are still told."""
    model = started()
    for number in range(500):
        model.apply(incident(3, f"alarm {number}", "error"), BEGIN_US)
    assert len(log_of(model)) == 21
    assert log_of(model)[-1] == "replica 3: says more than is shown here: the next seconds of it are left out"
    for replica in range(4):
        model.apply(counters(replica, view=1), BEGIN_US)
    assert log_of(model)[-1].startswith("group: view 1 began")


def test_lines_since_are_those_not_seen_yet():
    """Whoever shows the log asks for what is new, and gets what is kept of it."""
    model = Model(4, 1)
    model.note("one")
    seen = model.logged
    model.note("two")
    assert log_of(model, seen) == ["you: two"]
    assert log_of(model, model.logged) == []
    for number in range(KEPT_LINES + 10):
        model.note(str(number))
    assert len(model.lines()) == len(model.lines(seen)) == KEPT_LINES
