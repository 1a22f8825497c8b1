"""The least sequence: no step of it can go, and what is left is as plain as it shows the same."""

from __future__ import annotations

from collections.abc import Sequence

from pbft.conformance.findings import Attempt, Finding, Rule
from pbft.conformance.minimal import Case, Try, smallest
from pbft.conformance.steps import Step
from pbft.operations import decode_operation


def step(name: str, client: str = "bob", time_ms: int = 5_000, *args: object) -> Step:
    return Step.call(client, time_ms, name, args)


def names(case: Case) -> list[str]:
    return [each.told for each in case.steps]


def fails_after(*needed: str, restored: bool = False, rule: Rule = Rule.STATE_DIFFERS) -> Try:
    """Return a world that shows a fault once these were called in this order, and restored after the first of them."""

    def attempt(steps: Sequence[Step], restores: Sequence[int]) -> Attempt:
        left = list(needed)
        ripe = not restored
        for place, each in enumerate(steps):
            ripe = ripe or (place in restores and len(left) < len(needed))
            if left and each.told.startswith(left[0]) and (ripe or len(left) > 1):
                left.pop(0)
            if not left:
                return Attempt(Finding(rule, place, each, "it differs"), (), ())
        return Attempt(None, (), ())

    return attempt


def shrunk(steps: Sequence[Step], attempt: Try, restores: tuple[int, ...] = ()) -> Case:
    came = attempt(steps, restores)
    assert came is not None
    assert came.finding is not None
    return smallest(Case(tuple(steps), restores, came.finding), attempt)


NOISE = [step(f"noise_{number}") for number in range(20)]


def test_only_the_steps_stay_that_are_needed():
    steps = [*NOISE, step("open"), *NOISE, step("close"), *NOISE]

    assert names(shrunk(steps, fails_after("open", "close"))) == ["open()", "close()"]


def test_a_take_over_stays_where_it_is_needed_and_follows_its_place():
    steps = [*NOISE, step("open"), *NOISE, step("close")]
    case = shrunk(steps, fails_after("open", "close", restored=True), restores=(3, 25, 30))

    assert names(case) == ["open()", "close()"]
    assert case.restores == (1,)


def test_clients_times_and_arguments_become_plain():
    """One value in place of another everywhere, so that the two go on to name the same thing."""
    steps = [step("bid", "bob", 10**12, "lamp" * 9, 99, b"xyz", (5, 6)), step("end", "carol", 10**12 + 5, "lamp" * 9)]

    def attempt(steps: Sequence[Step], restores: Sequence[int]) -> Attempt:
        calls = [decode_operation(each.data).args for each in steps]
        fails = len(calls) == 2 and len(calls[0]) == 4 and calls[1][:1] == calls[0][:1]
        return Attempt(Finding(Rule.STATE_DIFFERS, 1, steps[1], "it differs") if fails else None, (), ())

    case = shrunk(steps, attempt)

    assert case.steps == (Step.call("bob", 1_001, "bid", ("a", 0, b"", ())), Step.call("bob", 1_002, "end", ("a",)))


def test_named_arguments_get_their_places():
    """As a person writes them, where the order is known and none before them is left out."""
    steps = [Step.call("bob", 1_001, "bid", (), {"item": "a", "amount": 0, "memo": "a"})]
    orders = {"bid": ("item", "amount", "why", "memo")}

    def attempt(steps: Sequence[Step], restores: Sequence[int]) -> Attempt:
        calls = [decode_operation(each.data) for each in steps]
        fails = len(calls) == 1 and len(calls[0].args) + len(calls[0].kwargs) == 3
        return Attempt(Finding(Rule.STATE_DIFFERS, 0, steps[0], "it differs") if fails else None, (), ())

    came = attempt(steps, ())
    assert came.finding is not None
    assert names(smallest(Case(tuple(steps), (), came.finding), attempt, orders)) == ['bid("a", 0, memo="a")']


def test_another_fault_is_not_taken_for_the_same():
    """Without the first step another rule breaks: the sequence that shows the first fault is kept."""

    def attempt(steps: Sequence[Step], restores: Sequence[int]) -> Attempt:
        rule = Rule.STATE_DIFFERS if any(each.told == "open()" for each in steps) else Rule.HANGS
        return Attempt(Finding(rule, len(steps) - 1, steps[-1], "…") if steps else None, (), ())

    assert names(shrunk([step("open"), step("close")], attempt)) == ["open()"]


def test_the_search_ends_when_there_were_tries_enough():
    tries = 0
    world = fails_after("open")

    def attempt(steps: Sequence[Step], restores: Sequence[int]) -> Attempt | None:
        nonlocal tries
        tries += 1
        return world(steps, restores) if tries < 6 else None

    case = shrunk([*NOISE, step("open")], attempt)

    assert names(case)[-1] == "open()"
    assert len(case.steps) <= len(NOISE) // 2 + 1


def test_what_comes_after_the_step_that_shows_a_fault_stays_where_it_is_needed():
    """Another machine executes all of a sequence before: what comes last may be what makes the first step differ."""

    def attempt(steps: Sequence[Step], restores: Sequence[int]) -> Attempt:
        told = [each.told for each in steps]
        fails = "look()" in told and "count()" in told
        place = told.index("look()") if fails else 0
        return Attempt(Finding(Rule.ANSWER_DIFFERS, place, steps[place], "it differs") if fails else None, (), ())

    case = shrunk([*NOISE, step("look"), *NOISE, step("count"), *NOISE], attempt)

    assert names(case) == ["look()", "count()"]
    assert case.finding.place == 0


def test_steps_that_only_go_together_go():
    """As where what an operation draws follows from its place: it differs at the second or the fifth, at no other."""
    steps = [step("enter"), step("noise"), step("noise"), step("noise"), step("draw")]

    def attempt(steps: Sequence[Step], _restores: Sequence[int]) -> Attempt:
        told = [each.told for each in steps]
        place = told.index("draw()") if "draw()" in told else 0
        shows = "enter()" in told[:place] and place in (1, 4)
        return Attempt(Finding(Rule.STATE_DIFFERS, place, steps[place], "it differs") if shows else None, (), ())

    assert names(shrunk(steps, attempt)) == ["enter()", "draw()"]
