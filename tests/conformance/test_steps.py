"""One operation of a sequence, in words and in its context."""

from __future__ import annotations

import pytest

from pbft.application import Outcome, Result
from pbft.conformance.steps import Step, tell_answer


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (Step.call("alice", 1, "bid", ("lamp", 5)), 'bid("lamp", 5)'),
        (Step.call("alice", 1, "bid", (True, None, b"\x01"), {"to": ["x"]}), None),
        (Step("alice", 1, bytes(40)), "bytes 00000000000000000000000000000000…"),
        (Step("alice", 1, b""), "bytes (none)"),
        (Step.call("alice", 1, "not a name", ("\x1b[2J",)), '"not a name"("\\u001b[2J")'),
    ],
)
def test_it_is_told_as_a_call(step: Step, told: str | None):
    assert step.told == (told or 'bid(True, None, bytes.fromhex("01"), to=("x",))')


def test_its_context_follows_from_its_place():
    step = Step.call("alice", 77, "bid")

    assert (step.context(4).sequence, step.context(4).client, step.context(4).time_ms) == (5, "alice", 77)
    assert step.context(4).seed == step.context(4).seed != step.context(5).seed


def test_of_two_answers_the_part_that_differs_is_told():
    def ok(value: object) -> Result:
        return Result.of(Outcome.OK, value)

    assert tell_answer(ok(1), ok("1")) == ("", "1", '"1"')
    assert tell_answer(ok({"a": [1, 2], "b": 3}), ok({"a": [1, 4], "b": 3})) == ('["a"][1]', "2", "4")
    assert tell_answer(ok((1, 2)), ok((1,))) == ("", "(1, 2)", "(1,)")
    assert tell_answer(ok(5), Result.of(Outcome.REJECTED, "no")) == ("", "5", 'REJECTED with "no"')
