"""A replica that is out-voted asks what others remember (design 5): what it takes for an answer, and what it tells.

Those who answer are correct replicas, whose answers the test hands on, alters or keeps back.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from pbft.core.deeds import MOST_BYTES
from pbft.core.effects import Diverged, Reason, Send
from pbft.core.envelope import Envelope, Kind
from pbft.core.findings import DivergenceExplained
from pbft.core.group import Limits
from pbft.core.messages import Checkpoint, pack, unpack
from pbft.core.settings import ReplicaSettings
from pbft.core.state_messages import BATCHES, MOST_RECALLED, OPERATIONS, WRITES, Recall, Recalled
from pbft.core.usage import bounds
from pbft.machine import Context, Outcome, Result
from tests.core.builders import Microscope, Scene, Turn

K = 4
LIMITS = Limits(checkpoint_interval=K, log_size=2 * K)
ME = 3
SETTINGS = ReplicaSettings()


def proposal(scene: Scene, sequence: int) -> Envelope:
    return scene.pre_prepare(sequence, scene.request("alice", sequence, (b"first", b"second")))


class Group:
    """One replica that goes wrong at a sequence, and the others, who do not."""

    def __init__(self, wrong_at: int = 2, n: int = 4) -> None:
        self.scene = Scene(n, limits=LIMITS)
        self.digest = b""
        """What the others vouch for."""
        self.by = 0
        """Who answered last."""
        self.watched = self.scene.watch(ME, SETTINGS)
        self.others = {number: self.scene.watch(number, SETTINGS) for number in range(n) if number != ME}
        for sequence in range(1, K + 1):
            if sequence == wrong_at:
                self.watched.application.ran.append((b"what nobody asked for", Context(0, "alice", 0, bytes(32), 0)))
            self.watched.agree(proposal(self.scene, sequence))
            for other in self.others.values():
                if other.me == 0:
                    other.give(self.scene.request("alice", sequence, (b"first", b"second")))
                    other.tick()
                for vote in _agreed(other, sequence):
                    self.digest = unpack(Checkpoint, vote.body).digest

    def diverge(self) -> Turn:
        """Let the replica learn what a quorum vouches for."""
        proof = self.scene.proof(K, self.digest, [number for number in range(self.scene.n) if number != ME])
        turn = self.watched.give(Envelope(Kind.CHECKPOINT_PROOF, 0, pack(proof)))
        assert turn.of(Diverged)
        return turn

    def answer(self, turn: Turn, *by: int) -> Turn:
        """Hand on what is asked to some others, and their answers, until nothing more is asked."""
        effects = []
        while asked := [(each.to, each.envelope) for each in turn.of(Send) if each.envelope.kind is Kind.RECALL]:
            turns = [self.say(recalled) for to, recall in asked if to in by for recalled in self.told(to, recall)]
            turn = Turn([effect for each in turns for effect in each.effects])
            effects += turn.effects
        return Turn(effects)

    def told(self, by: int, recall: Envelope) -> list[Recalled]:
        """Return what another answers."""
        turn = self.others[by].give(recall)
        self.by = by
        return [unpack(Recalled, each.body) for each in turn.said(Kind.RECALLED)]

    def say(self, recalled: Recalled, by: int | None = None) -> Turn:
        """Let another answer something."""
        return self.watched.give(Envelope(Kind.RECALLED, self.by if by is None else by, pack(recalled)))


def _agreed(other: Microscope, sequence: int) -> list[Envelope]:
    """Take a proposal through its phases at any replica; return the CHECKPOINT that it casts."""
    placed = proposal(other.scene, sequence)
    turn = other.give(other.scene.committed(1 if other.me == 0 else 0, placed))
    return turn.said(Kind.CHECKPOINT)


def asked(turn: Turn) -> list[tuple[int, Recall]]:
    """Return who is asked what."""
    sent = [each for each in turn.of(Send) if each.envelope.kind is Kind.RECALL]
    return [(each.to, unpack(Recall, each.envelope.body)) for each in sent]


def test_who_is_out_voted_asks_all_others_level_by_level():
    """What batches did since its state was last right, then operations, then one operation's writes."""
    group = Group(wrong_at=2)
    turn = group.diverge()
    assert asked(turn) == [(number, Recall(BATCHES, 1, K, 0)) for number in (0, 1, 2)]
    turn = group.answer(turn, 0, 1)
    questions = list(dict.fromkeys(question for _, question in asked(turn)))
    assert questions == [Recall(OPERATIONS, 2, 2, 0), Recall(WRITES, 2, 2, 0)]
    assert turn.of(DivergenceExplained) == [], "the right state has not come yet"
    (found,) = group.watched.wait(61_000).of(DivergenceExplained)
    assert (found.sequence, found.differs_at, found.operation, found.unknown) == (K, 2, 0, "")
    assert found.ordered is not None
    assert (found.ordered.client, found.ordered.timestamp, found.ordered.operation.shown) == ("alice", 2, b"first")
    assert (found.total_keys, found.rejoined_at) == (None, None)
    assert [each.replicas for each in found.others_did] == [(0, 1)]


