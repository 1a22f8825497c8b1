"""What a ByzzFuzz run draws, which round a message belongs to, and that lies and partitions keep to theirs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import (
    BEGINNING,
    Checkpoint,
    NamedVote,
    NewView,
    OperationResult,
    Prepare,
    Reply,
    ReplyDetail,
    ViewChange,
    pack,
)
from pbft.testing import byzzfuzz
from pbft.testing.byzantine.mutations import ANY_SCOPE, SMALL_SCOPE
from pbft.testing.byzzfuzz import NetworkFault, ProcessFault, Rounds, Scenario, Shape

DRAWN = [Scenario.draw(number) for number in range(1_000)]
NAMES = {"Scenario": Scenario, "NetworkFault": NetworkFault, "ProcessFault": ProcessFault}
DIGEST = bytes(32)
CALM = Scenario(4, 3, "small", (), ())


def vote(kind: Kind, view: int, sequence: int) -> Envelope:
    return Envelope(kind, 2, pack(Prepare(view, sequence, DIGEST)))


def reply(view: int, sequence: int) -> Envelope:
    detail = ReplyDetail(view, bytes(16), 1, DIGEST, (OperationResult(0, b""),), 0, 1, ())
    return Envelope(Kind.REPLY, 2, pack(Reply(sequence, DIGEST)), b"", pack(detail))


# What is drawn.


def test_all_there_is_is_drawn() -> None:
    """Every liar, scope, number of faulty rounds and round; partitions into two, three and four; every receiver."""
    assert {each.liar for each in DRAWN} == {0, 1, 2, 3}
    assert 400 < sum(each.scope == "small" for each in DRAWN) < 600
    counts = {(len(each.network), len(each.process)) for each in DRAWN}
    assert counts == {(d, c) for d in range(3) for c in range(3)} - {(0, 0)}
    for faults in (
        [fault for each in DRAWN for fault in each.network],
        [one for each in DRAWN for one in each.process],
    ):
        assert {fault.round for fault in faults} == set(range(1, 9))
    assert len({fault.sides for each in DRAWN for fault in each.network}) == 14, "the partitions of four but one"
    receivers = {(fault.receivers, fault.clients) for each in DRAWN for fault in each.process if each.liar == 3}
    assert len(receivers) == 15, "the sets of three replicas and a client but the empty one"


def test_nobody_lies_to_itself_and_no_round_is_faulty_twice() -> None:
    for each in DRAWN:
        assert all(each.liar not in fault.receivers for fault in each.process)
        for rounds in ([fault.round for fault in each.network], [fault.round for fault in each.process]):
            assert rounds == sorted(set(rounds))
        for fault in each.network:
            assert sorted(replica for side in fault.sides for replica in side) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("shape", "counts"),
    [
        (Shape(network_faults=0), {(0, 1), (0, 2)}),
        (Shape(process_faults=0), {(1, 0), (2, 0)}),
        (Shape(network_faults=0, process_faults=0), {(0, 0)}),
        (Shape(rounds=1, network_faults=1, process_faults=1), {(0, 1), (1, 0), (1, 1)}),
    ],
)
def test_a_shape_bounds_the_draw(shape: Shape, counts: set[tuple[int, int]]) -> None:
    drawn = [Scenario.draw(number, shape) for number in range(100)]
    assert {(len(each.network), len(each.process)) for each in drawn} == counts


@pytest.mark.parametrize("scope", ["small", "any"])
def test_a_scope_changes_nothing_else(scope: byzzfuzz.Scope) -> None:
    """Runs of one number differ in their mutations only, so that the scopes can be compared."""
    for each in DRAWN[:50]:
        assert Scenario.draw(each.number, Shape(scope=scope)) == replace(each, scope=scope)


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        ((0, 0, 0), "faults lie among at least one round, not 0"),
        ((8, 9, 2), "network_faults must lie within 0 and the 8 rounds"),
        ((8, 2, -1), "process_faults must lie within 0 and the 8 rounds"),
    ],
)
def test_shapes_nobody_can_draw_are_refused(numbers: tuple[int, int, int], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Shape(*numbers)


def test_a_scenario_is_told_and_reads_back() -> None:
    """People read a line each fault; its representation is the whole scenario."""
    scenario = next(each for each in DRAWN if len(each.network) == len(each.process) == 2)
    assert eval(repr(scenario), NAMES) == scenario
    told = scenario.told()
    assert len(told) == 5
    assert told[0] == f"run {scenario.number}: replica {scenario.liar} of 4 is Byzantine, {scenario.scope}-scope"


# Rounds.


def test_four_rounds_order_a_request() -> None:
    """OSDI'99 section 4.2: pre-prepare, prepare, commit, reply; then those of the next sequence."""
    rounds = Rounds()
    said = [vote(Kind.PRE_PREPARE, 0, 1), vote(Kind.PREPARE, 0, 1), vote(Kind.COMMIT, 0, 1), reply(0, 1)]
    said += [vote(Kind.PRE_PREPARE, 0, 2), vote(Kind.PREPARE, 0, 2), vote(Kind.COMMIT, 0, 2), reply(0, 2)]
    assert [rounds.met(each) for each in said] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert rounds.now == 8
    assert rounds.met(vote(Kind.PREPARE, 0, 1)) == 2, "what is sent again belongs to its old round"
    assert rounds.now == 8


