"""Published defects of view changes: groups that hung in one, ran on through views, or forgot what was prepared."""

from __future__ import annotations

from pbft.core.agreement import Agreement
from pbft.core.batches import SignedRequest
from pbft.core.envelope import Envelope, Kind, seal
from pbft.core.group import Limits
from pbft.core.log import Proposal, Slot
from pbft.core.messages import BEGINNING, Commit, Prepare, PrePrepare, ViewChange, pack, unpack
from pbft.core.view_change import Entry, ViewChanges
from pbft.core.votes import Vote
from pbft.testing import Cluster, NotFinished, OracleFailure
from pbft.testing.byzantine import Silent
from pbft_apps.counter import Counter
from tests.regressions.plant import both


def test_fabric_1917_view_change_votes_lost_while_links_came_up() -> None:
    """A vote that was lost is said again, so links that come up late stop no group.

    Backups that were not linked to each other yet left view 0, and each one's vote reached the primary alone. It was
    never said again: once the links were up nobody held enough votes to begin a view or to wait for one, and the group
    hung for ever. Ours answers statuses with its own vote, byte for byte, until the view begins.

    Planted: a VIEW-CHANGE and a NEW-VIEW are sent once.
    """

    def scenario() -> None:
        group = Cluster(Counter, seed=1)
        alice = group.client("alice")
        group.network.split((1,), (2,), (3,))
        call = alice.call("add", 5)
        group.run(5_000)
        group.heal()
        group.finish(call)

    both(scenario, (ViewChanges, "answer", lambda *_: 0), fails=OracleFailure, words="O15: a healed group")


def test_fabric_1111_a_new_view_wanted_equal_checkpoints() -> None:
    """Replicas that came unequally far agree on where a view begins.

    The checkpoint to begin from was looked for among the votes with equal checkpoints only, where the paper means all
    votes of the view change, and views changed without end; indy-plenum #1506 wanted a quorum for one checkpoint and
    met the same. Ours takes the highest one that any vote proves, by one pure function that primary and backups share.

    Planted: no NEW-VIEW unless a quorum of votes name the same checkpoint.
    """

    def scenario() -> None:
        group = Cluster(Counter, seed=2, limits=Limits(checkpoint_interval=2, log_size=4))
        alice = group.client("alice")
        for kind in (Kind.CHECKPOINT, Kind.CHECKPOINT_PROOF):
            group.network.on(kind, dst=(2, 3)).drop()
        for _ in range(2):
            group.gather(alice.call("add", 1))
        group.run_until_level()
        group.crash(0)
        group.finish(alice.call("add", 1))
        assert group.views() == {1}

    made = ViewChanges._make

    def only_of_equals(self: ViewChanges, supporters: list[int]) -> Entry | None:
        stable = [self._votes[who].vote.stable for who in supporters]
        equal = max(stable.count(each) for each in stable)
        return made(self, supporters) if equal >= self._group.quorums.view_change else None

    both(scenario, (ViewChanges, "_make", only_of_equals), fails=OracleFailure, words="O15: a healed group")


def test_plenum_1488_an_old_time_made_a_proposal_invalid_for_ever() -> None:
    """A batch that is proposed again may be old.

    Two of four nodes stood still for half an hour. What was proposed meanwhile went into the next view with the time
    that it had, every node found that time wrong, and view followed view. Ours holds a time against the clock when it
    is proposed first; whatever a view proposes again was judged then.

    Planted: the clock is asked again in each view.
    """

    def scenario() -> None:
        group = Cluster(Counter, seed=3)
        alice = group.client("alice")
        group.network.on(Kind.COMMIT, where=lambda envelope: unpack(Commit, envelope.body).view == 0).drop()
        votes = group.network.on(Kind.VIEW_CHANGE).drop()
        call = alice.call("add", 5)
        group.run(30_000)
        votes.stop()
        group.finish(call)

    renew = Agreement._renew

    def judging_again(self: Agreement, slot: Slot, envelope: Envelope) -> Proposal | None:
        known = slot.with_batch(unpack(PrePrepare, envelope.body).digest)
        if known is not None and abs(known.time_ms - self._out.now.wall_ms) > self._out.group.limits.clock_drift_ms:
            return None
        return renew(self, slot, envelope)

    both(scenario, (Agreement, "_renew", judging_again), fails=OracleFailure, words="O15: a healed group")


def test_indy_1720_view_numbers_leapfrogged() -> None:
    """Replicas meet in the next view, instead of asking for views further and further up.

    Nodes asked for views each beyond what the others asked for, at a rapid pace: the number rose, and no view began.
    Ours joins f+1 others at the smallest view that these ask for, and nobody leaps alone.

    Planted: whoever hears of a higher view asks for the one after it.
    """

    def scenario() -> None:
        group = Cluster(Counter, seed=4)
        alice = group.client("alice")
        group.crash(0)
        group.gather(alice.call("add", 5), within_ms=5_000)
        assert group.views() == {1}

    def leaping(self: ViewChanges) -> int | None:
        highest = max((held.vote.view for who, held in self._votes.items() if who != self._out.me), default=0)
        return highest + 1 if highest > self.target else None

    both(scenario, (ViewChanges, "joined", leaping), fails=OracleFailure, words="followed 2 others to view 2, which no")


