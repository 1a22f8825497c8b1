"""Published defects of what a new view takes over: prepared batches lost, views that came back, batches run twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from pbft.core import view_change
from pbft.core.effects import Effect, Send, ViewEntered
from pbft.core.envelope import Kind
from pbft.core.group import Limits
from pbft.core.log import Slot
from pbft.core.messages import (
    CheckpointProof,
    Prepare,
    PreparedCertificate,
    ViewChange,
    pack,
    unpack,
)
from pbft.core.replica import Replica
from pbft.core.reproposal import Reproposal, repropose
from pbft.core.settings import Now
from pbft.core.view_change import Entry, ViewChanges
from pbft.testing import Cluster, OracleFailure
from pbft.testing.byzantine import Adversary
from pbft_apps.counter import Counter
from tests.regressions.plant import both


class Masking(Adversary):
    """Shows certificates in its VIEW-CHANGE that nobody's signatures bear out, and that sort before any real one."""

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Put a digest of nothing into each certificate of its vote."""
        return [self._masked(effect) for effect in effects]

    def _masked(self, effect: Effect) -> Effect:
        if not isinstance(effect, Send) or effect.envelope.kind is not Kind.VIEW_CHANGE:
            return effect
        vote = unpack(ViewChange, effect.envelope.body)
        prepared = tuple(replace(each, digest=bytes(32)) for each in vote.prepared)
        return replace(effect, envelope=self.say(Kind.VIEW_CHANGE, pack(replace(vote, prepared=prepared))))


def test_concord_bft_50_an_invalid_certificate_masked_valid_ones() -> None:
    """A liar's certificate hides nobody else's.

    A malicious replica's VIEW-CHANGE held an invalid certificate for a sequence, and finding it the code gave up on
    that sequence: the valid ones that others showed were not looked at, and a committed batch could be lost. Ours skips
    a certificate that does not verify and looks at the next.

    Planted: the best certificate decides, valid or not.
    """

    def scenario() -> None:
        group = Cluster(Counter, seed=1, byzantine={0: Masking})
        alice = group.client("alice")
        group.gather(alice.call("add", 5))
        group.network.on(Kind.PRE_PREPARE, src=0).drop()
        group.network.on(Kind.VIEW_CHANGE, src=3, dst=1).drop()
        assert group.gather(alice.call("add", 2)) == [7]
        assert 0 in [vote.sender for vote in group.steps(1, ViewEntered)[0].votes]

    def first_or_none(
        votes: Sequence[ViewChange],
        log_size: int,
        is_stable: Callable[[CheckpointProof], bool],
        is_prepared: Callable[[PreparedCertificate], bool],
    ) -> Reproposal:
        best: dict[int, PreparedCertificate] = {}
        for certificate in (each for vote in votes for each in vote.prepared):
            rank = (-certificate.view, certificate.digest)
            held = best.setdefault(certificate.sequence, certificate)
            if rank < (-held.view, held.digest):
                best[certificate.sequence] = certificate
        kept = [
            replace(vote, prepared=tuple(each for each in vote.prepared if each in best.values())) for vote in votes
        ]
        return repropose(kept, log_size, is_stable, is_prepared)

    both(
        scenario,
        (view_change, "repropose", first_or_none),
        fails=OracleFailure,
        words="O7: batch .* committed at sequence 1 in view 0, and view 1 proposes nothing there",
    )


def test_raijin_8_view_changes_dropped_what_was_prepared() -> None:
    """What prepared in one view is proposed in all later ones, until a checkpoint covers it.

    Changing views wiped all prepares and the block they were for, so the next leader could propose another one where
    that had prepared, perhaps committed. Ours keeps the certificate of the highest view for every sequence, through
    views in which nothing prepares again.

    Planted: entering a view forgets what the views before certified.
    """

    def scenario() -> None:
        group = Cluster(Counter, seed=2)
        alice = group.client("alice")
        group.network.on(Kind.COMMIT, dst=(1, 2, 3)).drop()
        call = alice.call("add", 5)
        group.run_until(lambda: group.executed(0) == 1)
        group.network.isolate(0)
        group.network.on(Kind.PREPARE, where=lambda envelope: unpack(Prepare, envelope.body).view == 1).drop()
        group.run_until(lambda: group.views() == {0, 2})
        group.heal()
        group.finish(call)
        assert call.value() == 5

    begin_view = Slot.begin_view

    def forgetting(self: Slot) -> None:
        begin_view(self)
        self.certificate = self.certified = None

    both(
        scenario,
        (Slot, "begin_view", forgetting),
        fails=OracleFailure,
        words="O7: batch .* committed at sequence 1 in view 0, and view 2 proposes nothing there",
    )


def test_raijin_18_a_replayed_view_change_moved_the_view_back() -> None:
    """Views only rise.

    Nothing demanded that a view change goes forward: who had recorded one, without any key, could replay it whenever it
    liked, and the nodes went back to the old view and forgot what was under way. Ours refuses whatever speaks for a
    view at or below the one entered.

    Planted: votes and NEW-VIEWs of views gone by are taken.
    """

    def scenario() -> None:
        group = Cluster(Counter, seed=3, n=7)
        alice = group.client("alice")
        for primary in (0, 1):
            group.crash(primary)
            group.gather(alice.call("add", 1))
        assert group.views() == {2}

        recorded = next(each for each in group.durable(3) if each.vote.kind is Kind.NEW_VIEW)
        for envelope in (recorded.vote, *recorded.basis):
            for replica in (2, 3, 4, 5, 6):
                group.inject(envelope, to=replica)
        group.gather(alice.call("add", 1))
        assert group.views() == {2}

    both(
        scenario,
        (ViewChanges, "view", property(lambda self: 0)),
        fails=OracleFailure,
        words="O4: replica . entered view 1 after view 2",
    )


def test_smartbft_570_one_decision_was_delivered_twice() -> None:
    """A batch executes once, whichever way it comes, and however often.

    A node got a decision by synchronising, did not note how far that had brought it, and delivered the decision once
    more when the next view change showed it again. Ours counts what was executed in one place: what a view proposes
    again is agreed on again, and executed only where it had not been.

    Planted: a new view delivers from its checkpoint on.
    """

    def scenario() -> None:
        group = Cluster(Counter, seed=4, limits=Limits(checkpoint_interval=2, log_size=4))
        alice = group.client("alice")
        for _ in range(3):
            group.gather(alice.call("add", 1))
        group.run_until_level()
        group.crash(0)
        assert group.gather(alice.call("add", 1)) == [4]
        assert [len(each.digests) for each in group.steps(1, ViewEntered)] == [1]

    enter = Replica._enter

    def delivering_again(self: Replica, entry: Entry) -> None:
        enter(self, entry)
        self._execution.executed = entry.stable.sequence
        self._execute_committed()

    both(
        scenario,
        (Replica, "_enter", delivering_again),
        fails=OracleFailure,
        words="O4: replica . executed sequence 3 after 3",
    )
