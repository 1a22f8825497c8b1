"""Sequences of operations, drawn by hypothesis from what an application's operations take.

Owns: which operation comes when, by whom and with which arguments, and what is garbage among them. Executes nothing.

Every choice goes through `_below`: what hypothesis' own strategies give depends on which modules happen to be imported,
since it picks constants out of them, and a seed would not stand for one run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from hypothesis import strategies as st

from pbft.annotations import Mismatch, Reader, Shape
from pbft.conformance.drafts import Draft, Earlier, Entry
from pbft.conformance.edges import (
    EDGES,
    MISFITS,
    NOT_AN_OPERATION,
    ODD_BYTES,
    ODD_NAMES,
    ODD_WORDS,
    near_misses,
)
from pbft.conformance.vocabulary import ACCEPTED, OWN_WORDS, Known, Vocabulary
from pbft.encoding import Plain
from pbft.machine import OperationSpec, Parameter

T = TypeVar("T")

_FAR: Final = 2**100
"""No module's source holds numbers beyond this one, so hypothesis finds none to put in the place of a choice."""

_PACES_MS: Final = (1, 0, 10, 999, 60_000, 3_600_000, 86_400_000, 366 * 86_400_000, 10 * 366 * 86_400_000)
"""How far agreed time goes on between two operations: from not at all to ten years."""
_STARTS_MS: Final = (1_000, 1_700_000_000_000, 951_782_400_000, 4_102_444_799_999)
"""When a sequence begins: soon after 1970; in 2023; on a 29th of February; a moment before 2100."""

_SMALL: Final = (1, 0, 2, 3, 1, 2, 1, 5)
_WHICH: Final = (0, 0, 0, 1, 2, 3, 4, 5)
_BACK: Final = (0, 0, 0, 1, 1, 2, 3, 5)
_LENGTHS: Final = (0, 1, 1, 1, 1, 2, 3, 4)


def drafts(vocabulary: Vocabulary, longest: int) -> st.SearchStrategy[Draft]:
    """Return a strategy for sequences of at most so many operations; the simplest come first."""

    @st.composite
    def draft(draw: st.DrawFn) -> Draft:
        hand = _Hand(draw, vocabulary)
        start_ms = hand.one(_STARTS_MS)
        at_least = hand.one([size for size in (0, 8, 16, 24) if size < longest])
        hand.choose_words()
        prelude = hand.prelude()
        entries = draw(st.lists(_entry(vocabulary, hand), min_size=at_least + 1, max_size=longest))
        return Draft(start_ms, (*prelude, *entries))

    return draft()


def _below(number: int) -> st.SearchStrategy[int]:
    return st.integers(_FAR, _FAR + number - 1)


def _entry(vocabulary: Vocabulary, hand: _Hand) -> st.SearchStrategy[Entry]:
    @st.composite
    def entry(draw: st.DrawFn) -> Entry:
        return hand.dealt(draw).entry()

    return entry()