def test_sawtooth_133_the_view_change_timer_started_too_early() -> None:
    """Who is alone with its wish for a view waits with it.

    The timer of a view change ran from when a node began it, not from when a quorum had asked for the view: a node that
    was cut off went on through views by itself, and met nobody when it came back. Ours waits with its first wish until
    a quorum shares it (OSDI'99 section 4.5.2).

    Planted: the timer starts with one's own VIEW-CHANGE.
    """

    def scenario() -> None:
        group = Cluster(Counter, seed=5)
        alice = group.client("alice")
        group.network.split((3,), (0, 1, 2))
        group.network.cut("alice", 0)
        group.gather(alice.call("add", 1))
        group.run(600_000)
        group.heal()
        group.run(5_000)
        group.crash(0)
        group.gather(alice.call("add", 1), within_ms=20_000)

    both(
        scenario,
        (ViewChanges, "has_quorum", property(lambda self: True)),
        fails=NotFinished,
        words="no answer to alice.add",
    )


def test_sawtooth_111_the_primary_also_sent_a_prepare() -> None:
    """A primary votes once for what it proposes.

    The primary voted with its pre-prepare and with a prepare, and both were counted: at some sizes two quorums then
    shared no correct node, and nodes could commit different blocks. Ours never lets a primary prepare, nor counts it.

    Planted: the primary prepares, and its prepare counts.
    """

    def scenario() -> None:
        group = Cluster(Counter, seed=6)
        alice = group.client("alice")
        assert group.gather(alice.call("add", 5)) == [5]

    propose = Agreement.propose

    def preparing(self: Agreement, sequence: int, requests: tuple[SignedRequest, ...]) -> None:
        propose(self, sequence, requests)
        slot = self._log.slot(sequence)
        assert slot.proposal is not None
        prepare = self._out.seal(Kind.PREPARE, Prepare(self.view, sequence, slot.proposal.digest))
        self._cast(slot.prepares, Vote(slot.proposal.digest, prepare, trusted=True), (slot.proposal.envelope,))

    def counting(self: Agreement, body: Prepare, envelope: Envelope, signer: int, sender: int) -> None:
        slot = self._log.slot(body.sequence)
        if self._record(slot, slot.prepares, Vote(body.digest, envelope, trusted=False), signer, sender):
            self._advance(slot)

    both(
        scenario,
        (Agreement, "propose", preparing),
        (Agreement, "on_prepare", counting),
        fails=OracleFailure,
        words="O6: .* counts a prepare of the primary",
    )


def test_bft_smart_19_no_progress_after_one_node_was_isolated() -> None:
    """With one of four partitioned the other three go on, whatever was lost between them.

    There they stopped for good in the middle of a leader change. Here one of the three is a view ahead, because its
    first vote never arrived. Ours: who asks for a later view has left the earlier one too, so the others wait with it,
    and join it when that is over. Every run of the simulator demands progress once it has healed (O15).

    Planted: only votes for exactly the view asked for start its timer.
    """

    def scenario() -> None:
        group = Cluster(Counter, seed=7)
        alice = group.client("alice")
        group.network.isolate(0)
        group.network.on(
            Kind.VIEW_CHANGE, src=3, where=lambda envelope: unpack(ViewChange, envelope.body).view == 1
        ).drop()
        group.finish(alice.call("add", 5), level=False)

    def of_this_view_only(self: ViewChanges) -> bool:
        left = [held for held in self._votes.values() if held.vote.view == self.target]
        return len(left) >= self._group.quorums.view_change

    both(
        scenario,
        (ViewChanges, "has_quorum", property(of_this_view_only)),
        fails=OracleFailure,
        words="O15: a healed group",
    )


def test_plenum_1542_the_queue_of_votes_grew_to_megabytes() -> None:
    """Of each replica one vote is held, whatever it asks for.

    Votes for thousands of views that nobody ever entered stayed in a queue of seven megabytes, which even restarts
    kept. Ours holds the vote for a replica's highest view.

    Planted: every vote is queued.
    """

    def scenario() -> None:
        group = Cluster(Counter, seed=8, byzantine={3: Silent})
        alice = group.client("alice")
        signer = group.identity("replica 3").signer
        for view in range(1, 200):
            vote = pack(ViewChange(view, BEGINNING, ()))
            group.inject(seal(group.group, signer, Kind.VIEW_CHANGE, 3, vote), to=1)
        group.run(1_000)
        assert group.gather(alice.call("add", 5)) == [5]

    on_view_change, usage = ViewChanges.on_view_change, ViewChanges.usage
    queues: dict[ViewChanges, list[Envelope]] = {}

    def queueing(self: ViewChanges, body: ViewChange, envelope: Envelope, signer: int, sender: int) -> None:
        queues.setdefault(self, []).append(envelope)
        on_view_change(self, body, envelope, signer, sender)

    def with_the_queue(self: ViewChanges) -> dict[str, int]:
        return {**usage(self), "view_changes": len(queues.get(self, ()))}

    both(
        scenario,
        (ViewChanges, "on_view_change", queueing),
        (ViewChanges, "usage", with_the_queue),
        fails=OracleFailure,
        words="O14: replica 1 has view_changes = .*, and 12 is the most",
    )
