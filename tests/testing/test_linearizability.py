"""The search for a linearization, on histories that are known to have one and on such as have none."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbft import Context, StateMachine, operation
from pbft.machine import Application, Outcome, Result
from pbft.testing.linearizability import (
    Linearizable,
    NotLinearizable,
    Operation,
    Undecided,
    check,
    execute_plainly,
    find_flaw,
)
from pbft_apps.counter import Counter
from tests.testing.drawings import Queue, Register, Tally, drawn
from tests.testing.known_histories import RIGHT, WRONG


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_history_has_an_order(name: str) -> None:
    """The order that is found passes the independent check of orders, and leaves out no answer."""
    machine, drawing = RIGHT[name]
    history = drawn(drawing)
    verdict = check(history, machine)
    assert isinstance(verdict, Linearizable), str(verdict)
    assert verdict.holds
    assert find_flaw(verdict.order, machine) is None
    assert [each for each in history if each.answered and each not in verdict.order] == []


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_history_is_refused_with_its_culprit(name: str) -> None:
    machine, drawing, culprit = WRONG[name]
    verdict = check(drawn(drawing), machine)
    assert isinstance(verdict, NotLinearizable), str(verdict)
    assert not verdict.holds
    assert str(verdict.culprit) == culprit
    assert culprit in [str(each.operation) for each in verdict.misfits]
    assert find_flaw(verdict.prefix, machine) is None


def test_a_refusal_reads_like_a_sentence() -> None:
    """It tells the longest order, the answer that none explains, and what the model would have said."""
    machine, drawing, _ = WRONG["a read that goes back"]
    assert str(check(drawn(drawing), machine)) == (
        "no order of 3 operations explains all answers. All before that of carol.read() -> 0 can be explained, by this "
        "order at best: alice.write(1) -> None, bob.read() -> 1. Next would come one of these, and none fits: "
        "carol.read() -> 0, where the model says 1"
    )


def test_a_long_history_is_told_by_its_end() -> None:
    history = [Operation("alice", "add", (1,), 2 * i, 2 * i + 1, value=i + 1) for i in range(40)]
    assert "in the order 34 others, alice.add(1) -> 35, " in str(check(history, Counter))
    wrong = check([*history, Operation("bob", "value", (), 99, 100, value=0, remark="at 7 ms")], Counter)
    assert "by this order at best: 34 others, alice.add(1) -> 35, " in str(wrong)
    assert "bob.value() -> 0 (at 7 ms), where the model says 40" in str(wrong)


# Whose order binds.


def test_a_threads_operations_run_in_the_order_of_their_calls() -> None:
    """Three operations of one request overlap in real time; they take effect one by one, in order."""
    drawing = """
        alice [write 1-------]
        alice  [write 2-------]
        alice   [read=1--------]
        """
    assert check(drawn(drawing), Register).holds
    assert not check(drawn(drawing, threads=True), Register).holds


def test_clients_without_threads_run_concurrently() -> None:
    """Two sessions of one client are programs of their own."""
    write = Operation("alice", "write", (1,), 1, 5, thread="alice")
    read = Operation("alice", "read", (), 2, 6, value=0, thread="alice/2")
    assert check([write, read], Register).holds


def test_an_unanswered_operation_follows_what_its_thread_was_answered_before() -> None:
    """Bob's read came to 1, so if Alice's second write ran, it ran after her first; carol can still not read 2, 1."""
    write = Operation("alice", "write", (1,), 1, 20, thread="alice")
    maybe = Operation("alice", "write", (2,), 2, thread="alice")
    reads = [Operation("carol", "read", (), 3 + 2 * i, 4 + 2 * i, value=value) for i, value in enumerate((2, 1))]
    assert not check([write, maybe, *reads], Register).holds
    assert check([write, maybe, *reversed_values(reads)], Register).holds


def reversed_values(reads: Sequence[Operation]) -> list[Operation]:
    return [
        Operation("carol", "read", (), one.called, one.ended, value=other.value)
        for one, other in zip(reads, reversed(reads), strict=True)
    ]


def test_equal_times_overlap() -> None:
    """A clock too coarse to tell who was first forbids nothing; one that tells does."""
    write = Operation("alice", "write", (1,), 1, 5)
    assert check([write, Operation("bob", "read", (), 5, 6, value=0)], Register).holds
    assert not check([write, Operation("bob", "read", (), 6, 7, value=0)], Register).holds


def test_an_operation_cannot_end_before_its_call() -> None:
    with pytest.raises(ValueError, match="ended at 3, before it was called at 4"):
        Operation("alice", "read", (), 4, 3)


# Models.


def test_an_application_of_bytes_is_a_model_too() -> None:
    """It is restored from snapshots where a StateMachine is copied. The search has to go back for this order."""
    told = [
        Operation("alice", "a", (), 1, 9, value=1, data=b"a"),
        Operation("bob", "a", (), 2, 8, value=2, data=b"a"),
        Operation("bob", "b", (), 3, 7, value=1, data=b"b"),
    ]
    verdict = check(told, Tally)
    assert isinstance(verdict, Linearizable)
    assert [each.value for each in verdict.order if each.data == b"a"] == [1, 2]
    assert not check([*told, Operation("bob", "b", (), 10, 11, value=1, data=b"b")], Tally).holds


class Clock(StateMachine):
    """Tells the agreed time, which follows from no state."""

    seen_ms: int = 0

    @operation
    def now(self, context: Context) -> int:
        """Return the time, never an earlier one than before."""
        self.seen_ms = max(self.seen_ms, context.time_ms)
        return self.seen_ms


def at_the_time_told(application: Application, operation: Operation) -> Result:
    """Execute at the time that the answer says."""
    time_ms = operation.value if operation.answered else 0
    return application.execute(operation.encoded, Context(time_ms, operation.client, 0, bytes(32)))


def test_a_workload_may_say_how_a_model_executes() -> None:
    """Agreed time is not in the history: whoever asks may take the answer's word for it, and the rest is checked."""
    drawing = """
        alice [now=5---------]
        bob     [now=7---]      [now=7]
        """
    assert not check(drawn(drawing), Clock).holds
    assert check(drawn(drawing), Clock, at_the_time_told).holds
    back = drawn(drawing.replace("[now=7]", "[now=6]"))
    assert not check(back, Clock, at_the_time_told).holds


