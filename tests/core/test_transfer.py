"""State transfer: a replica that missed too much takes over a state that a quorum vouches for (OSDI'99 section 4.4).

Sources here are correct replicas whose answers the test hands on, alters or keeps back (attack R7).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
from pbft.core.messages import Checkpoint, pack, unpack
from pbft.core.outbox import Outbox
from pbft.core.settings import ReplicaSettings
from pbft.core.snapshot import ForeignState, Snapshot
from pbft.core.state_messages import MAX_FETCHED_NODES, NODES_BYTES, TOP, Address, Fetch, NodeAt, Nodes
from pbft.core.transfer import Transfer
from pbft.machine import Context
from tests.core.builders import Microscope, Recorder, Scene, Turn, at
from tests.core.states import nodes_of, snapshot_of

K = 4
LIMITS = Limits(checkpoint_interval=K, log_size=2 * K)
SHARE = 96 * 1024
SETTINGS = ReplicaSettings(transfer_bytes=3 * SHARE, transfer_timeout_ms=500)
ME = 3
SIZE = 60_000
"""Bytes of an operation: K of them make a state of several nodes, each about as large as a message may be."""

Asked = tuple[int, tuple[Address, ...]]


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
        snapshot = self.watched.replica._checkpoints.snapshot(upto)
        assert snapshot is not None
        self.nodes = nodes_of(snapshot)
        """Every node of the state, by its place: the top first."""

    def answer(self, addresses: Iterable[Address]) -> Nodes:
        """Return what a correct replica answers, however often it is asked."""
        return Nodes(self.checkpoint.sequence, tuple(NodeAt(each, self.nodes[each]) for each in addresses))


@cache
def source(upto: int = K, n: int = 4) -> Source:
    return Source(upto, n)


def watch(n: int = 4, application: Recorder | None = None) -> Microscope:
    return Scene(n, limits=LIMITS).watch(ME, SETTINGS, application=application)


def behind(upto: int = 2 * K, n: int = 4, application: Recorder | None = None) -> tuple[Microscope, Turn]:
    """Return a replica that learned how far the group is, asked for the log in vain, and so began to fetch."""
    watched = watch(n, application)
    watched.give(source(upto, n).proof)
    turn = watched.wait(750)
    assert watched.replica.status().transferring == upto
    return watched, turn


def asked(turn: Turn) -> list[Asked]:
    """Return whom a turn asked for which nodes."""
    sent = [each for each in turn.of(Send) if each.envelope.kind is Kind.FETCH]
    return [(each.to, unpack(Fetch, each.envelope.body).addresses) for each in sent]


def deliver(watched: Microscope, by: int, nodes: Nodes) -> Turn:
    return watched.give(Envelope(Kind.NODES, by, pack(nodes)))


def answer(watched: Microscope, good: Source, by: int, addresses: Iterable[Address]) -> Turn:
    """Have a source answer as a correct one does."""
    return deliver(watched, by, good.answer(addresses))


def answer_all(watched: Microscope, good: Source, waiting: Sequence[Asked], most: int = 1_000) -> Turn:
    """Have everybody answer as long as anything is asked for, or so many times; return all that came of it."""
    effects: list[object] = []
    queue = list(waiting)
    while queue and most:
        turn = answer(watched, good, *queue.pop(0))
        effects += turn.effects
        queue += asked(turn)
        most -= 1
    return Turn(effects)  # type: ignore[arg-type]


def spread(upto: int = 2 * K, n: int = 4) -> tuple[Microscope, list[Asked]]:
    """Return a replica that knows the roots of all sections and has asked for what is below, and whom it asked."""
    watched, turn = behind(upto, n)
    waiting = asked(turn)
    while all(each.prefix == b"" for _, addresses in waiting for each in addresses):
        by, addresses = waiting.pop(0)
        waiting += asked(answer(watched, source(upto, n), by, addresses))
    return watched, waiting


def numbered(count: int, value: bytes = b"value") -> dict[bytes, bytes]:
    """Return so many entries."""
    return {b"key-%d" % number: value for number in range(count)}


def spoilt(nodes: Nodes) -> list[Nodes]:
    """Return an answer of one node spoilt in each way: its bytes, or another node in its place."""
    (node,) = nodes.nodes
    payload = node.payload
    others = [each for place, each in source(2 * K).nodes.items() if place != node.address]
    wrong = [payload[:-1] + bytes([payload[-1] ^ 1]), payload[:-1], payload + b"\0", b"", *others[:4]]
    return [replace(nodes, nodes=(replace(node, payload=each),)) for each in wrong]


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
    """After two statuses without progress the log is not to be had; one source is asked for the top."""
    _, turn = behind()
    assert len(turn.said(Kind.STATUS)) >= 2
    assert asked(turn) == [(0, (TOP,))]
    (fetch,) = turn.said(Kind.FETCH)
    checkpoint = source(2 * K).checkpoint
    assert unpack(Fetch, fetch.body) == Fetch(checkpoint.sequence, checkpoint.digest, (TOP,))


def test_who_enters_a_view_beyond_its_state_fetches_at_once():
    """A view that starts from a later checkpoint leaves nothing below it to be executed (OSDI'99 section 4.4)."""
    watched = watch()
    goal = source(2 * K).checkpoint
    turn = watched.enter(1, stable=watched.scene.proof(goal.sequence, goal.digest))
    assert asked(turn) == [(0, (TOP,))]
    status = watched.replica.status()
    assert (status.transferring, status.low_watermark, status.executed) == (2 * K, 2 * K, 0)


def test_only_what_differs_is_fetched():
    """Of a state that this replica has most of, the nodes that changed since: a tenth of the bytes, here a third."""
    watched = watch()
    for sequence in range(1, K + 1):
        for vote in watched.agree(proposal(watched.scene, sequence)).said(Kind.CHECKPOINT):
            watched.stabilise(vote)
    own = watched.replica._checkpoints.snapshot(K)
    assert own is not None
    good = source(2 * K)
    watched.give(good.proof)
    turn = answer_all(watched, good, asked(watched.wait(5_000)))
    fetched = {place: payload for place, payload in good.nodes.items() if nodes_of(own).get(place) != payload}
    (installed,) = turn.of(StateInstalled)
    assert (installed.nodes, installed.bytes) == (len(fetched), sum(map(len, fetched.values())))
    assert installed.nodes < len(good.nodes)
    assert watched.replica.state_digest() == good.watched.replica.state_digest()


# From whom.


def test_nodes_come_from_several_sources_at_once():
    """Once the roots are known each source is asked for a share, and each node of one source."""
    _, waiting = spread()
    places = [place for _, addresses in waiting for place in addresses]
    assert len(places) == len(dict.fromkeys(places)) > 2
    assert sorted({by for by, _ in waiting}) == [0, 1, 2]


@pytest.mark.parametrize("n", [4, 7])
def test_no_more_is_under_way_than_the_settings_say(n):
    """Of each source its share, of all together the whole; a node that is larger than a share, alone."""
    watched, turn = behind(n=n)
    good = source(2 * K, n)
    waiting, everybody, most = asked(turn), dict[int, int](), 0
    while waiting:
        under_way: dict[int, int] = {}
        for by, addresses in waiting:
            under_way[by] = under_way.get(by, 0) + sum(len(good.nodes[place]) for place in addresses)
            everybody[by] = everybody.get(by, 0) + 1
        share = max(NODES_BYTES, SETTINGS.transfer_bytes // (n - 1))
        assert max(under_way.values()) <= max(share, SIZE + 2_000)
        most = max(most, sum(under_way.values()))
        assert most <= SETTINGS.transfer_bytes
        waiting += asked(answer(watched, good, *waiting.pop(0)))
    assert watched.executed == 2 * K
    assert sorted(everybody) == [each for each in range(n) if each != ME]
    assert most > SETTINGS.transfer_bytes // 3


@pytest.mark.parametrize("which", range(8))
def test_a_top_that_does_not_lead_to_the_digest_is_refused(which):
    """Whoever sends it is passed over, and another source is asked; nothing of it is kept."""
    watched, _ = behind()
    good = source(2 * K)
    turn = deliver(watched, 0, spoilt(good.answer([TOP]))[which])
    assert turn.reasons == [Reason.WRONG_DIGEST]
    assert asked(turn) == [(1, (TOP,))]
    assert watched.replica.status().transferring == 2 * K
    turn = answer(watched, good, 1, [TOP])
    assert turn.reasons == []
    assert 0 not in [by for by, _ in asked(turn)]


@pytest.mark.parametrize("which", range(8))
def test_a_node_that_is_not_what_its_parent_names_is_refused(which):
    """At every depth: what its source was asked for is asked of others at once, and it is asked for no more."""
    watched, waiting = spread()
    good = source(2 * K)
    by, addresses = waiting[-1]
    standing = watched.replica.situation(watched.ms).transfer
    turn = deliver(watched, by, spoilt(good.answer(addresses[:1]))[which])
    assert turn.reasons == [Reason.WRONG_DIGEST]
    assert watched.replica.situation(watched.ms).transfer == standing
    kept = [each for each in waiting if each[0] != by]
    turns = [turn, answer_all(watched, good, [*kept, *asked(turn)])]
    assert by not in [each for turn in turns for each, _ in asked(turn)]
    assert watched.executed == 2 * K


def test_what_comes_before_a_wrong_node_is_kept():
    """Each node is checked on its own: a good one is good whoever sent it."""
    watched, turn = behind()
    good = source(2 * K)
    (_, (first, *_)), (by, (second, *_)), *_ = asked(answer(watched, good, 0, [TOP]))
    before = watched.replica.situation(watched.ms).transfer
    told = good.answer([first, second])
    turn = deliver(watched, by, replace(told, nodes=(told.nodes[0], replace(told.nodes[1], payload=b"junk"))))
    assert turn.reasons == [Reason.WRONG_DIGEST]
    wanted = [place for _, addresses in asked(turn) for place in addresses]
    assert first not in wanted
    assert second in wanted
    assert before is not None


def test_a_source_that_stalls_is_passed_over():
    """After its time what it was asked for is others' to send; when it comes after all, it is taken."""
    watched, waiting = spread()
    good = source(2 * K)
    assert asked(watched.wait(499)) == []
    late = [each for each in waiting if each[0] == 0]
    again: list[Asked] = []
    for by, addresses in waiting:
        if by != 0:
            again += asked(answer(watched, good, by, addresses))
    assert {by for by, _ in again} <= {1, 2}
    turn = watched.wait(1)
    taken_on = [place for _, addresses in asked(turn) for place in addresses]
    assert 0 not in [by for by, _ in asked(turn)]
    assert {place for _, addresses in late for place in addresses} & set(taken_on)
    assert answer(watched, good, *late[0]).reasons == []
    answer_all(watched, good, [*again, *asked(turn)])
    assert watched.executed == 2 * K


def test_every_source_is_tried_again_when_all_have_failed():
    """Nobody is given up for good: a slow network looks like silence."""
    watched, _ = behind()
    tried: list[int] = []
    for _ in range(12):
        tried += [by for by, _ in asked(watched.wait(500))]
    assert set(tried) == {0, 1, 2}
    assert tried[:6] == tried[3:9]


def test_an_answer_of_a_part_leaves_the_rest_to_others_at_once():
    """And its source is passed over: correct ones bring all that one question asks for."""
    rig = Rig(Scene(limits=LIMITS), snapshot_of({}, numbered(3_000)), SETTINGS)
    waiting = rig.begin()
    while not any(len(addresses) > 40 for _, addresses in waiting):
        waiting += rig.answer(*waiting.pop(0))
    by, addresses = next(each for each in waiting if len(each[1]) > 40)
    again = rig.answer(by, addresses[:1])
    assert {place for _, places in again for place in places} >= set(addresses[1:])
    assert by not in [each for each, _ in again]
    assert rig.reasons == []


def test_who_brings_one_node_at_a_time_delays_nothing():
    """Just before it would be late, and each of them right: the others bring the rest, in no time here."""
    rig = Rig(Scene(limits=LIMITS), snapshot_of({}, numbered(3_000)), SETTINGS)
    waiting = rig.begin()
    while not rig.transfer.complete:
        prompt = [each for each in waiting if each[0] != 0]
        if not prompt:
            held, waiting = waiting, rig.wait(SETTINGS.transfer_timeout_ms - 1)
            for _, addresses in held:
                waiting += rig.answer(0, addresses[:1])
        for each in prompt:
            waiting.remove(each)
            waiting += rig.answer(*each)
    assert rig.ms < 3 * SETTINGS.transfer_timeout_ms


def test_a_source_that_others_forestall_has_answered():
    """What it was asked for came from somebody who was not: it does not pass for late, and nobody asks it again."""
    rig = Rig(Scene(limits=LIMITS), snapshot_of({}, numbered(3_000)), SETTINGS)
    ((by, addresses),) = rig.begin()
    stranger = (by + 1) % 3
    waiting = rig.answer(stranger, addresses)
    assert rig.reasons == []
    waiting += rig.answer(by, addresses)
    assert rig.reasons == []
    for each in waiting:
        # The list grows as it is gone through, to the end of the transfer.
        waiting += rig.answer(*each)
    assert rig.transfer.complete
    assert by in [each for each, _ in waiting]
    rig.answer(by, addresses)
    assert rig.reasons == [Reason.NOT_WANTED]


def test_f_liars_and_sleepers_do_not_keep_a_replica_from_the_state():
    """One source spoils whatever it is asked for, one says nothing: the state comes from the others all the same."""
    watched, turn = behind(n=7)
    good = source(2 * K, 7)
    rounds = 0
    while watched.executed == 0:
        rounds += 1
        assert rounds < 50
        waiting = asked(turn)
        turns = [watched.wait(500)] if not waiting else []
        for by, addresses in waiting:
            if by == 0:
                turns.append(deliver(watched, by, spoilt(good.answer(addresses[:1]))[0]))
            elif by != 1:
                turns.append(answer(watched, good, by, addresses))
        turn = Turn([effect for each in turns for effect in each.effects])
    assert watched.executed == 2 * K


def test_what_was_not_asked_for_is_not_taken():
    """Nodes of another checkpoint, of where nothing is missing, and what is here already."""
    watched, _ = behind()
    good = source(2 * K)
    for nodes in (
        source(K).answer([TOP]),
        Nodes(2 * K, (NodeAt(Address(0, b""), good.nodes[Address(0, b"")]),)),
        Nodes(2 * K, (NodeAt(Address(9, b"\3"), b"junk"), NodeAt(Address(0, b"\xff"), b""))),
    ):
        turn = deliver(watched, 0, nodes)
        assert (turn.reasons, asked(turn)) == ([Reason.NOT_WANTED], [])
    assert answer(watched, good, 2, [TOP]).reasons == []
    assert answer(watched, good, 1, [TOP]).reasons == [Reason.NOT_WANTED]


# A target that moves.


def test_a_fetch_that_goes_on_is_finished_though_a_later_state_is_stable():
    """What is half here is worth more than starting over with each checkpoint of a busy group."""
    watched, turn = behind(K)
    good = source(K)
    waiting = asked(turn)
    while len(waiting) > 1 or asked(turn):
        turn = answer(watched, good, *waiting.pop(0))
        waiting += asked(turn)
    watched.give(source(2 * K).proof)
    assert watched.replica.status().transferring == K
    (installed,) = answer_all(watched, good, waiting).of(StateInstalled)
    assert installed.sequence == K


def test_a_fetch_that_stalls_moves_on_to_the_later_state():
    """It may be that nobody keeps the earlier one any more. What came of it and is the same is not fetched again."""
    watched, turn = behind(K)
    answer_all(watched, source(K), asked(turn), 8)
    came = [place for place, payload in source(K).nodes.items() if source(2 * K).nodes.get(place) == payload]
    watched.give(source(2 * K).proof)
    turn = watched.wait(3_000)
    assert watched.replica.status().transferring == 2 * K
    (top,) = [each for each in asked(turn) if each[1] == (TOP,)][-1:]
    (installed,) = answer_all(watched, source(2 * K), [top]).of(StateInstalled)
    assert installed.sequence == 2 * K
    assert came
    assert installed.nodes < 8 + len(source(2 * K).nodes)


def test_who_got_there_by_itself_stops_fetching():
    """The log came after all: there is nothing to install any more."""
    watched, _ = behind(K)
    answer(watched, source(K), 0, [TOP])
    for sequence in range(1, K + 1):
        watched.give(watched.scene.committed(0, proposal(watched.scene, sequence)))
    assert (watched.executed, watched.replica.status().transferring) == (K, None)
    assert watched.replica.deadline_ms is None


# Installed.


def test_the_last_node_completes_the_state():
    """The replica is where the group is: state, agreed time and watermarks; it votes for nothing and runs nothing."""
    watched, turn = behind()
    good = source(2 * K)
    turn = answer_all(watched, good, asked(turn))
    fetched = sum(len(payload) for payload in good.nodes.values())
    assert turn.of(StateInstalled) == [StateInstalled(2 * K, good.checkpoint.digest, len(good.nodes), fetched)]
    assert not [each for each in turn.effects if isinstance(each, Persist | Broadcast | Executed)]
    theirs, ours = good.watched.replica.status(), watched.replica.status()
    assert watched.replica.state_digest() == good.watched.replica.state_digest()
    for field in ("executed", "stable_checkpoint", "low_watermark", "high_watermark", "agreed_time_ms"):
        assert getattr(ours, field) == getattr(theirs, field)
    assert ours.transferring is None


def test_how_far_it_is_can_be_told():
    """Bytes that are here and bytes of the whole: nothing before the top, all of it at the end, and never back."""
    watched, turn = behind()
    good = source(2 * K)
    waiting, told = asked(turn), []
    while waiting:
        standing = watched.replica.situation(watched.ms).transfer
        assert standing is not None
        told.append((standing.sequence, standing.bytes, standing.of))
        waiting += asked(answer(watched, good, *waiting.pop(0)))
    assert watched.replica.situation(watched.ms).transfer is None
    assert told[0] == (2 * K, 0, 0)
    assert len(dict.fromkeys(of for _, _, of in told[1:])) == 1
    assert told == sorted(told)
    assert 0.9 * told[-1][2] - SIZE <= told[-1][1] < told[-1][2]


def test_execution_goes_on_behind_the_installed_state():
    """What committed beyond it meanwhile runs at once, and the next batch as on any other replica."""
    watched, turn = behind(K)
    scene = watched.scene
    for sequence in (K + 2, K + 1):
        watched.give(scene.committed(0, proposal(scene, sequence)))
    assert watched.executed == 0
    turn = answer_all(watched, source(K), asked(turn))
    assert [each.sequence for each in turn.of(Executed)] == [K + 1, K + 2]
    for sequence in (K + 3, K + 4):
        turn = watched.agree(proposal(scene, sequence))
    (vote,) = turn.said(Kind.CHECKPOINT)
    assert unpack(Checkpoint, vote.body) == source(2 * K).checkpoint


def test_what_is_executed_while_nodes_come_is_undone_by_them():
    """The log brings part of the way after all: the state is the proven one, and goes on like it."""
    watched, turn = behind()
    scene, good = watched.scene, source(2 * K)
    waiting = asked(turn)
    for sequence in range(1, K - 1):
        waiting += asked(answer(watched, good, *waiting.pop(0)))
        watched.give(scene.committed(0, proposal(scene, sequence)))
    assert watched.executed == K - 2
    assert answer_all(watched, good, waiting).of(StateInstalled)
    assert watched.replica.state_digest() == good.watched.replica.state_digest()
    for sequence in range(2 * K + 1, 3 * K + 1):
        turn = watched.agree(proposal(scene, sequence))
    (vote,) = turn.said(Kind.CHECKPOINT)
    assert unpack(Checkpoint, vote.body) == source(3 * K).checkpoint


def test_who_installed_a_state_serves_it():
    """The next that is behind may ask here."""
    watched, turn = behind()
    good = source(2 * K)
    answer_all(watched, good, asked(turn))
    for place, payload in good.nodes.items():
        fetch = Fetch(2 * K, good.checkpoint.digest, (place,))
        watched.ms += 1_000
        (sent,) = watched.give(Envelope(Kind.FETCH, 1, pack(fetch))).said(Kind.NODES)
        assert unpack(Nodes, sent.body) == Nodes(2 * K, (NodeAt(place, payload),))


def test_requests_that_ran_elsewhere_wait_no_more():
    """What waited here and is in the state is done with; what is not, still waits."""
    watched, turn = behind()
    for timestamp, client in ((2 * K, "alice"), (1, "bob")):
        watched.give(watched.scene.request(client, timestamp))
    assert watched.replica.status().waiting == 2
    answer_all(watched, source(2 * K), asked(turn))
    assert watched.replica.status().waiting == 1


# States that this replica cannot have.


class Forgetful(Recorder):
    """Restores what it is given, but for its last operation."""

    def restore(self, pieces: Iterable[bytes]) -> None:
        super().restore(pieces)
        self.ran = self.ran[:-1]


class Proud(Recorder):
    """Restores nothing."""

    def restore(self, pieces: Iterable[bytes]) -> None:
        raise ValueError("these are not my pieces")


@pytest.mark.parametrize(
    ("application", "sentence"),
    [
        (Forgetful, r"did not restore the state it was given at sequence 8: .*snapshot\(\) and restore\(\)"),
        (Proud, "at sequence 8: these are not my pieces"),
    ],
)
def test_an_application_that_cannot_take_the_groups_state_over_stops_its_replica(application, sentence):
    """It would answer wrongly from then on: what it must be told is one sentence."""
    watched, turn = behind(application=application())
    with pytest.raises(ForeignState, match=sentence):
        answer_all(watched, source(2 * K), asked(turn))


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
    assert asked(turn) == [(0, (TOP,))]
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
    watched, turn = diverge()
    for sequence in range(K + 1, 2 * K + 1):
        watched.agree(proposal(watched.scene, sequence))
    turn = answer_all(watched, source(K), asked(turn))
    assert [each.sequence for each in turn.of(StateInstalled)] == [K]
    assert [each.sequence for each in turn.of(Executed)] == list(range(K + 1, 2 * K + 1))
    (vote,) = turn.said(Kind.CHECKPOINT)
    assert unpack(Checkpoint, vote.body) == source(2 * K).checkpoint
    assert watched.replica.state_digest() == source(2 * K).watched.replica.state_digest()


def test_who_was_out_voted_fetches_what_differs_alone():
    """Its own wrong state is where it begins: what is equal there does not move."""
    watched, turn = diverge()
    (installed,) = answer_all(watched, source(K), asked(turn)).of(StateInstalled)
    assert 1 < installed.nodes < len(source(K).nodes)


def test_who_was_out_voted_signs_no_second_vote():
    """Its wrong word for a later state stands, though it knows better after running that part again.

    The wrong states themselves are dropped: nobody is served one, and the right ones are.
    """
    watched = watch()
    watched.application.ran.append((b"what nobody asked for", Context(0, "alice", 0, bytes(32), 0)))
    turns = [watched.agree(proposal(watched.scene, sequence)) for sequence in range(1, 2 * K + 1)]
    votes = [unpack(Checkpoint, vote.body) for turn in turns for vote in turn.said(Kind.CHECKPOINT)]
    assert [vote.sequence for vote in votes] == [K, 2 * K]
    turn = watched.give(source(K).proof)
    assert turn.of(Diverged)
    turn = answer_all(watched, source(K), asked(turn))
    assert [each.sequence for each in turn.of(Executed)] == list(range(K + 1, 2 * K + 1))
    assert turn.said(Kind.CHECKPOINT) == []
    assert watched.replica.state_digest() == source(2 * K).watched.replica.state_digest()
    assert watched.give(source(2 * K).proof).of(Diverged) == []
    assert watched.replica.status().low_watermark == 2 * K
    for vote, right in zip(votes, (source(K), source(2 * K)), strict=True):
        for digest, found in ((vote.digest, 0), (right.checkpoint.digest, 1)):
            fetch = Envelope(Kind.FETCH, 1, pack(Fetch(vote.sequence, digest, (TOP,))))
            assert len(watched.give(fetch).said(Kind.NODES)) == found


def test_a_minority_does_not_make_a_replica_doubt_itself():
    """f other digests are f liars' (R6)."""
    watched = watch()
    for sequence in range(1, K + 1):
        watched.agree(proposal(watched.scene, sequence))
    turn = watched.give(watched.scene.checkpoint(2, K, bytes(32)))
    assert (turn.of(Diverged), asked(turn)) == ([], [])
    watched.agree(proposal(watched.scene, K + 1))
    assert watched.executed == K + 1


# The transfer alone.


class Rig:
    """A Transfer without a replica around it, and the state that it fetches."""

    def __init__(self, scene: Scene, goal: Snapshot, settings: ReplicaSettings) -> None:
        self.goal = goal
        self.ms = 0
        self.reasons: list[Reason] = []
        self._outbox = Outbox(ME, scene.group, scene.signers[ME], scene.verifier)
        self._outbox.begin(at(0))
        self._proof = scene.proof(goal.sequence, goal.digest)
        self.transfer = Transfer(self._outbox, settings)

    def begin(self, base: Snapshot | None = None) -> list[Asked]:
        self.transfer.begin(self._proof, base or snapshot_of(*({} for _ in self.goal.views)))
        return self._collect()

    def answer(self, by: int, addresses: Iterable[Address]) -> list[Asked]:
        nodes = Nodes(self.goal.sequence, tuple(NodeAt(each, self.goal.node(each) or b"") for each in addresses))
        self.transfer.on_nodes(nodes, Envelope(Kind.NODES, by, pack(nodes)), by)
        return self._collect()

    def lie(self, by: int, addresses: Iterable[Address]) -> list[Asked]:
        nodes = Nodes(self.goal.sequence, tuple(NodeAt(each, b"junk") for each in addresses))
        self.transfer.on_nodes(nodes, Envelope(Kind.NODES, by, pack(nodes)), by)
        return self._collect()

    def wait(self, ms: int) -> list[Asked]:
        self.ms += ms
        self._outbox.begin(at(self.ms))
        self.transfer.tick()
        return self._collect()

    def _collect(self) -> list[Asked]:
        turn = Turn(self._outbox.effects())
        self._outbox.begin(at(self.ms))
        self.reasons += turn.reasons
        return asked(turn)


def test_no_question_asks_for_more_than_its_field_holds():
    """However much may be asked for at once: what a peer cannot decode brings no state."""
    goal = snapshot_of(numbered(9_000, b""))
    rig = Rig(Scene(limits=LIMITS), goal, replace(SETTINGS, transfer_bytes=2**30))
    waiting, lengths = rig.begin(), list[int]()
    while waiting:
        lengths += [len(addresses) for _, addresses in waiting]
        waiting = [more for each in waiting for more in rig.answer(*each)]
    assert rig.transfer.complete
    assert max(lengths) == MAX_FETCHED_NODES


def test_our_own_state_is_digested_before_anything_is_asked_for():
    """In slices, a tick each, at once one after the other: meanwhile nothing is under way, and nothing is taken."""
    entries = numbered(20_000)
    rig = Rig(Scene(limits=LIMITS), snapshot_of({**entries, b"key-7": b"other"}), SETTINGS)
    assert rig.begin(snapshot_of(entries, sequence=3)) == []
    turns = 0
    waiting: list[Asked] = []
    while not waiting:
        assert rig.transfer.deadline_ms == rig.ms
        assert not rig.transfer.complete
        assert rig.answer(0, [TOP]) == []
        assert rig.reasons.pop() is Reason.NOT_WANTED
        waiting = rig.wait(0)
        turns += 1
    assert turns > 2
    assert waiting == [(0, (TOP,))]
    assert rig.transfer.deadline_ms == SETTINGS.transfer_timeout_ms
    while waiting:
        waiting = [more for each in waiting for more in rig.answer(*each)]
    assert rig.transfer.complete
    assert rig.transfer.arrived <= 6


def test_a_transfer_that_stops_lets_go_of_what_came():
    """And takes nothing more."""
    rig = Rig(Scene(limits=LIMITS), snapshot_of(numbered(500)), SETTINGS)
    rig.answer(*rig.begin()[0])
    assert rig.transfer.assembly.held == 0
    assert rig.transfer.standing() is not None
    rig.transfer.stop()
    assert (rig.transfer.standing(), rig.transfer.deadline_ms, rig.transfer.assembly.nodes) == (None, None, 0)
    assert rig.answer(0, [Address(0, b"")]) == []
    assert rig.reasons == [Reason.NOT_WANTED]
