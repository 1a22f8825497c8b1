"""Every mutation by its name, on every kind it changes: refused for what it is, and the group goes on unharmed.

What has no reason below cannot be told from the truth when it comes: a vote for something else, another proposal that
is as good as the first, silence. It counts for nothing all the same.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pbft.core.effects import Reason, ViewEntered
from pbft.core.envelope import Envelope, Kind
from pbft.core.group import ClientKey, Limits, ReplicaId
from pbft.core.replica import Replica
from pbft.core.settings import ReplicaSettings
from pbft.net.verbs import BODIES
from pbft.testing import Cluster
from pbft.testing.byzantine import Adversary, Means, Mutator
from pbft.testing.byzantine.mutations import ANY_SCOPE, SMALL_SCOPE
from pbft.testing.journal import Journal
from tests.scenarios.stories import SIZES, SMALL_LOG, backups, core, primaries

Place = Callable[[int, type[Adversary]], dict[int, type[Adversary]]]
WAYS = {**ANY_SCOPE, **SMALL_SCOPE}

CATCHING_UP = (
    Kind.STATUS,
    Kind.CHECKPOINT_PROOF,
    Kind.FETCH,
    Kind.NODES,
    Kind.COMMITTED,
    Kind.RECALL,
    Kind.RECALLED,
)
"""What is said to whoever is behind, or has diverged, for which the story has no need."""

EVERY = list(Kind)
REFUSED = {
    "view + 1": {
        Kind.PRE_PREPARE: Reason.TOO_EARLY,
        Kind.PREPARE: Reason.TOO_EARLY,
        Kind.COMMIT: Reason.TOO_EARLY,
        Kind.NEW_VIEW: Reason.NOT_PRIMARY,
    },
    "view - 1": dict.fromkeys(EVERY, Reason.WRONG_VIEW),
    "sequence + 1": {Kind.CHECKPOINT: Reason.OUTSIDE_WATERMARKS},
    "sequence - 1": dict.fromkeys(EVERY, Reason.OUTSIDE_WATERMARKS),
    "stable + 1": {Kind.VIEW_CHANGE: Reason.BAD_CERTIFICATE},
    "another digest": {Kind.PRE_PREPARE: Reason.WRONG_DIGEST},
    "a batch left out": {Kind.NEW_VIEW: Reason.BAD_NEW_VIEW},
    "any view": {
        Kind.PRE_PREPARE: Reason.TOO_EARLY,
        Kind.PREPARE: Reason.TOO_EARLY,
        Kind.COMMIT: Reason.TOO_EARLY,
        Kind.NEW_VIEW: Reason.NOT_PRIMARY,
    },
    "any sequence": dict.fromkeys(EVERY, Reason.OUTSIDE_WATERMARKS),
    "any digest": {Kind.PRE_PREPARE: Reason.WRONG_DIGEST},
    "any field": {
        Kind.PRE_PREPARE: Reason.OUTSIDE_WATERMARKS,
        Kind.PREPARE: Reason.OUTSIDE_WATERMARKS,
        Kind.COMMIT: Reason.OUTSIDE_WATERMARKS,
        Kind.CHECKPOINT: Reason.OUTSIDE_WATERMARKS,
        Kind.VIEW_CHANGE: Reason.BAD_CERTIFICATE,
        Kind.NEW_VIEW: Reason.BAD_NEW_VIEW,
    },
    "any flaw": {Kind.NEW_VIEW: Reason.BAD_NEW_VIEW},
    "as another kind": dict.fromkeys(EVERY, Reason.MALFORMED),
    "an earlier body": dict.fromkeys(EVERY, Reason.MALFORMED),
}
"""Why replicas refuse a mutation of a kind, among other reasons."""

CASES = [(name, kind) for name, way in WAYS.items() for kind in way.kinds if kind not in CATCHING_UP]


class Spoiler(Mutator):
    """Spoils all of one kind in one way."""

    def __init__(self, core: Replica, means: Means) -> None:
        super().__init__(core, means)
        self.spoils: tuple[str, Kind] | None = None
        self.spoilt = 0

    def corrupt(self, to: ReplicaId | ClientKey, envelope: Envelope) -> tuple[Envelope, ...]:
        """Spoil it if it is of the kind."""
        if self.spoils is None or envelope.kind is not self.spoils[1]:
            return (envelope,)
        sent = WAYS[self.spoils[0]].mutate(self.hand, envelope)
        if sent is None:
            return (envelope,)
        self.spoilt += sent != (envelope,)
        return sent


def refusals(group: Cluster, liar: ReplicaId, reason: Reason) -> list[str]:
    """Return the lines in which somebody correct refuses something of the liar's for a reason."""
    ending = f" from r{liar}: {reason.value}"
    return [line for line in group.trace.last() if " ignored " in line and line.endswith(ending)]