# Cost.


def test_a_straight_history_costs_a_configuration_an_operation() -> None:
    """Five sessions that always overlap, each answer telling one order: nothing is tried in vain."""
    history = [Operation(f"c{i % 5}", "add", (1,), 10 * i, 10 * i + 45, value=i + 1) for i in range(300)]
    verdict = check(history, Counter)
    assert isinstance(verdict, Linearizable)
    assert verdict.configurations == 301


def test_work_adds_up_over_quiescent_moments() -> None:
    """Four writes overlap, then all is quiet, fifty times, and at last a read is wrong: all there is gets searched.

    Each quiet moment hands on at most four states. Uncut, the configurations would be 16 to the power of fifty.
    """
    segments = 50
    history = [
        Operation(f"c{i}", "write", (10 * segment + i,), 100 * segment + i, 100 * segment + 50)
        for segment in range(segments)
        for i in range(4)
    ]
    verdict = check([*history, Operation("d", "read", (), 10_000, 10_001, value=-1)], Register)
    assert isinstance(verdict, NotLinearizable)
    assert len(verdict.prefix) == len(history)
    # Of four writes each set with a last one of it: 4 * 1 + 6 * 2 + 4 * 3 + 1 * 4.
    assert verdict.configurations == 1 + segments * 32


def test_a_search_that_gives_up_says_so() -> None:
    """Neither a pass nor a failure: with more patience the same history is refused."""
    history = [Operation(f"c{i}", "write", (i,), i, 100) for i in range(8)]
    history.append(Operation("d", "read", (), 200, 201, value=-1))
    verdict = check(history, Register, most_moves=100)
    assert isinstance(verdict, Undecided)
    assert not verdict.holds
    assert str(verdict).startswith("undecided: after 100 moves the longest order found explains 8 of 9 ")
    assert isinstance(check(history, Register), NotLinearizable)


def test_what_may_have_run_and_changes_nothing_costs_nothing() -> None:
    """Thirty reads without an answer are never taken."""
    history = [Operation("alice", "read", (), 0) for _ in range(30)]
    history += [Operation("bob", "write", (1,), 1, 2), Operation("bob", "read", (), 3, 4, value=0)]
    verdict = check(history, Register)
    assert isinstance(verdict, NotLinearizable)
    assert verdict.configurations == 2


