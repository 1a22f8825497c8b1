"""State transfer: a replica that missed too much takes over a state that a quorum vouches for (OSDI'99 section 4.4).

Sources here are correct replicas whose answers the test hands on, alters or keeps back (attack R7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest

from pbft.core.effects import (
    Broadcast,
    Diverged,
    Executed,
    Persist,
    Reason,
    Send,
    StateInstalled,
)
from pbft.core.envelope import Envelope, Kind
from pbft.core.group import Limits
from pbft.core.messages import MAX_FETCHED_CHUNKS, Checkpoint, Chunk, Fetch, pack, unpack
from pbft.core.outbox import Outbox
from pbft.core.settings import ReplicaSettings
from pbft.core.snapshot import Snapshot
from pbft.core.transfer import Transfer
from pbft.machine import Context
from pbft.pieces import SNAPSHOT_PIECE_BYTES, Pieces
from tests.core.builders import Microscope, Scene, Turn

K = 4
LIMITS = Limits(checkpoint_interval=K, log_size=2 * K)
SETTINGS = ReplicaSettings(transfer_chunks=6, transfer_timeout_ms=500)
ME = 3
SIZE = 60_000
"""Bytes of an operation: K of them make a state of several chunks."""


def proposal(scene: Scene, sequence: int) -> Envelope:
    return scene.pre_prepare(sequence, scene.request("alice", sequence, (sequence.to_bytes(1, "big") * SIZE,)))


class Source:
    """A correct replica that has executed up to a stable checkpoint, and what it says of it."""

    def __init__(self, upto: int, n: int = 4) -> None:
        self.watched = Scene(n, limits=LIMITS).watch(0)
        votes = []
        for sequence in range(1, upto + 1):
            for vote in self.watched.agree(proposal(self.watched.scene, sequence)).said(Kind.CHECKPOINT):
                self.watched.stabilise(vote)
                votes.append(unpack(Checkpoint, vote.body))
        self.checkpoint = votes[-1]
        proof = self.watched.scene.proof(self.checkpoint.sequence, self.checkpoint.digest)
        self.proof = Envelope(Kind.CHECKPOINT_PROOF, 0, pack(proof))
        self.chunks = self._chunks()

    def _chunks(self) -> list[Chunk]:
        asked = Fetch(self.checkpoint.sequence, self.checkpoint.digest, tuple(range(20)))
        sent = self.watched.give(Envelope(Kind.FETCH, 1, pack(asked))).said(Kind.CHUNK)
        return [unpack(Chunk, each.body) for each in sent]


@cache
def source(upto: int = K, n: int = 4) -> Source:
    return Source(upto, n)


def watch(n: int = 4) -> Microscope:
    return Scene(n, limits=LIMITS).watch(ME, SETTINGS)


def behind(upto: int = 2 * K, n: int = 4) -> tuple[Microscope, Turn]:
    """Return a replica that learned how far the group is, asked for the log in vain, and so began to fetch."""
    watched = watch(n)
    watched.give(source(upto, n).proof)
    turn = watched.wait(750)
    assert watched.replica.status().transferring == upto
    return watched, turn


def asked(turn: Turn) -> list[tuple[int, tuple[int, ...]]]:
    """Return whom a turn asked for which chunks."""
    sent = [each for each in turn.of(Send) if each.envelope.kind is Kind.FETCH]
    return [(each.to, unpack(Fetch, each.envelope.body).chunks) for each in sent]


def deliver(watched: Microscope, by: int, chunk: Chunk) -> Turn:
    return watched.give(Envelope(Kind.CHUNK, by, pack(chunk)))


def deliver_all(watched: Microscope, chunks: Sequence[Chunk]) -> Turn:
    """Deliver chunks until none is missing; return the last turn."""
    turn = Turn([])
    for chunk in chunks:
        turn = deliver(watched, 0, chunk)
    return turn


def spoilt(chunk: Chunk) -> list[Chunk]:
    """Return a chunk spoilt in each way: its bytes, its place, their number, its path."""
    return [
        replace(chunk, data=chunk.data[:-1] + bytes([chunk.data[-1] ^ 1])),
        replace(chunk, data=b""),
        replace(chunk, index=chunk.index + 1),
        replace(chunk, chunks=chunk.chunks + 1),
        replace(chunk, chunks=1, index=0, path=()),
        replace(chunk, path=chunk.path[:-1]),
        replace(chunk, path=(*chunk.path, bytes(32))),
        replace(chunk, path=(bytes(32), *chunk.path[1:])),
    ]


# When.


def test_who_can_still_be_helped_by_the_log_fetches_no_state():
    """A stable checkpoint ahead is no reason yet: it asks for what it lacks, and gets there by executing."""
    watched = watch()
    turn = watched.give(source(K).proof)
    assert asked(turn) == []
    for sequence in range(1, K + 1):
        watched.give(watched.scene.committed(0, proposal(watched.scene, sequence)))
    assert watched.executed == watched.replica.status().low_watermark == K
    assert asked(watched.wait(5_000)) == []


def test_who_asked_in_vain_fetches_the_state():
    """After two statuses without progress the log is not to be had; one source is asked how much there is."""
    _, turn = behind()
    assert len(turn.said(Kind.STATUS)) >= 2
    assert asked(turn) == [(0, (0,))]
    (fetch,) = turn.said(Kind.FETCH)
    checkpoint = source(2 * K).checkpoint
    assert unpack(Fetch, fetch.body) == Fetch(checkpoint.sequence, checkpoint.digest, (0,))


def test_who_enters_a_view_beyond_its_state_fetches_at_once():
    """A view that starts from a later checkpoint leaves nothing below it to be executed (OSDI'99 section 4.4)."""
    watched = watch()
    goal = source(2 * K).checkpoint
    turn = watched.enter(1, stable=watched.scene.proof(goal.sequence, goal.digest))
    assert asked(turn) == [(0, (0,))]
    status = watched.replica.status()
    assert (status.transferring, status.low_watermark, status.executed) == (2 * K, 2 * K, 0)


# From whom.


def test_chunks_come_from_several_sources_at_once():
    """Once the first has told how many there are, the others are asked for their shares, each chunk of one source."""
    watched, _ = behind()
    turn = deliver(watched, 0, source(2 * K).chunks[0])
    total = source(2 * K).chunks[0].chunks
    assert total > 6
    wanted = [index for _, chunks in asked(turn) for index in chunks]
    assert sorted(wanted) == wanted == list(range(1, 7))
    assert [by for by, _ in asked(turn)] == [0, 1, 2]


@pytest.mark.parametrize("which", range(8))
def test_a_chunk_that_does_not_lead_to_the_digest_is_refused(which):
    """Whoever sends it is passed over, and another source is asked; nothing of it is kept."""
    watched, _ = behind()
    turn = deliver(watched, 0, spoilt(source(2 * K).chunks[0])[which])
    assert turn.reasons == [Reason.WRONG_DIGEST]
    assert asked(turn) == [(1, (0,))]
    assert watched.replica.status().transferring == 2 * K
    turn = deliver(watched, 1, source(2 * K).chunks[0])
    assert turn.reasons == []
    assert 0 not in [by for by, _ in asked(turn)]


def test_a_source_that_stalls_is_passed_over():
    """After its time, its share is another's to send; when it comes after all, it is taken."""
    watched, _ = behind()
    chunks = source(2 * K).chunks
    shares = dict(asked(deliver(watched, 0, chunks[0])))
    assert asked(watched.wait(499)) == []
    more = [asked(deliver(watched, 1, chunks[index])) for index in shares[1]][-1]
    assert [by for by, _ in more] == [1]
    watched.wait(1)
    again = [asked(deliver(watched, 1, chunks[index])) for index in dict(more)[1]][-1]
    assert [by for by, _ in again] == [1]
    assert set(dict(again)[1]) & {*shares[0], *shares[2]}
    assert deliver(watched, 2, chunks[shares[2][0]]).reasons == []


def test_every_source_is_tried_again_when_all_have_failed():
    """Nobody is given up for good: a slow network looks like silence."""
    watched, _ = behind()
    tried: list[int] = []
    for _ in range(12):
        tried += [by for by, _ in asked(watched.wait(500))]
    assert set(tried) == {0, 1, 2}
    assert tried[:6] == tried[3:9]


def test_f_liars_and_sleepers_do_not_keep_a_replica_from_the_state():
    """One source spoils whatever it is asked for, and the state comes from the others all the same."""
    watched, turn = behind(n=7)
    good = source(2 * K, 7)
    rounds = 0
    while watched.executed == 0:
        rounds += 1
        assert rounds < 50
        answers = [(by, index) for by, chunks in asked(turn) for index in chunks]
        turns = [watched.wait(500)] if not answers else []
        for by, index in answers:
            chunk = good.chunks[index]
            if by == 0:
                turns.append(deliver(watched, by, spoilt(chunk)[0]))
            elif by != 1:
                turns.append(deliver(watched, by, chunk))
        turn = Turn([effect for each in turns for effect in each.effects])
    assert watched.executed == 2 * K


def test_what_was_not_asked_for_is_not_taken():
    """Chunks of another checkpoint, and one that is here already."""
    watched, _ = behind()
    chunk = source(2 * K).chunks[0]
    assert deliver(watched, 0, source(K).chunks[0]).reasons == [Reason.NOT_WANTED]
    assert deliver(watched, 2, chunk).reasons == []
    assert deliver(watched, 0, chunk).reasons == [Reason.NOT_WANTED]


# A target that moves.


def test_a_fetch_that_goes_on_is_finished_though_a_later_state_is_stable():
    """What is half here is worth more than starting over with each checkpoint of a busy group."""
    watched, _ = behind(K)
    *chunks, last = source(K).chunks
    for chunk in chunks:
        deliver(watched, 0, chunk)
    watched.give(source(2 * K).proof)
    assert watched.replica.status().transferring == K
    (installed,) = deliver(watched, 0, last).of(StateInstalled)
    assert installed.sequence == K


def test_a_fetch_that_stalls_moves_on_to_the_later_state():
    """It may be that nobody keeps the earlier one any more."""
    watched, _ = behind(K)
    deliver(watched, 0, source(K).chunks[0])
    watched.give(source(2 * K).proof)
    turn = watched.wait(3_000)
    assert watched.replica.status().transferring == 2 * K
    assert (0,) in [chunks for _, chunks in asked(turn)]
    turn = deliver_all(watched, source(2 * K).chunks)
    assert [each.sequence for each in turn.of(StateInstalled)] == [2 * K]


def test_who_got_there_by_itself_stops_fetching():
    """The log came after all: there is nothing to install any more."""
    watched, _ = behind(K)
    deliver(watched, 0, source(K).chunks[0])
    for sequence in range(1, K + 1):
        watched.give(watched.scene.committed(0, proposal(watched.scene, sequence)))
    assert (watched.executed, watched.replica.status().transferring) == (K, None)
    assert watched.replica.deadline_ms is None


# Installed.


def test_the_last_chunk_completes_the_state():
    """The replica is where the group is: state, agreed time and watermarks; it votes for nothing and runs nothing."""
    watched, _ = behind()
    good = source(2 * K)
    turn = deliver_all(watched, good.chunks)
    assert turn.of(StateInstalled) == [StateInstalled(2 * K, good.checkpoint.digest, len(good.chunks))]
    assert not [each for each in turn.effects if isinstance(each, Persist | Broadcast | Executed)]
    theirs, ours = good.watched.replica.status(), watched.replica.status()
    assert watched.replica.state_digest() == good.watched.replica.state_digest()
    for field in ("executed", "stable_checkpoint", "low_watermark", "high_watermark", "agreed_time_ms"):
        assert getattr(ours, field) == getattr(theirs, field)
    assert ours.transferring is None


def test_execution_goes_on_behind_the_installed_state():
    """What committed beyond it meanwhile runs at once, and the next batch as on any other replica."""
    watched, _ = behind(K)
    scene = watched.scene
    for sequence in (K + 2, K + 1):
        watched.give(scene.committed(0, proposal(scene, sequence)))
    assert watched.executed == 0
    turn = deliver_all(watched, source(K).chunks)
    assert [each.sequence for each in turn.of(Executed)] == [K + 1, K + 2]
    for sequence in (K + 3, K + 4):
        turn = watched.agree(proposal(scene, sequence))
    (vote,) = turn.said(Kind.CHECKPOINT)
    assert unpack(Checkpoint, vote.body) == source(2 * K).checkpoint


def test_who_installed_a_state_serves_it():
    """The next that is behind may ask here."""
    watched, _ = behind()
    good = source(2 * K)
    deliver_all(watched, good.chunks)
    fetch = Fetch(2 * K, good.checkpoint.digest, (1,))
    (sent,) = watched.give(Envelope(Kind.FETCH, 1, pack(fetch))).said(Kind.CHUNK)
    assert unpack(Chunk, sent.body) == good.chunks[1]


def test_requests_that_ran_elsewhere_wait_no_more():
    """What waited here and is in the state is done with; what is not, still waits."""
    watched, _ = behind()
    for timestamp, client in ((2 * K, "alice"), (1, "bob")):
        watched.give(watched.scene.request(client, timestamp))
    assert watched.replica.status().waiting == 2
    deliver_all(watched, source(2 * K).chunks)
    assert watched.replica.status().waiting == 1


# Another state than the group's.


def diverge() -> tuple[Microscope, Turn]:
    """Return a replica whose memory went wrong before a checkpoint, and the turn in which it was out-voted."""
    watched = watch()
    for sequence in range(1, K + 1):
        if sequence == K:
            watched.application.ran.append(watched.application.ran[0])
        watched.agree(proposal(watched.scene, sequence))
    return watched, watched.give(source(K).proof)


def test_who_is_out_voted_stops_and_fetches_the_groups_state():
    """Its own digest and the proven one are told; it executes nothing more on what it has (design 4.7)."""
    watched, turn = diverge()
    (diverged,) = turn.of(Diverged)
    assert (diverged.sequence, diverged.proven) == (K, source(K).checkpoint.digest)
    assert diverged.own != diverged.proven
    assert asked(turn) == [(0, (0,))]
    status = watched.replica.status()
    assert (status.executed, status.transferring, status.low_watermark) == (K, K, 0)
    turn = watched.agree(proposal(watched.scene, K + 1))
    assert turn.of(Executed) == []
    assert turn.answers() == []


def test_who_comes_to_another_state_than_was_proven_before_stops_there():
    """Also where the quorum spoke first: its own state is compared as soon as it is there, and not voted for."""
    watched = watch()
    watched.give(source(K).proof)
    watched.application.ran.append((b"what nobody asked for", Context(0, "alice", 0, bytes(32), 0)))
    turns = [watched.agree(proposal(watched.scene, sequence)) for sequence in range(1, K + 2)]
    assert [len(turn.of(Diverged)) for turn in turns] == [0] * (K - 1) + [1, 0]
    assert not [vote for turn in turns for vote in turn.said(Kind.CHECKPOINT)]
    assert (watched.executed, watched.replica.status().transferring) == (K, K)


def test_who_was_out_voted_goes_on_with_the_groups_state():
    """Once it is installed: what committed meanwhile runs, with the group's results, and the next votes agree."""
    watched, _ = diverge()
    for sequence in range(K + 1, 2 * K + 1):
        watched.agree(proposal(watched.scene, sequence))
    turn = deliver_all(watched, source(K).chunks)
    assert [each.sequence for each in turn.of(StateInstalled)] == [K]
    assert [each.sequence for each in turn.of(Executed)] == list(range(K + 1, 2 * K + 1))
    (vote,) = turn.said(Kind.CHECKPOINT)
    assert unpack(Checkpoint, vote.body) == source(2 * K).checkpoint
    assert watched.replica.state_digest() == source(2 * K).watched.replica.state_digest()


def test_who_was_out_voted_signs_no_second_vote():
    """Its wrong word for a later state stands, though it knows better after running that part again."""
    watched = watch()
    watched.application.ran.append((b"what nobody asked for", Context(0, "alice", 0, bytes(32), 0)))
    turns = [watched.agree(proposal(watched.scene, sequence)) for sequence in range(1, 2 * K + 1)]
    assert len([vote for turn in turns for vote in turn.said(Kind.CHECKPOINT)]) == 2
    assert watched.give(source(K).proof).of(Diverged)
    turn = deliver_all(watched, source(K).chunks)
    assert [each.sequence for each in turn.of(Executed)] == list(range(K + 1, 2 * K + 1))
    assert turn.said(Kind.CHECKPOINT) == []
    assert watched.replica.state_digest() == source(2 * K).watched.replica.state_digest()
    assert watched.give(source(2 * K).proof).of(Diverged) == []
    assert watched.replica.status().low_watermark == 2 * K


def test_a_minority_does_not_make_a_replica_doubt_itself():
    """f other digests are f liars' (R6)."""
    watched = watch()
    for sequence in range(1, K + 1):
        watched.agree(proposal(watched.scene, sequence))
    turn = watched.give(watched.scene.checkpoint(2, K, bytes(32)))
    assert (turn.of(Diverged), asked(turn)) == ([], [])
    watched.agree(proposal(watched.scene, K + 1))
    assert watched.executed == K + 1


def test_no_question_asks_for_more_than_its_field_holds():
    """However many chunks are to be asked for at once: what a peer cannot decode brings no state."""
    scene = Scene(limits=LIMITS)
    outbox = Outbox(ME, scene.group, scene.signers[ME], scene.verifier)
    transfer = Transfer(outbox, replace(SETTINGS, transfer_chunks=1_000))
    stated = Snapshot(K, [Pieces(lambda: [bytes(1_000)] * 300, SNAPSHOT_PIECE_BYTES)], sizes=(1_024,))
    transfer.begin(scene.proof(K, stated.digest))
    data, path = stated.chunk(0)
    first = Chunk(K, 0, stated.chunks, path, data)
    transfer.on_chunk(first, Envelope(Kind.CHUNK, 0, pack(first)), 0)
    asked_for = [unpack(Fetch, each.envelope.body).chunks for each in outbox.effects() if isinstance(each, Send)]
    assert max(map(len, asked_for)) == MAX_FETCHED_CHUNKS