@SIZES
@pytest.mark.parametrize(("name", "kind"), CASES, ids=[f"{name}, {kind.name.lower()}" for name, kind in CASES])
def test_a_mutation_is_refused_and_changes_nothing(n: int, name: str, kind: Kind) -> None:
    """A story with all that replicas say: batches of one and of two, checkpoints, a view change with a certificate.

    The liar is the primary of view 1 where what primaries say is spoilt, and else the last backup.
    """
    liar = 1 if kind in (Kind.PRE_PREPARE, Kind.NEW_VIEW) else n - 1
    group = Cluster(
        Journal,
        seed=5,
        n=n,
        byzantine={liar: Spoiler},
        clients=("alice", "bob", "mallory"),
        colluders=("mallory",),
        limits=Limits(checkpoint_interval=2, log_size=4),
        settings=ReplicaSettings(window=1, view_timeout_ms=200),
        trace_lines=None,
    )
    spoiler = group.replica(liar)
    assert isinstance(spoiler, Spoiler)
    spoiler.spoils = (name, kind)
    alice, bob, mallory = group.clients("alice", "bob", "mallory")
    calls = [*group.finish(alice.call("write", "a"))]
    group.network.let("commits and commit-certificates of view 0: drop")
    calls.append(alice.call("write", "b"))
    group.run(600)
    group.heal()
    group.finish(*calls)
    for word in "cd":
        mallory.call("write", "m")
        calls += group.finish(bob.call("write", word), alice.call("write", word))

    assert spoiler.spoilt
    reason = REFUSED.get(name, {}).get(kind)
    if reason is not None:
        assert refusals(group, liar, reason)
    assert all(group.steps(i, ViewEntered) for i in group.correct)
    assert len({call.value() for call in calls}) == len(calls)
    assert group.histories_agree()


def test_every_reason_is_of_a_mutation_there_is() -> None:
    """The table names no mutation that is gone, and every mutation changes kinds that there are."""
    assert set(REFUSED) <= set(WAYS)
    for way in WAYS.values():
        assert way.kinds
        assert set(way.kinds) <= set(BODIES)


@SIZES
@pytest.mark.parametrize("place", [primaries, backups])
@pytest.mark.parametrize("share", [0.2, 1.0])
def test_mutators_cannot_stop_the_group(n: int, place: Place, share: float) -> None:
    """f of them corrupt some or all of what they say, state transfer included: one replica slept, and comes back."""

    class Eager(Mutator):
        pass

    Eager.share = share
    group = Cluster(Journal, seed=7, n=n, byzantine=place(n, Eager), colluders=("bob",), limits=SMALL_LOG)
    alice = group.client("alice")
    sleeper = group.correct[-1]
    group.network.isolate(sleeper)
    calls = [alice.call("write", "0")]
    for word in range(1, 14):
        group.run(300)
        calls.append(alice.call("write", f"{word}"))
    group.heal()
    group.finish(*calls)
    group.finish(alice.call("write", "the last"))

    assert [call.value() for call in calls] == sorted({call.value() for call in calls})
    assert core(group, sleeper).status().executed == max(group.executed(i) for i in group.correct)
    assert group.histories_agree()