# Orders that somebody offers.


def test_an_order_is_checked_against_real_time_threads_and_answers() -> None:
    one = Operation("alice", "add", (1,), 1, 2, value=1)
    two = Operation("bob", "add", (2,), 3, 6, value=3, thread="bob")
    three = Operation("bob", "add", (3,), 4, 5, value=6, thread="bob")
    assert find_flaw([one, two, three], Counter) is None
    ahead = Operation("bob", "add", (2,), 3, 6, value=2)
    behind = Operation("alice", "add", (1,), 1, 2, value=3)
    assert find_flaw([ahead, behind], Counter) == (
        "alice.add(1) -> 3 had ended before bob.add(2) -> 2 was called, and is ordered after it"
    )
    assert find_flaw([one, three, two], Counter) == (
        "after alice.add(1) -> 1 comes bob.add(3) -> 6, where the model says 4"
    )
    four = Operation("bob", "add", (3,), 4, 5, value=4, thread="bob")
    assert find_flaw([one, four, two], Counter) == (
        "bob.add(3) -> 4 was called after bob.add(2) -> 3 in one thread, and is ordered before it"
    )


# Against brute force.


@st.composite
def histories(draw: st.DrawFn, most: int, pending: bool = True) -> list[Operation]:
    """Draw a history of a register from an order: each operation takes effect at a moment around which it spans."""
    history: list[Operation] = []
    held = 0
    for place in range(draw(st.integers(1, most))):
        name, args = draw(
            st.one_of(
                st.just(("read", ())),
                st.tuples(st.just("write"), st.tuples(st.integers(0, 2))),
                st.tuples(st.just("swap"), st.tuples(st.integers(0, 2), st.integers(0, 2))),
            )
        )
        moment = 100 * place
        called = moment - 10 * draw(st.integers(1, 25)) + place % 10
        ended = moment + 10 * draw(st.integers(1, 25))
        client = draw(st.sampled_from("abc"))
        fate = draw(st.integers(0, 5)) if pending else 2
        if fate == 0:
            history.append(Operation(client, name, args, called))
            continue
        held, outcome, value = come_to(held, name, args)
        if fate == 1:
            history.append(Operation(client, name, args, called))
        else:
            history.append(Operation(client, name, args, called, ended, value, outcome))
    return draw(st.permutations(history))


def come_to(held: int, name: str, args: tuple[int, ...]) -> tuple[int, Outcome, object]:
    """The register in three lines: what it holds afterwards, and what it says."""
    if name == "read":
        return held, Outcome.OK, held
    if name == "swap" and args[0] != held:
        return held, Outcome.REJECTED, "no"
    return args[-1], Outcome.OK, None


def has_an_order(history: Sequence[Operation]) -> bool:
    """Try every order of every choice of the unanswered ones."""
    answered = [each for each in history if each.answered]
    maybes = [each for each in history if not each.answered]
    chosen = itertools.chain.from_iterable(itertools.combinations(maybes, k) for k in range(len(maybes) + 1))
    return any(explains(order) for some in chosen for order in itertools.permutations([*answered, *some]))


def explains(order: Sequence[Operation]) -> bool:
    held = 0
    for place, each in enumerate(order):
        if any(has_to_precede(later, each) for later in order[place + 1 :]):
            return False
        held, outcome, value = come_to(held, each.name, each.args)
        if each.answered and (outcome, value) != (each.outcome, each.value):
            return False
    return True


def has_to_precede(one: Operation, other: Operation) -> bool:
    together = one.thread != "" and one.thread == other.thread
    return one.ended is not None and (one.ended < other.called or (together and one.called < other.called))


@settings(max_examples=60, deadline=None)
@given(histories(most=40))
def test_what_comes_from_an_order_is_accepted(history: list[Operation]) -> None:
    """However much it overlaps, and whatever of it was never answered."""
    verdict = check(history, Register)
    assert isinstance(verdict, Linearizable), str(verdict)
    assert find_flaw(verdict.order, Register) is None