def test_a_state_that_no_operation_explains_is_told_as_such():
    """Memory went wrong behind the last one: all operations did the same."""
    group = Group(wrong_at=0)
    group.watched.application.ran.append((b"what nobody asked for", Context(0, "alice", 0, bytes(32), 0)))
    group.watched.agree(proposal(group.scene, K + 1))
    # Its checkpoint was sound; what others vouch for here is the test's own invention.
    group.digest = bytes(32)
    group.answer(group.diverge(), 0, 1, 2)
    (found,) = group.watched.wait(61_000).of(DivergenceExplained)
    assert (found.differs_at, found.operation) == (None, None)
    assert found.unknown.startswith("all operations that could be compared did the same")


def test_a_record_that_was_full_is_told_as_such():
    """What this replica does not remember it cannot compare, and it says that this was the reason."""
    group = Group(wrong_at=3)
    deeds = group.watched.replica._execution.deeds
    for sequence in (2, 3, 4):
        deeds.begin(sequence)
        deeds.note(sequence, Result(Outcome.OK, bytes(MOST_BYTES)), ())
    group.answer(group.diverge(), 0, 1, 2)
    (found,) = group.watched.wait(61_000).of(DivergenceExplained)
    assert (found.differs_at, found.unknown) == (None, "the record of operations was full")


def test_answers_that_are_none_are_refused():
    """What was not asked for, what was answered already, what tells more than was asked, and what cannot be read."""
    group = Group()
    question = Recall(BATCHES, 1, K, 0)
    good = (bytes(32),) * K
    assert group.say(Recalled(question, good), by=0).reasons == [Reason.NOT_WANTED], "before anything was asked"
    group.diverge()
    for odd in (Recall(BATCHES, 1, K - 1, 0), Recall(OPERATIONS, 1, 1, 0), Recall(WRITES, 1, 1, 0)):
        assert group.say(Recalled(odd, good), by=0).reasons == [Reason.NOT_WANTED]
    for items in ((), (*good, bytes(32)), (b"short",), (bytes(33),)):
        assert group.say(Recalled(question, items), by=0).reasons == [Reason.MALFORMED]
    assert group.say(Recalled(question, good), by=0).reasons == []
    assert group.say(Recalled(question, good), by=0).reasons == [Reason.NOT_WANTED]
    assert group.watched.give(Envelope(Kind.RECALLED, 1, b"\x80")).reasons == [Reason.MALFORMED]


def test_answers_of_each_level_are_read_strictly():
    """As many digests as the batch has operations, and an account that a correct replica could give."""
    group = Group()
    told = {by: group.told(by, Envelope(Kind.RECALL, ME, pack(Recall(BATCHES, 1, K, 0))))[0] for by in (0, 1)}
    group.diverge()
    group.say(told[0], by=0)
    (question,) = {recall for _, recall in asked(group.say(told[1], by=1))}
    assert question == Recall(OPERATIONS, 2, 2, 0)
    for items in ((bytes(32),), (bytes(32),) * 3, (bytes(31), bytes(32)), (b"", b"")):
        assert group.say(Recalled(question, items), by=0).reasons == [Reason.MALFORMED]
    digests = {by: group.told(by, Envelope(Kind.RECALL, ME, pack(question)))[0] for by in (0, 1)}
    group.say(digests[0], by=0)
    (question,) = {recall for _, recall in asked(group.say(digests[1], by=1))}
    assert question == Recall(WRITES, 2, 2, 0)
    for junk in ((b"",), (bytes(4_096),), (bytes(10),) * 100):
        assert group.say(Recalled(question, junk), by=0).reasons == [Reason.MALFORMED]


def test_an_answer_may_come_in_parts():
    """Who tells of fewer sequences is asked for the others."""
    group = Group()
    group.diverge()
    (whole,) = group.told(0, Envelope(Kind.RECALL, ME, pack(Recall(BATCHES, 1, K, 0))))
    turn = group.say(replace(whole, items=whole.items[:1]), by=0)
    assert asked(turn) == [(0, Recall(BATCHES, 2, K, 0))]
    turn = group.say(Recalled(Recall(BATCHES, 2, K, 0), whole.items[1:]), by=0)
    assert (turn.reasons, asked(turn)) == ([], [])


