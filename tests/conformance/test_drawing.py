"""What is drawn: arguments that fit and meet again, values that come back, garbage among them, alike for a seed."""

from __future__ import annotations

import functools
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import Phase, Verbosity, find, settings
from hypothesis.errors import NoSuchExample

from pbft.application import Outcome, Result
from pbft.conformance.drafts import Draft, Earlier, Entry
from pbft.conformance.drawing import drafts
from pbft.conformance.steps import Step
from pbft.conformance.vocabulary import Vocabulary
from pbft.encoding import digest
from pbft.machine import Context, Rejected, StateMachine, operation, query
from pbft.operations import ArgumentError, decode_operation
from pbft.table import Table

CLIENTS = ("alice", "bob", "carol")


class Everything(StateMachine):
    """An operation for each shape of arguments."""

    seen: int = 0

    @operation
    def scalars(self, a: int, b: str, c: bytes, d: bool, e: None) -> None:
        self.seen += 1

    @operation
    def unions(self, a: int | None, b: Literal["red", 7, True], c: str | tuple[int, str]) -> None:
        self.seen += 1

    @operation
    def many(self, a: list[int], b: tuple[str, ...], c: dict[str, list[bytes]], d: tuple[()]) -> None:
        self.seen += 1

    @operation
    def optional(self, a: int, b: str = "b", *, c: bool = False) -> None:
        self.seen += 1

    @query
    def anything(self, a: Any, context: Context) -> int:
        return self.seen


class Cloakroom(StateMachine):
    """Hands out tokens that nobody guesses, and takes them back from whoever got them."""

    coats: Table[str, str]

    @operation
    def leave(self, coat: str, context: Context) -> str:
        token = digest(b"test/token", context.seed, coat.encode(), str(context.time_ms).encode()).hex()
        self.coats[token] = context.client
        return token

    @operation
    def fetch(self, token: str, context: Context) -> str:
        if self.coats.get(token) != context.client:
            raise Rejected("no coat of yours")
        return self.coats.pop(token)


def draws(vocabulary: Vocabulary, count: int = 20, seed: int = 0, longest: int = 30) -> list[Draft]:
    """Return so many drafts."""
    drawn: list[Draft] = []

    def keep(draft: Draft) -> bool:
        drawn.append(draft)
        return False

    # Ten at a time, as the hunt draws them.
    quiet = settings(max_examples=10, database=None, deadline=None, phases=[Phase.generate], verbosity=Verbosity.quiet)
    for start in range(0, count, 10):
        with pytest.raises(NoSuchExample):
            find(drafts(vocabulary, longest), keep, settings=quiet, random=random.Random(seed * 1_000 + start))
    return drawn


def execute(application: type[StateMachine], steps: tuple[Step, ...]) -> list[Result]:
    machine = application()
    return [machine.execute(step.data, step.context(place)) for place, step in enumerate(steps)]


@functools.cache
def played(application: type[StateMachine], count: int = 40) -> tuple[tuple[Step, Result], ...]:
    """Return the steps of drafts with what each came to, where drafts look back at what they first came to."""
    found: list[tuple[Step, Result]] = []
    for draft in draws(Vocabulary.of(application, {}, CLIENTS), count):
        steps = draft.steps(execute(application, draft.steps()))
        found += zip(steps, execute(application, steps), strict=True)
    return tuple(found)


def test_arguments_of_every_shape_fit_most_of_the_time():
    """Each operation is called with arguments that it takes, far more often than with others."""
    outcomes: Counter[tuple[str, Outcome]] = Counter()
    for step, result in played(Everything):
        name = "" if step.told.startswith("bytes") else decode_operation(step.data).name
        outcomes[name, result.outcome] += 1

    for name in ("scalars", "unions", "many", "optional", "anything"):
        assert outcomes[name, Outcome.OK] > 20
        assert outcomes[name, Outcome.OK] > 2 * outcomes[name, Outcome.INVALID]


def test_optional_arguments_are_left_out_and_given_by_name():
    calls = [decode_operation(step.data) for step, result in played(Everything) if result.outcome is Outcome.OK]
    given = [call for call in calls if call.name == "optional"]

    assert {1, 2, 3} <= {len(call.args) + len(call.kwargs) for call in given}
    assert {"a", "b", "c"} <= {name for call in given for name in call.kwargs}


