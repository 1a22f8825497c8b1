"""Where arguments come from: an application's parameters and source, what its author names, and what passed before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any, ClassVar

import pytest

from pbft.application import Outcome, Result
from pbft.conformance.steps import Step
from pbft.conformance.vocabulary import ACCEPTED, HookError, Known, Vocabulary
from pbft.machine import StateMachine, operation, query

CLIENTS = ("alice", "bob")
SECRET = "xyzzy"


class Adventure(StateMachine):
    """Opens to those who know the word, in whose source it stands."""

    answer: int = 4_711

    def __init__(self, heroes: tuple[str, ...] = ()) -> None:
        """Name who plays."""

    @operation
    def say(self, word: str, number: int = 0) -> str:
        """Say a word."""
        return word

    @query
    def look(self) -> int:
        """Look around."""
        return self.answer


def with_hook(values: Any) -> type[StateMachine]:
    class Helped(Adventure):
        given: ClassVar[Any] = values

        @classmethod
        def check_values(cls) -> Mapping[str, Iterable[Any]]:
            """Name values."""
            if isinstance(cls.given, Exception):
                raise cls.given
            return cls.given  # type: ignore[no-any-return]

    return Helped


def test_words_and_numbers_come_from_parameters_clients_and_the_source():
    vocabulary = Vocabulary.of(Adventure, {"heroes": ("frodo", "alice")}, CLIENTS)

    assert vocabulary.names == ("alice", "bob", "frodo")
    assert "xyzzy" in vocabulary.words
    assert {4_710, 4_711, 4_712} <= set(vocabulary.numbers)


def test_an_author_names_values_by_parameter_or_by_operation_and_parameter():
    """A generator without an end is read as far as anybody could want."""
    vocabulary = Vocabulary.of(with_hook({"word": ("plugh",), "say.number": count()}), {}, CLIENTS)

    assert vocabulary.chosen["word"] == ("plugh",)
    assert vocabulary.chosen["say.number"][:3] == (0, 1, 2)
    assert Vocabulary.of(Adventure, {}, CLIENTS).chosen == {}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"wrd": ("plugh",)}, 'Helped.check_values() names "wrd", which no operation takes; did you mean "word"?'),
        ({"word": 5}, "Helped.check_values() gives no values for word that can be sent: 'int' object is not iterable"),
        ({"word": (1.5,)}, "Helped.check_values() gives no values for word that can be sent: a value of type float"),
        ({"word": ()}, "Helped.check_values() gives no value for word"),
        ([("word", "plugh")], "Helped.check_values() returns a dict of values by parameter"),
        (OSError("no disk"), "Helped.check_values() fails: OSError: no disk"),
    ],
)
def test_a_hook_that_is_of_no_use_is_refused_in_a_sentence(values: Any, says: str):
    with pytest.raises(HookError) as refused:
        Vocabulary.of(with_hook(values), {}, CLIENTS)

    assert str(refused.value).startswith(says)


def said(word: str, number: int = 0) -> Step:
    return Step.call("bob", 1, "say", (word, number))


def test_calls_that_passed_are_learned_and_those_that_were_refused_in_new_words():
    """Refusals that differ in names and numbers only are one: another of them would teach nothing."""
    steps = [said("a", 1), said("b", 2), said("c", 3), said("d", 4), Step("bob", 1, b"garbage")]
    results = [
        Result.of(Outcome.REJECTED, 'nobody says "a" 1 times'),
        Result.of(Outcome.REJECTED, 'nobody says "b" 22 times'),
        Result.of(Outcome.REJECTED, "too late"),
        Result.of(Outcome.OK, ("open", 7, [b"x"], None, True)),
        Result.of(Outcome.INVALID, "no"),
    ]

    learned = Vocabulary.of(Adventure, {}, CLIENTS).learn([(steps, results)])

    known = learned.known["say"]
    assert known[ACCEPTED] == (Known("bob", ("d", 4), {}),)
    assert [len(known[gist]) for gist in known if gist != ACCEPTED] == [2, 1]
    assert learned.returned == ("open", 7, b"x")
    assert learned.preludes == (tuple(steps[:4]),)


def test_operations_that_were_only_refused_are_drawn_more_often():
    before = Vocabulary.of(Adventure, {}, CLIENTS)
    refused = before.learn([([said("a")], [Result.of(Outcome.REJECTED, "no")])])
    passed = refused.learn([([said("a")], [Result.of(Outcome.OK, "a")])])

    assert [[each.name for each in one.dealt].count("say") for one in (before, refused, passed)] == [2, 4, 2]
    assert [each.name for each in passed.dealt].count("look") == 1