class _Hand(Reader[Plain]):
    """Draws values, of each shape that an annotation can have."""

    def __init__(
        self, draw: st.DrawFn, vocabulary: Vocabulary, words: tuple[str, ...] = (), numbers: tuple[int, ...] = ()
    ) -> None:
        self._draw = draw
        self._vocabulary = vocabulary
        self._words = words
        self._numbers = numbers
        self._client = vocabulary.clients[0]
        self._depth = 0
        self._looks_back = False

    def dealt(self, draw: st.DrawFn) -> _Hand:
        """Return this with another source of choices, as hypothesis has one for each part of what is drawn."""
        return _Hand(draw, self._vocabulary, self._words, self._numbers)

    def choose_words(self) -> None:
        """Settle for a few words for the whole sequence."""
        vocabulary = self._vocabulary
        words: list[str] = []
        for own in OWN_WORDS[: 1 + self.below(3)]:
            source = self.below(10)
            words.append(own if source < 5 else self.one(vocabulary.names if source < 9 else vocabulary.words))
        self._words = tuple(dict.fromkeys(words))

    def prelude(self) -> list[Entry]:
        """Return nothing, or the beginning of an earlier sequence that came somewhere."""
        if not self._vocabulary.preludes or self.below(2) == 0:
            return []
        steps = self.one(self._vocabulary.preludes)
        times = [steps[0].time_ms, *(each.time_ms for each in steps)]
        return [
            Entry(step.client, step.time_ms - before, restore=False, data=step.data)
            for before, step in zip(times, steps, strict=False)
        ]

    def below(self, number: int) -> int:
        return self._draw(_below(number)) - _FAR

    def one(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]

    # Entries.

    def entry(self) -> Entry:
        kind = self.below(100)
        client = self._client = self.one(self._vocabulary.clients)
        pace_ms = self.one(_PACES_MS) if self.below(4) == 3 else 1
        restore = self.below(12) == 11
        if not self._vocabulary.operations:
            return Entry(client, pace_ms, restore, data=self._plain(kind))
        spec = self.one(self._vocabulary.dealt)
        if kind >= 96:
            return Entry(client, pace_ms, restore, data=self._malformed(spec))
        known = self._vocabulary.known.get(spec.name)
        self._looks_back = self.below(2) == 1
        if known and self.below(3) == 2:
            client, args, kwargs = self._known(spec, known)
        else:
            args, kwargs = self._arguments(spec)
        name = spec.name
        if kind >= 90:
            name, args, kwargs = self._misfit(spec, args, kwargs)
        back, own = self.one(_BACK), self.below(2) == 0
        return Entry(client, pace_ms, restore, name, args, kwargs, back=back, own=own)

    def _arguments(self, spec: OperationSpec) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return arguments that fit, by place as far as none is left out, then by name; sometimes all are named."""
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        by_name = self.below(12) == 11
        for parameter in spec.parameters:
            how = 2 if parameter.required else self.below(5)
            by_name = by_name or how < 2
            if how == 0:
                continue
            value = self._argument(spec.name, parameter)
            if by_name:
                kwargs[parameter.name] = value
            else:
                args.append(value)
        return tuple(args), kwargs

    def _known(
        self, spec: OperationSpec, known: Mapping[str, Sequence[Known]]
    ) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        """Return a call that was tried before, as it was or with another argument; rather one that was accepted."""
        said = ACCEPTED if ACCEPTED in known and self.below(3) < 2 else self.one(tuple(known))
        call = self.one(known[said])
        args, kwargs = call.args, dict(call.kwargs)
        if args and (said != ACCEPTED or self.below(2)):
            place = self.below(len(args))
            args = (*args[:place], self._argument(spec.name, spec.parameters[place]), *args[place + 1 :])
        return call.client, args, kwargs

    def _argument(self, operation: str, parameter: Parameter) -> Any:
        vocabulary = self._vocabulary
        source = self.below(100)
        own = f"{operation}.{parameter.name}"
        chosen = vocabulary.chosen.get(own, vocabulary.chosen.get(parameter.name, ()))
        if chosen and source < 75:
            return self.one(chosen)
        if source >= 94:
            fits = [value for value in vocabulary.returned if _accepts(parameter, value)]
            if fits:
                return self.one(fits)
        return parameter.shape.tell(self)

    # Shapes.

    def scalar(self, kind: type) -> Plain:
        if kind is bool:
            return self.one((False, True))
        draws = {int: self._int, str: self._str, bytes: self._bytes}
        if kind not in draws:
            return None
        value = draws[kind]()
        return Earlier(self._looks_back and self.below(6) > 0, self.one(_WHICH), value)

    def anything(self) -> Plain:
        kinds = 5 if self._depth > 2 else 7
        kind = self.below(kinds)
        if kind < 5:
            return self.scalar((int, str, bool, type(None), bytes)[kind])
        self._depth += 1
        try:
            if kind == 5:
                return tuple(self.anything() for _ in range(self.below(4)))
            return {self._str(): self.anything() for _ in range(self.below(4))}
        finally:
            self._depth -= 1

    def choice(self, choices: Sequence[Plain]) -> Plain:
        return self.one(choices)

    def either(self, members: Sequence[Shape]) -> Plain:
        return self.one(members).tell(self)

    def array(self, kind: type[list[Any] | tuple[Any, ...]], item: Shape) -> Plain:
        return tuple(item.tell(self) for _ in range(self.one(_LENGTHS)))

    def record(self, items: Sequence[Shape]) -> Plain:
        return tuple(item.tell(self) for item in items)

    def map(self, item: Shape) -> Plain:
        return {self._str(): item.tell(self) for _ in range(self.one(_LENGTHS))}

    def _int(self) -> int:
        source = self.below(100)
        if source < 80 or (source >= 95 and not self._vocabulary.numbers):
            return self.one(_SMALL)
        if source < 90:
            return self.below(200)
        return self.one(EDGES) if source < 95 else self.one(self._vocabulary.numbers)

    def _str(self) -> str:
        source = self.below(100)
        if source < 68:
            return self.one(self._words)
        if source < 94:
            return self.one(self._vocabulary.names) if source < 82 else self._client
        return self.one(self._vocabulary.words if source < 97 else ODD_WORDS)

    def _bytes(self) -> bytes:
        source = self.below(100)
        if source < 70:
            return self.one((b"", b"a", b"b", b"c"))
        return self.one(self._words).encode() if source < 85 else self.one(ODD_BYTES)

    # Garbage.

    def _misfit(
        self, spec: OperationSpec, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        """Return a call that can be read, of an operation there is not, or whose arguments do not fit."""
        kind = self.below(6)
        if kind == 0:
            return self.one((*ODD_NAMES, spec.name.upper(), spec.name + "_")), args, kwargs
        if kind == 1 or not args:
            return spec.name, (*args, *(self.anything() for _ in range(1 + self.below(3)))), kwargs
        if kind == 2:
            return spec.name, args[:-1], kwargs
        if kind == 3:
            return spec.name, args, {**kwargs, self.one(("no_such", "self", "context", spec.parameters[0].name)): 1}
        place = self.below(len(args))
        return spec.name, (*args[:place], self.one(MISFITS), *args[place + 1 :]), kwargs

    def _malformed(self, spec: OperationSpec) -> bytes:
        """Return bytes that cannot be read as a call, some of them close to one that can."""
        return self.one((*NOT_AN_OPERATION, *near_misses(spec.name)))

    def _plain(self, kind: int) -> bytes:
        """Return an operation of an application of which nothing is known but that it takes bytes."""
        named = self._vocabulary.plain
        if named and kind < 85:
            return self.one(named)
        if kind < 70:
            return b" ".join(self._bytes() for _ in range(1 + self.below(3)))
        return self.one(NOT_AN_OPERATION) if kind >= 90 else bytes(self.below(256) for _ in range(self.below(9)))


def _accepts(parameter: Parameter, value: Plain) -> bool:
    try:
        parameter.shape.accept(value)
    except Mismatch:
        return False
    return True