def test_there_is_garbage_of_every_kind():
    """Bytes that are no call, unknown names, too many and too few arguments, and values of other types."""
    drawn = draws(Vocabulary.of(Everything, {}, CLIENTS), 100)
    results = [result for draft in drawn for result in execute(Everything, draft.steps())]
    told = "\n".join(sorted({str(result.value) for result in results if result.outcome is Outcome.INVALID}))

    for said in (
        "an operation must be the canonical CBOR",
        "there is no operation",
        "takes 3 arguments",
        "which is missing",
        "needs a: int",
        "(bool)",
    ):
        assert said in told


def test_time_and_clients_vary():
    drawn = draws(Vocabulary.of(Everything, {}, CLIENTS))
    paces = {entry.pace_ms for draft in drawn for entry in draft.entries}

    assert {entry.client for draft in drawn for entry in draft.entries} == set(CLIENTS)
    assert 0 in paces
    assert max(paces) > 9 * 365 * 86_400_000
    assert any(draft.restores for draft in drawn)
    assert all(1 <= place <= len(draft.entries) for draft in drawn for place in draft.restores)


def test_what_an_operation_returned_comes_back_as_an_argument():
    """No drawing guesses a token, so fetch is accepted only where one came back from leave."""
    fetched = [result for step, result in played(Cloakroom) if step.told.startswith("fetch(")]

    assert sum(result.outcome is Outcome.OK for result in fetched) > 10


def test_a_seed_stands_for_the_same_drafts_whatever_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Hypothesis picks constants out of modules that are imported; here none of them matters."""
    vocabulary = Vocabulary.of(Everything, {}, CLIENTS)
    before = draws(vocabulary, seed=3)
    (tmp_path / "constants_of_a_test.py").write_text("NUMBERS = [" + ", ".join(map(str, range(300))) + "]\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    __import__("constants_of_a_test")

    try:
        assert draws(vocabulary, seed=3) == before
    finally:
        del sys.modules["constants_of_a_test"]
    assert draws(vocabulary, seed=4) != before


def test_an_application_of_bytes_gets_those_that_its_author_names():
    class Raw:
        """No StateMachine."""

        @classmethod
        def check_operations(cls) -> list[bytes]:
            return [b"up", b"down"]

    data = [step.data for draft in draws(Vocabulary.of(Raw, {}, CLIENTS)) for step in draft.steps()]

    assert len(data) / 2 < sum(each in (b"up", b"down") for each in data) < len(data)


def look_back(*, eager: bool, which: int) -> Entry:
    return Entry("alice", 1, False, "fetch", (Earlier(eager, which, "no token"),))


def test_a_value_is_looked_for_first_in_the_latest_operation_then_in_all():
    """The first and the second text of the operation looked back to; further ones are the latest of any operation."""
    leaves = [Entry("alice", 1, False, "leave", (coat,)) for coat in ("red", "blue")]
    results = execute(Cloakroom, Draft(0, tuple(leaves)).steps())
    tokens = [str(result.value) for result in results]

    def found(which: int) -> object:
        steps = Draft(0, (*leaves, look_back(eager=True, which=which))).steps(results)
        return decode_operation(steps[-1].data).args[0]

    assert [found(which) for which in range(4)] == ["blue", tokens[1], "red", tokens[0]]


def test_what_was_refused_looks_back_the_second_time():
    """A call that passes keeps the argument drawn for it; one that was refused tries a value that was met."""
    leave = Entry("alice", 1, False, "leave", ("red",))
    draft = Draft(0, (leave, look_back(eager=False, which=1)))
    results = execute(Cloakroom, draft.steps())

    assert decode_operation(draft.steps()[-1].data).args == ("no token",)
    assert results[-1].outcome is Outcome.REJECTED
    assert execute(Cloakroom, draft.steps(results))[-1].outcome is Outcome.OK
    assert draft.looks_back


def test_what_has_no_canonical_bytes_is_sent_all_the_same():
    step = Draft(0, (Entry("alice", 1, False, "leave", (2**70,)),)).steps()[0]

    with pytest.raises(ArgumentError):
        decode_operation(step.data)
    assert execute(Cloakroom, (step,))[0].outcome is Outcome.INVALID