def test_a_new_view_has_two_rounds_before_its_phases() -> None:
    """VIEW-CHANGEs come after whatever anybody has come to, and the NEW-VIEW is the next; it says where it begins."""
    rounds = Rounds()
    rounds.met(vote(Kind.PREPARE, 0, 3))
    assert rounds.now == 10
    asked = Envelope(Kind.VIEW_CHANGE, 2, pack(ViewChange(1, BEGINNING, ())))
    begun = Envelope(Kind.NEW_VIEW, 1, pack(NewView(1, (NamedVote(2, DIGEST),), 2, ())))
    said = [asked, asked, begun, vote(Kind.PREPARE, 1, 3), vote(Kind.COMMIT, 1, 3), reply(1, 3)]
    assert [rounds.met(each) for each in said] == [11, 11, 12, 14, 15, 16]
    assert rounds.met(vote(Kind.PRE_PREPARE, 1, 4)) == 17
    assert rounds.met(vote(Kind.COMMIT, 0, 3)) == 11, "the old view's rounds go on beside it"


def test_what_names_no_place_belongs_to_the_present_round() -> None:
    """Checkpoints and statuses, lies about a view where nobody has been, and bytes that say nothing."""
    rounds = Rounds()
    rounds.met(vote(Kind.COMMIT, 0, 2))
    for stray in (
        Envelope(Kind.CHECKPOINT, 2, pack(Checkpoint(2, DIGEST))),
        vote(Kind.PREPARE, 99, 1),
        Envelope(Kind.PREPARE, 2, b"\x80"),
        Envelope(Kind.REPLY, 2, b"\x80"),
    ):
        assert rounds.of(stray) == 7
    assert rounds.now == 7


# Faults in a run.


def test_a_calm_run_has_four_rounds_a_sequence() -> None:
    """Seven calls, one sequence each or two together: no lie, nothing lost, no view change."""
    done = byzzfuzz.play(CALM)
    assert (done.lies, done.parted, done.view_changes) == (0, 0, 0)
    assert done.rounds in range(20, 29, 4)


@pytest.mark.parametrize("scope", ["small", "any"])
def test_lies_are_told_in_their_round_to_their_receivers_only(scope: byzzfuzz.Scope) -> None:
    """A backup's prepares of sequence 2 to replica 1: the trace shows one lie, and the mutations are of the scope."""
    lines: list[str] = []
    lie = ProcessFault(6, (1,), False, 77)
    done = byzzfuzz.play(replace(CALM, scope=scope, process=(lie,)), lines.append)
    assert done.lies == len([line for line in lines if "lies to r1 in round 6, " in line]) >= 1
    assert not [line for line in lines if "lies to" in line and "lies to r1 in round 6, " not in line]
    names = {name for name, _ in done.mutations}
    assert names <= set(SMALL_SCOPE if scope == "small" else ANY_SCOPE)


def test_all_receivers_of_a_message_hear_the_same_lie() -> None:
    lines: list[str] = []
    lie = ProcessFault(2, (0, 1, 2), False, 5)
    byzzfuzz.play(replace(CALM, process=(lie,)), lines.append)
    told = {line.partition("round 2, ")[2] for line in lines if "lies to" in line and line.endswith("PREPARE")}
    assert len(told) == 1


def test_a_client_is_lied_to() -> None:
    """The reply of sequence 1, round 4: the liar's alone, so the client believes the others."""
    done = byzzfuzz.play(replace(CALM, process=(ProcessFault(4, (), True, 3),)))
    assert done.lies >= 1


def test_a_partition_loses_its_round_for_good() -> None:
    """Nobody hears another's prepares of sequence 1: view 0 never orders it, and view 1 does."""
    lines: list[str] = []
    alone = ((0,), (1,), (2,), (3,))
    done = byzzfuzz.play(replace(CALM, network=(NetworkFault(2, alone),)), lines.append)
    prepares = [line for line in lines if "PREPARE v0 s1 " in line and "PRE_PREPARE" not in line and " r" in line]
    assert done.parted >= 9
    assert done.view_changes >= 1
    assert [line for line in prepares if "lost: " in line]
    assert not [line for line in prepares if "<-" in line]


def test_one_number_one_run() -> None:
    """O17: a run repeats itself, trace and all."""
    number = next(each.number for each in DRAWN if len(each.network) == len(each.process) == 2)
    first, again = byzzfuzz.report(number), byzzfuzz.report(number)
    assert first.outcome == again.outcome
    assert first.outcome is not None
    assert first.outcome.trace_digest != byzzfuzz.play(DRAWN[number + 1]).trace_digest