@settings(max_examples=150, deadline=None)
@given(histories(most=6), st.data())
def test_mutated_answers_are_refused_exactly_when_every_order_is(history: list[Operation], data: st.DataObject) -> None:
    """Answers are changed at random; the verdict is brute force's, over all orders."""
    mutated = [data.draw(st.sampled_from([each, *altered(each)])) if each.answered else each for each in history]
    mutated = [replace(each, thread=data.draw(st.sampled_from(["", "", "one"]))) for each in mutated]
    assert check(mutated, Register).holds == has_an_order(mutated)


def altered(told: Operation) -> list[Operation]:
    """Other answers than the one that was told."""
    answers: dict[str, list[tuple[Outcome, object]]] = {
        "read": [(Outcome.OK, value) for value in (0, 1, 2)],
        "write": [(Outcome.REJECTED, "no")],
        "swap": [(Outcome.OK, None), (Outcome.REJECTED, "no")],
    }
    return [
        Operation(told.client, told.name, told.args, told.called, told.ended, value, outcome)
        for outcome, value in answers[told.name]
    ]


def test_equal_operations_that_may_have_run_are_tried_once() -> None:
    """Of forty equal additions without an answer three ran, and a later answer is wrong: which three is not tried."""
    history = [Operation("alice", "add", (1,), 0) for _ in range(40)]
    history += [Operation("bob", "value", (), 1, 2, value=3), Operation("bob", "value", (), 3, 4, value=2)]
    verdict = check(history, Counter)
    assert isinstance(verdict, NotLinearizable)
    assert verdict.configurations < 150


def test_operations_run_in_their_own_contexts_where_these_are_known() -> None:
    """Answers that follow from agreed time; of equal unanswered operations the one that ran first comes first."""

    class Clock(StateMachine):
        last: int = 0

        @operation
        def stamp(self, context: Context) -> int:
            self.last = context.time_ms
            return self.last

        @operation
        def read(self) -> int:
            return self.last

    def at(sequence: int, time_ms: int) -> Context:
        return Context(time_ms=time_ms, client="alice", sequence=sequence, seed=bytes(32))

    history = [
        Operation("alice", "stamp", called=0),
        Operation("alice", "stamp", called=1, context=at(2, 9)),
        Operation("alice", "stamp", called=2, context=at(1, 5)),
        Operation("bob", "read", called=3, ended=4, value=5),
        Operation("bob", "read", called=5, ended=6, value=9),
        Operation("bob", "stamp", called=7, ended=8, value=11, context=at(3, 11)),
    ]
    assert check(history, Clock).holds
    assert not check([*history, Operation("bob", "read", called=9, ended=10, value=9)], Clock).holds
    assert not check([replace(each, context=None) for each in history], Clock).holds


class Dice(StateMachine):
    """Answers what its context draws."""

    @operation
    def throw(self, context: Context) -> int:
        return context.random.getrandbits(64)


def test_a_context_draws_the_same_however_often_its_operation_is_executed() -> None:
    """A search tries one operation in many places; its context's generator begins anew in each."""
    context = Context(time_ms=1, client="a", sequence=1, seed=bytes(32))
    thrown = Operation("a", "throw", (), 0, 1, context.random.getrandbits(64), context=context)

    for _ in range(2):
        assert execute_plainly(Dice.create({}), thrown) == thrown.result
    assert check([thrown], Dice).holds


def test_heavy_concurrency_is_no_excuse() -> None:
    """A dozen sessions of a queue that all overlap, in an order drawn at random: found, and the wrong ones refused."""
    chance = random.Random(5)
    history: list[Operation] = []
    machine = Queue.create({})
    for place in range(240):
        item = None if chance.random() < 0.5 else f"i{place}"
        asked = Operation(f"c{place % 12}", "deq" if item is None else "enq", () if item is None else (item,))
        result = execute_plainly(machine, asked)
        times = (10 * place - chance.randint(1, 60), 10 * place + chance.randint(1, 60))
        history.append(Operation(asked.client, asked.name, asked.args, *times, result.value, result.outcome))
    assert check(history, Queue).holds
    lost = next(i for i, each in enumerate(history) if each.name == "deq" and each.outcome is Outcome.OK)
    wrong = history[lost]
    history[lost] = Operation(wrong.client, "deq", (), wrong.called, wrong.ended, "i999")
    verdict = check(history, Queue)
    assert isinstance(verdict, NotLinearizable)
    assert verdict.culprit.value == "i999"