def test_one_liar_alone_decides_nothing():
    """Whatever it tells, the next level begins when f+1 have told the same."""
    group = Group()
    turn = group.diverge()
    lie = Recalled(Recall(BATCHES, 1, K, 0), (bytes(32),) * K)
    assert asked(group.say(lie, by=2)) == []
    (found,) = Turn([*group.answer(turn, 0, 1).effects, *group.watched.wait(61_000).effects]).of(DivergenceExplained)
    assert (found.differs_at, found.unknown) == (2, "")


def test_who_does_not_answer_is_asked_again_and_given_up():
    """At growing intervals, for four seconds; then what is known is told when the state has had its time, too."""
    group = Group()
    group.diverge()
    turn = group.watched.wait(4_000)
    # The first question went out at 0, and the sixth would be due after the end.
    assert len(asked(turn)) == 3 * 5
    late = group.say(Recalled(Recall(BATCHES, 1, K, 0), (bytes(32),) * K), by=0)
    assert late.reasons == [Reason.NOT_WANTED]
    turn = group.watched.wait(60_000)
    assert asked(turn) == []
    (found,) = turn.of(DivergenceExplained)
    assert (found.differs_at, found.unknown) == (None, "too few of the others answered in time")
    assert group.watched.wait(60_000).of(DivergenceExplained) == []


def test_votes_that_cannot_come_to_a_quorum_any_more_are_looked_into():
    """Three of four for three states: whatever the last one says. Two for two leave it open."""
    group = Group()
    turn = group.watched.give(group.scene.checkpoint(0, K, bytes([1]) * 32))
    assert asked(turn) == []
    turn = group.watched.give(group.scene.checkpoint(1, K, bytes([2]) * 32))
    assert asked(turn) == [(number, Recall(BATCHES, 1, K, 0)) for number in (0, 1, 2)]
    assert turn.of(Diverged) == []
    assert asked(group.watched.give(group.scene.checkpoint(2, K, bytes([3]) * 32))) == []


@pytest.mark.parametrize(
    "recall",
    [
        Recall(BATCHES, 2, 1, 0),
        Recall(BATCHES, 1, MOST_RECALLED + 1, 0),
        Recall(OPERATIONS, 1, 2, 0),
        Recall(WRITES, 1, 2, 0),
    ],
)
def test_questions_that_no_correct_replica_asks_are_refused(recall):
    """Backwards, for more than one answer holds, or for the operations of several batches."""
    watched = Scene(limits=LIMITS).watch(1)
    watched.run(2)
    turn = watched.give(Envelope(Kind.RECALL, 2, pack(recall)))
    assert (turn.reasons, turn.said(Kind.RECALLED)) == ([Reason.MALFORMED], [])


def test_of_what_is_not_executed_yet_nothing_is_told():
    """It is not forgotten either: whoever asks, asks again."""
    watched = Scene(limits=LIMITS).watch(1)
    watched.run(2)
    assert watched.give(Envelope(Kind.RECALL, 2, pack(Recall(BATCHES, 3, 9, 0)))).said(Kind.RECALLED) == []
    (answer,) = watched.give(Envelope(Kind.RECALL, 2, pack(Recall(BATCHES, 1, 9, 0)))).said(Kind.RECALLED)
    assert len(unpack(Recalled, answer.body).items) == 2


def test_one_peer_has_its_share_of_answers():
    """Who asks without end is not answered without end; the next peer is, and time gives it back."""
    watched = Scene(limits=LIMITS).watch(1)
    watched.run(2)
    question = pack(Recall(BATCHES, 1, 2, 0))
    answered = [bool(watched.give(Envelope(Kind.RECALL, 2, question)).said(Kind.RECALLED)) for _ in range(1_000)]
    assert 0 < sum(answered) < 200
    assert not answered[-1]
    assert watched.give(Envelope(Kind.RECALL, 3, question)).said(Kind.RECALLED)
    watched.wait(100)
    assert watched.give(Envelope(Kind.RECALL, 2, question)).said(Kind.RECALLED)


def test_what_is_recalled_is_counted_and_bounded():
    """Own deeds and batches, and all that others tell: nothing once it is over."""
    group = Group()
    group.diverge()
    lie = Recalled(Recall(BATCHES, 1, K, 0), (bytes(32),) * K)
    group.say(lie, by=0)
    usage, most = group.watched.replica.usage(), bounds(group.scene.group, SETTINGS)
    names = ("recalled_deeds", "recalled_batch_bytes", "recalled_bytes")
    assert [usage[name] for name in names] == [2 * K, usage["recalled_batch_bytes"], 32 * K]
    assert usage["recalled_batch_bytes"] > 0
    assert all(usage[name] <= most[name] for name in most)
    group.watched.wait(70_000)
    assert [group.watched.replica.usage()[name] for name in names] == [0, 0, 0]
