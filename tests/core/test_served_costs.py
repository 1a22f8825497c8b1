"""What it costs a replica to be asked for its state: counted against whoever asks, so that none asks for ever (W2)."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pbft.core.assembly import Assembly
from pbft.core.effects import Reason
from pbft.core.envelope import Envelope, Kind
from pbft.core.group import Limits
from pbft.core.messages import Checkpoint, pack, unpack
from pbft.core.replica import Replica
from pbft.core.settings import ReplicaSettings
from pbft.core.state_messages import (
    BATCHES,
    MAX_FETCHED_NODES,
    NODES_BYTES,
    TOP,
    Address,
    Fetch,
    NodeAt,
    Nodes,
    Recall,
)
from pbft.machine import StateMachine, encode_operation, operation
from pbft.table import Table
from tests.core.builders import Microscope, Recorder, Scene, Turn
from tests.core.states import nodes_of, snapshot_of

LIMITS = Limits(checkpoint_interval=4, log_size=8)
RATE = ReplicaSettings().repair_bytes_per_ms
BURST = 16 * ReplicaSettings().repair_bytes
PER_PLACE = 512
ASKER = 3
MANY = 200
"""More questions than any test asks."""


class Numbers(StateMachine):
    """A state of as many small entries as are asked for."""

    items: Table[int, int]

    @operation
    def fill(self, first: int, count: int) -> int:
        """Write some."""
        for number in range(first, first + count):
            self.items[number] = number
        return count


@dataclass
class Source:
    """A replica with a stable state of thousands of small nodes."""

    watched: Microscope
    stable: Checkpoint
    small: list[Address]

    def ask(self, *addresses: Address) -> Turn:
        """Ask for nodes, as a peer does."""
        return self.watched.give(question(self.stable, *addresses))

    def bytes_of(self, *addresses: Address) -> int:
        """Return how many bytes of nodes an answer brings; none of them is left out."""
        (answer,) = self.ask(*addresses).said(Kind.NODES)
        nodes = unpack(Nodes, answer.body).nodes
        assert tuple(each.address for each in nodes) == addresses
        return sum(len(each.payload) for each in nodes)

    def asked_in_vain(self, body: bytes) -> int:
        """Return how often a question without an answer is read in one moment."""
        return sum(bool(self.watched.give(Envelope(Kind.FETCH, ASKER, body)).reasons) for _ in range(1_000))

    def spent(self) -> bool:
        """Say whether the peer drew its share, by a question that always has an answer."""
        return not self.ask(TOP).said(Kind.NODES)


def question(stable: Checkpoint, *addresses: Address) -> Envelope:
    return Envelope(Kind.FETCH, ASKER, pack(Fetch(stable.sequence, stable.digest, addresses)))


def begin() -> Source:
    scene = Scene(limits=LIMITS)
    replica = Replica(
        1, scene.group, Numbers(), scene.signers[1], scene.verifier, ReplicaSettings(checkpoint_nodes=2**20)
    )
    watched = Microscope(scene, replica, Recorder(), greeted=True)
    votes: list[Envelope] = []
    for number in range(1, 5):
        request = scene.request("alice", number, (encode_operation("fill", [4_000 * number, 4_000]),))
        votes += watched.agree(scene.pre_prepare(number, request)).said(Kind.CHECKPOINT)
    watched.stabilise(votes[0])
    stable = unpack(Checkpoint, votes[0].body)
    snapshot = watched.replica._checkpoints.snapshot(stable.sequence)
    assert snapshot is not None
    places = sorted((len(payload), place.prefix, place) for place, payload in nodes_of(snapshot).items())
    small = [place for size, _, place in places if size < 200]
    assert len(small) > 4 * MAX_FETCHED_NODES
    return Source(watched, stable, small)


def test_small_nodes_cost_what_it_takes_to_look_them_up():
    """Half a kibibyte each beside what they hold: they take far more of a replica's time than of its link's."""
    source = begin()
    some = source.small[:MAX_FETCHED_NODES]
    each = source.bytes_of(*some) + PER_PLACE * len(some)
    questions = 1
    while source.ask(*some).said(Kind.NODES):
        questions += 1
        assert questions < MANY
    assert questions == -(-BURST // each)


def test_a_question_costs_something_though_its_answer_is_empty():
    """As much as may be sent in a millisecond, however little it asks for: where nothing stands, nothing comes."""
    source = begin()
    for _ in range(BURST // RATE - 1):
        assert source.ask(Address(9, b"")).effects == []
    assert source.ask(TOP).said(Kind.NODES)
    assert source.spent()


def test_places_where_nothing_stands_cost_as_much_as_others():
    """Whoever names many of them is asking for as much work."""
    source = begin()
    nowhere = [Address(9, bytes([number // 16, number % 16])) for number in range(MAX_FETCHED_NODES)]
    for _ in range(BURST // (PER_PLACE * MAX_FETCHED_NODES) - 1):
        assert source.ask(*nowhere).effects == []
    assert not source.spent()
    source.ask(*nowhere)
    assert source.spent()


def test_a_place_is_named_once_in_a_question():
    """The same one again and again would bring the asker nothing; such a question is refused, and counts."""
    source = begin()
    twice = pack(Fetch(source.stable.sequence, source.stable.digest, (source.small[0], TOP, source.small[0])))
    turn = source.watched.give(Envelope(Kind.FETCH, ASKER, twice))
    assert turn.reasons == [Reason.MALFORMED]
    assert turn.said(Kind.NODES) == []
    assert source.asked_in_vain(twice) == BURST // RATE - 1
    assert source.spent()


def test_what_cannot_be_read_counts_too():
    """Else a flood of questions that break off at their end would cost their sender nothing."""
    source = begin()
    assert source.asked_in_vain(pack(Fetch(4, bytes(32), tuple(source.small[:256])))[:-1]) == BURST // RATE


def test_who_drew_its_share_is_not_even_read():
    """Neither a FETCH nor a RECALL, not even to refuse it; others are, and later it is again."""
    source = begin()
    for _ in range(BURST // (PER_PLACE * MAX_FETCHED_NODES)):
        source.ask(*source.small[:MAX_FETCHED_NODES])
    for kind in (Kind.FETCH, Kind.RECALL):
        assert source.watched.give(Envelope(kind, ASKER, b"\x80")).effects == []
        assert source.watched.give(Envelope(kind, 2, b"\x80")).reasons == [Reason.MALFORMED]
    source.watched.ms += 1_000
    assert source.watched.give(Envelope(Kind.RECALL, ASKER, pack(Recall(BATCHES, 1, 4, 0)))).said(Kind.RECALLED)
    assert not source.spent()


def test_nodes_that_nobody_asked_for_are_not_even_read():
    """While no state is fetched, whatever a NODES brings is unwanted: also what could not be read."""
    watched = Scene().watch(1)
    unasked = pack(Nodes(4, (NodeAt(TOP, bytes(1_000)),)))
    for body in (unasked, unasked[:-1], b"\x80"):
        assert watched.give(Envelope(Kind.NODES, ASKER, body)).reasons == [Reason.NOT_WANTED]


def test_nodes_that_cannot_be_read_are_refused_while_a_state_is_fetched():
    """Then they are read, and it is their fault."""
    scene = Scene(limits=LIMITS)
    watched = scene.watch(1)
    proof = scene.proof(4 * LIMITS.log_size, bytes(range(32)))
    watched.give(Envelope(Kind.CHECKPOINT_PROOF, ASKER, pack(proof)))
    watched.wait(1_000)
    assert watched.replica.status().transferring == proof.sequence
    assert watched.give(Envelope(Kind.NODES, ASKER, b"\x80")).reasons == [Reason.MALFORMED]


@pytest.mark.parametrize("sources", [1, 3])
def test_a_correct_fetcher_is_never_left_waiting(sources):
    """With as much under way as its settings let it ask of one source, and faster by half than it takes nodes in."""
    source = begin()
    snapshot = source.watched.replica._checkpoints.snapshot(source.stable.sequence)
    assert snapshot is not None
    share = ReplicaSettings().transfer_bytes // sources
    assembly, asked, microseconds = Assembly(), list[tuple[list[Address], int]](), 0
    assembly.begin(snapshot.sequence, snapshot.digest, snapshot_of(*({} for _ in snapshot.views)))
    while not assembly.complete:
        while sum(size for _, size in asked) + NODES_BYTES <= share and (claimed := assembly.claim())[0]:
            asked.append(claimed)
        addresses, _ = asked.pop(0)
        source.watched.ms = microseconds // 1_000
        (answer,) = source.ask(*addresses).said(Kind.NODES)
        for node in unpack(Nodes, answer.body).nodes:
            assert assembly.put(node.address, node.payload)
        microseconds += 40 * len(addresses)


def test_a_hundred_questions_a_second_are_answered_for_ever():
    """Of 256 small nodes each: some 25,000 a second of each source, more than whoever asks takes in."""
    source = begin()
    for number in range(2 * BURST // (PER_PLACE * MAX_FETCHED_NODES)):
        source.watched.ms += 10
        first = MAX_FETCHED_NODES * (number % 4)
        assert source.bytes_of(*source.small[first : first + MAX_FETCHED_NODES])
