"""Published defects of replicas that were slow, away or stopped: what they missed, and what came back with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pbft.contents import Contents
from pbft.core.agreement import Agreement
from pbft.core.client_table import ClientTable
from pbft.core.early import Early
from pbft.core.effects import Reason, StateInstalled
from pbft.core.envelope import Kind
from pbft.core.group import Limits
from pbft.core.messages import CommitCertificate, PrePrepare, Status, unpack
from pbft.core.repair import Repair
from pbft.core.replica import Replica
from pbft.core.settings import ReplicaSettings
from pbft.core.transfer import Transfer
from pbft.core.view_change import Entry, ViewChanges
from pbft.testing import Cluster, NotFinished, OracleFailure
from pbft.testing.clients import SimulatedClient
from pbft.testing.shelf import Shelf
from pbft_apps.counter import Counter
from tests.regressions.plant import both, request

SMALL = Limits(checkpoint_interval=2, log_size=4)


def add(group: Cluster, client: SimulatedClient, times: int) -> None:
    """Let one call after the other be answered, each at a sequence of its own."""
    for _ in range(times):
        group.gather(client.call("add", 1))


def test_fabric_1119_a_pre_prepare_was_thrown_away_since_a_checkpoint_lagged() -> None:
    """A proposal that comes before a checkpoint is stable here is kept for that moment.

    The primary saw a checkpoint become stable first and proposed beyond the old high watermark. The backups, whose
    CHECKPOINTs to each other were still on their way, ignored that for good, and a primary that had done nothing wrong
    was replaced. Ours keeps what comes a little too early, and asks again for what it has no room to keep.

    Planted: nothing above the high watermark is kept, and nothing is asked for again.
    """

    def scenario() -> None:
        group = Cluster(Counter, seed=1, limits=SMALL)
        alice = group.client("alice")
        group.crash(3)
        for src, dst in ((1, 2), (2, 1)):
            group.network.on(Kind.CHECKPOINT, src=src, dst=dst).delay(300)
        add(group, alice, 4)
        group.gather(alice.call("add", 1), within_ms=900)
        assert group.views() == {0}

    both(
        scenario,
        (Early, "keep", lambda *_: False),
        (Repair, "answer", lambda *_: 0),
        fails=NotFinished,
        words="no answer to alice.add",
    )


def behind_in_another_view() -> tuple[Cluster, SimulatedClient]:
    """A group whose replica 3 missed a view change and more than the log, and took over the state meanwhile."""
    group = Cluster(Counter, seed=2, limits=SMALL)
    alice = group.client("alice")
    group.network.isolate(3)
    add(group, alice, 6)
    proposals = group.network.on(Kind.PRE_PREPARE, src=0).drop()
    add(group, alice, 1)
    proposals.stop()
    group.network.rejoin(3)
    group.run_until(lambda: group.steps(3, StateInstalled) != [])
    group.run(5_000)
    return group, alice


def test_fabric_1120_the_state_was_transferred_but_the_view_was_not() -> None:
    """Who catches up by state comes to the present view as well.

    State transfer moved a replica's watermarks and left it in the view it knew, or in one it had asked for alone: it
    took no part any more, and nobody could say which view would be right. Ours: whoever is in a later view shows its
    NEW-VIEW to whoever says in a status that it is not, and the votes that this names (concord-bft #704 is of the same
    kind).

    Planted: a NEW-VIEW is not shown to who missed it.
    """

    def scenario() -> None:
        group, alice = behind_in_another_view()
        group.crash(0)
        group.finish(alice.call("add", 1))

    answer = ViewChanges.answer

    def as_in_our_view(self: ViewChanges, status: Status, peer: int, is_turn: Callable[[int], bool]) -> int:
        return answer(self, replace(status, view=self.view), peer, is_turn)

    both(
        scenario,
        (ViewChanges, "answer", as_in_our_view),
        fails=OracleFailure,
        words="O15: a healed group",
    )


def test_concord_bft_1177_nobody_tried_to_enter_the_view_again() -> None:
    """A view that could not be entered yet is not forgotten.

    A replica a checkpoint behind had every vote and the NEW-VIEW, could not activate the view without the state, and
    fetched that; then nothing made it try again, since all messages had come before. Ours enters a view without the
    state it starts from, so there is nothing to try again: the state follows.

    Planted: a view whose checkpoint is not executed here is turned down for good.
    """

    def scenario() -> None:
        group, _ = behind_in_another_view()
        assert group.views() == {1}, "a replica that has the state is not in the view"

    enter = Replica._enter

    def only_with_its_state(self: Replica, entry: Entry) -> None:
        if entry.stable.sequence <= self._execution.executed:
            return enter(self, entry)
        for candidate in self._view_changes._candidates.values():
            candidate.refused = True

    both(
        scenario,
        (Replica, "_enter", only_with_its_state),
        fails=AssertionError,
        words="a replica that has the state is not in the view",
    )


def test_bft_smart_63_clients_sequences_were_no_part_of_the_state() -> None:
    """A state that is taken over brings what every client asked last.

    That was kept beside the replicated state, in no message and in no log: whoever had restarted took an old request
    for a new one and ran it again. Ours keeps the client table inside the checkpoint.

    Planted: a snapshot without the client table.
    """

    def scenario() -> None:
        group = Cluster(Counter, seed=3, limits=SMALL)
        alice, bob = group.clients("alice", "bob")
        group.network.isolate(1)
        add(group, alice, 1)
        add(group, bob, 6)
        group.network.rejoin(1)
        group.run_until(lambda: group.steps(1, StateInstalled) != [])
        group.crash(0)
        add(group, bob, 1)
        assert group.views() == {1}

        group.inject(request(group, "alice", alice.session.id, 1, "add", 1), to=1)
        assert group.gather(bob.call("value")) == [8]

    both(
        scenario,
        (ClientTable, "section", lambda self: self.__dict__.setdefault("nothing", Contents())),
        fails=OracleFailure,
        words="O8: after sequence .* replica 1, which took over a state, has another client table",
    )


def test_bft_smart_27_a_resumed_replica_never_completed_its_transfer() -> None:
    """A transfer ends though the group goes on meanwhile.

    A replica stopped by control-Z and resumed much later asked for state, and the transfer never came to an end: the
    others had gone on. Ours moves on to a later checkpoint when nobody keeps the one it asks for.

    Planted: a transfer keeps to its first goal.
    """

    def scenario() -> None:
        group = Cluster(Counter, seed=4, limits=SMALL)
        alice = group.client("alice")
        group.pause(3)
        missed = group.network.on(dst=3).drop()
        add(group, alice, 6)
        group.resume(3)
        missed.stop()
        asked = group.network.on(Kind.FETCH, src=3).drop()
        add(group, alice, 1)
        group.run_until(lambda: asked.met > 0)
        add(group, alice, 8)
        asked.stop()
        group.finish(alice.call("add", 1))
        assert [each.sequence for each in group.steps(3, StateInstalled)] == [16]

    both(
        scenario,
        (Transfer, "outlived", lambda self, before: False),
        fails=OracleFailure,
        words="O15: a healed group made no progress: no equal histories",
    )


def test_bft_smart_27_a_stopped_replica_filled_its_memory() -> None:
    """Who cannot execute keeps so many bytes of proposals, and no more.

    The other half of that report: what the others went on to say waited in queues that counted messages, half a million
    of them, and memory ran out. Ours counts bytes, refuses the rest, and asks for it when its time has come.

    Planted: every proposal is kept.
    """

    def scenario() -> None:
        limits = Limits(
            operation_bytes=512,
            operations_per_request=1,
            request_bytes=1024,
            batch_bytes=1600,
            results_bytes=128,
            checkpoint_interval=32,
            log_size=64,
        )
        group = Cluster(Shelf, seed=5, limits=limits, settings=ReplicaSettings(window=2, unexecuted_bytes=4096))
        alice = group.client("alice")
        first = group.network.on(Kind.PRE_PREPARE, dst=3, where=lambda it: unpack(PrePrepare, it.body).sequence == 1)
        proof = group.network.on(
            Kind.COMMITTED, dst=3, where=lambda it: unpack(CommitCertificate, it.body).sequence == 1
        )
        for rule in (first, proof):
            rule.drop()
        for _ in range(30):
            group.gather(alice.call("put", "box", "x" * 490))
        assert group.executed(3) == 0
        assert group.ignored(3)[Reason.FULL] > 0
        for rule in (first, proof):
            rule.stop()
        group.finish(alice.call("count"))

    both(
        scenario,
        (Agreement, "_has_room", lambda *_: True),
        fails=OracleFailure,
        words="O14: replica 3 has unexecuted_bytes = .*, and 15296 is the most",
    )
