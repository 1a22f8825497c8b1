"""Six runs, line by line: a change of behaviour shows as a difference that a person can read.

Each run's trace is kept in a text file beside this one and compared exactly. Digests are named by their first
appearance (`#1`, `#2`), so that a new limit or key changes nothing here, and a message more or less does. After a
change that is meant, write them anew and look at the difference:

    PBFT_GOLDEN=rewrite python -m pytest tests/golden && git diff tests/golden
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pbft.core.envelope import Kind
from pbft.core.settings import ReplicaSettings
from pbft.testing import Cluster
from pbft.testing.byzantine import Equivocator, WrongReply
from pbft.testing.journal import Journal

HERE = Path(__file__).parent
DIGEST = re.compile(r"(?<!held )\b[0-9a-f]{8}\b")


def one_operation() -> Cluster:
    """Alice writes a word and is answered; nobody fails."""
    group = Cluster(Journal, seed=1, delay_ms=(1, 3), trace_lines=None)
    group.gather(group.client("alice").call("write", "x"))
    return group


def two_clients_in_one_batch() -> Cluster:
    """With one sequence in flight, what Bob and Carol ask meanwhile is ordered together."""
    group = Cluster(
        Journal,
        seed=2,
        clients=("alice", "bob", "carol"),
        delay_ms=(2, 2),
        settings=ReplicaSettings(window=1),
        trace_lines=None,
    )
    alice, bob, carol = group.clients("alice", "bob", "carol")
    group.run(5)
    first = alice.call("write", "x")
    group.run(1)
    group.gather(first, bob.call("write", "y"), carol.call("write", "z"), carol.call("write", "w"))
    return group


def a_lost_request() -> Cluster:
    """Alice's request to the primary is lost; she tells all, and the backups pass it on."""
    group = Cluster(Journal, seed=3, delay_ms=(1, 3), trace_lines=None)
    group.network.on(Kind.REQUEST, src="alice", dst=0).drop()
    group.gather(group.client("alice").call("write", "x"))
    return group


def a_backup_catches_up() -> Cluster:
    """Replica 3 misses two sequences and is given them once it hears of the third."""
    group = Cluster(Journal, seed=4, delay_ms=(1, 3), trace_lines=None)
    alice = group.client("alice")
    group.network.isolate(3)
    group.gather(alice.call("write", "x"))
    group.gather(alice.call("write", "y"))
    group.network.heal()
    group.gather(alice.call("write", "z"))
    group.run_until_level()
    return group


def a_lie_is_outvoted() -> Cluster:
    """Replica 1 lies to Alice first; two others agree on the truth."""
    group = Cluster(Journal, seed=5, byzantine={1: WrongReply}, delay_ms=(1, 3), trace_lines=None)
    group.network.on(Kind.REPLY, src=(0, 2, 3)).delay(10)
    group.gather(group.client("alice").call("write", "x"))
    return group


def an_equivocating_primary() -> Cluster:
    """Replica 0 tells replica 1 one order and the others another; one batch commits."""
    group = Cluster(Journal, seed=6, byzantine={0: Equivocator}, delay_ms=(2, 2), trace_lines=None)
    alice, bob = group.clients("alice", "bob")
    group.gather(alice.call("write", "x"), bob.call("write", "y"))
    return group


RUNS = (
    one_operation,
    two_clients_in_one_batch,
    a_lost_request,
    a_backup_catches_up,
    a_lie_is_outvoted,
    an_equivocating_primary,
)


def told(run: Callable[[], Cluster]) -> str:
    """Return a run's trace with its digests named by first appearance."""
    names: dict[str, str] = {}

    def name(found: re.Match[str]) -> str:
        return names.setdefault(found.group(), f"#{len(names) + 1}")

    lines = [DIGEST.sub(name, line) for line in run().trace.last()]
    return "\n".join([f"{run.__name__.replace('_', ' ')}: {run.__doc__}", "", *lines, ""])


@pytest.mark.parametrize("run", RUNS)
def test_the_trace_is_as_it_was(run: Callable[[], Cluster]) -> None:
    """Not a line more, less or different."""
    path = HERE / f"{run.__name__}.txt"
    now = told(run)
    if os.environ.get("PBFT_GOLDEN") == "rewrite":
        path.write_text(now, encoding="utf-8")
    before = path.read_text(encoding="utf-8")
    difference = difflib.unified_diff(before.splitlines(), now.splitlines(), "before", "now", lineterm="", n=1)
    assert now == before, "\n".join(["the trace differs; see the top of this file", *difference])


def test_no_golden_trace_is_left_over() -> None:
    """Each text file belongs to a run above, and there are six at most."""
    assert sorted(path.stem for path in HERE.glob("*.txt")) == sorted(run.__name__ for run in RUNS)
    assert len(RUNS) <= 6
