"""Operations as clients see them: what may be called with what, in bytes and in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, NewType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft.encoding import MAX_INTEGER, MIN_INTEGER, EncodingError, Plain, encode
from pbft.machine import (
    Application,
    ArgumentError,
    Context,
    MachineError,
    Outcome,
    Result,
    StateMachine,
    describe,
    describe_parameters,
    encode_operation,
    operation,
    parse_arguments,
)
from pbft.table import Table
from tests.kiosk import CONTEXT, Kiosk, kiosk, run, text

Name = NewType("Name", str)


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "sentence"),
    [
        ("by", ("tea",), {}, 'there is no operation "by"; there are buy, count, peek, spoil'),
        ("zzz", (), {}, 'there is no operation "zzz"; there are buy, count, peek, spoil'),
        ("sold", (), {}, 'there is no operation "sold"; there are buy, count, peek, spoil'),
        ("stock", (), {}, 'there is no operation "stock"; there are buy, count, peek, spoil'),
        ("__init__", (), {}, 'there is no operation "__init__"; there are buy, count, peek, spoil'),
        ("execute", (), {}, 'there is no operation "execute"; there are buy, count, peek, spoil'),
        ("", (), {}, 'there is no operation ""; there are buy, count, peek, spoil'),
        ("x" * 50_000, (), {}, f'there is no operation "{"x" * 60}…"; there are buy, count, peek, spoil'),
        ('\x1b[2J\x9b"\u202e', (), {}, 'there is no operation "\\u001b[2J\\u009b\\"\\u202e"; there are'),
        ("buy", (), {}, "buy() needs good: str, which is missing"),
        ("buy", (5,), {}, "buy() needs good: str, got 5 (int)"),
        ("buy", ("tea", "five"), {}, 'buy() needs amount: int, got "five" (str)'),
        ("buy", ("tea", True), {}, "buy() needs amount: int, got True (bool)"),
        ("buy", ("tea", None), {}, "buy() needs amount: int, got None"),
        ("buy", ("tea", b"\x05"), {}, "buy() needs amount: int, got 0x05 (bytes)"),
        ("buy", ("tea", (1, 2)), {}, "buy() needs amount: int, got a list of 2 items"),
        ("buy", ("tea", {"a": 1}), {}, "buy() needs amount: int, got a map of 1 item"),
        ("buy", (b"x" * 99,), {}, f"buy() needs good: str, got 0x{'78' * 30}… (bytes)"),
        ("buy", ("tea", 1, 2), {}, "buy() takes 2 arguments (good: str, amount: int), got 3"),
        ("count", ("tea", 1), {}, "count() takes 1 argument (good: str), got 2"),
        ("buy", ("tea",), {"amuont": 1}, 'buy() has no argument "amuont"; there are amount, good'),
        ("buy", ("tea",), {"good": "tea"}, "buy() got good twice"),
        ("buy", (), {"self": 1, "good": "tea"}, 'buy() has no argument "self"; there are amount, good'),
    ],
)
def test_a_wrong_call_is_invalid_with_one_sentence(
    name: str, args: tuple[Plain, ...], kwargs: Mapping[str, Plain], sentence: str
) -> None:
    """Unknown names and arguments that do not fit never reach the application."""
    machine = kiosk()
    before = machine.digest()

    result = run(machine, name, *args, **kwargs)

    assert result.outcome is Outcome.INVALID
    assert text(result).startswith(sentence)
    assert len(text(result)) < 300
    assert machine.digest() == before


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"add",
        encode("add"),
        encode([]),
        encode(["buy"]),
        encode(["buy", []]) + b"\x00",
        encode(["buy", "tea"]),
        encode(["buy", None]),
        encode([b"buy", []]),
        encode([1, []]),
        encode(["buy", {}]),
        encode(["buy", [], []]),
        encode(["buy", {}, []]),
        encode(["buy", [], None]),
        encode(["buy", ["tea"], {}, 1]),
        encode(["buy", [1.5]]),
        encode({"buy": []}),
        b"\x82\x78\x03buy\x80",
        b"\x9f\x63buy\x80\xff",
        b"\x81" * 100_000,
    ],
)
def test_bytes_that_are_no_operation_get_one_fixed_sentence(data: bytes) -> None:
    """A decoder's own words may change with its release, and replicas must agree on the answer."""
    result = kiosk().execute(data, CONTEXT)

    assert result.outcome is Outcome.INVALID
    assert text(result) == (
        "an operation must be the canonical CBOR of [name, [arguments]] or [name, [arguments], {name: argument}]"
    )


@given(st.binary(max_size=100) | st.binary(max_size=20).map(lambda tail: encode(["buy", ["tea"]])[:-4] + tail))
def test_execute_never_raises(data: bytes) -> None:
    """Whatever the bytes, there is a result, and all but OK leave the state as it was."""
    machine = kiosk()
    before = machine.digest()
    if machine.execute(data, CONTEXT).outcome is not Outcome.OK:
        assert machine.digest() == before


def test_an_operation_is_encoded_without_an_empty_map() -> None:
    """Two or three parts; what cannot be encoded is refused at the client."""
    assert encode_operation("add", [5]) == encode(["add", [5]])
    assert encode_operation("add", (), {}) == encode(["add", []])
    assert encode_operation("add", [1], {"b": 2}) == encode(["add", [1], {"b": 2}])
    with pytest.raises(EncodingError, match="use int in the smallest unit"):
        encode_operation("add", [1.5])


def test_a_result_reads_its_value_back() -> None:
    """Both ways of making one, and bytes of a liar."""
    assert Result.of(Outcome.OK, [1, "a"]).value == (1, "a")
    with pytest.raises(EncodingError):
        Result(Outcome.OK, b"\xff").value  # noqa: B018 - reading it is the point
    with pytest.raises(EncodingError):
        Result.of(Outcome.OK, 0.5)


ACCEPTED: list[tuple[Any, Plain, Plain]] = [
    (int, MAX_INTEGER, MAX_INTEGER),
    (int, MIN_INTEGER, MIN_INTEGER),
    (str, "", ""),
    (bytes, b"x", b"x"),
    (bool, True, True),
    (None, None, None),
    (int | None, None, None),
    (int | str, "x", "x"),
    (bool | int, 1, 1),
    (bool | int, True, True),
    (list[int], (1, 2), [1, 2]),
    (list[list[str]], (("a",), ()), [["a"], []]),
    (tuple[int, ...], (1, 2), (1, 2)),
    (tuple[int, str], (1, "a"), (1, "a")),
    (tuple[()], (), ()),
    (dict[str, int], {"a": 1}, {"a": 1}),
    (dict[str, list[int]], {"a": (1,)}, {"a": [1]}),
    (list[int] | tuple[str, ...], ("a",), ("a",)),
    (Literal["up", "down", 3] | None, 3, 3),
    (Annotated[int, "units"], 5, 5),
    (Annotated[list[Annotated[int, "x"]], "y"], (1,), [1]),
    (Name, "n", "n"),
    (Any, {"a": (1, b"x")}, {"a": (1, b"x")}),
]

REFUSED: list[tuple[Any, Plain, str]] = [
    (int, True, "value: int, got True (bool)"),
    (bool, 1, "value: bool, got 1 (int)"),
    (str, b"x", "value: str, got 0x78 (bytes)"),
    (bytes, "x", 'value: bytes, got "x" (str)'),
    (None, 0, "value: None, got 0 (int)"),
    (int | None, "x", 'value: int | None, got "x" (str)'),
    (list[int], (1, "x"), 'value: list[int], but value[1] is "x" (str)'),
    (list[list[int]], ((1,), (2, None)), "value: list[list[int]], but value[1][1] is None"),
    (tuple[int, ...], 5, "value: tuple[int, ...], got 5 (int)"),
    (tuple[int, str], (1,), "value: tuple[int, str], got a list of 1 item"),
    (tuple[int, str], (1, 2), "value: tuple[int, str], but value[1] is 2 (int)"),
    (tuple[()], (1,), "value: tuple[()], got a list of 1 item"),
    (dict[str, int], (), "value: dict[str, int], got a list of no items"),
    (dict[str, int], {"a": "b"}, 'value: dict[str, int], but value["a"] is "b" (str)'),
    (Literal["up", 1], "left", 'value: "up" | 1, got "left" (str)'),
    (Literal["up", 1], True, 'value: "up" | 1, got True (bool)'),
    (Annotated[int, "units"], "x", 'value: int, got "x" (str)'),
    (Name, 5, "value: str, got 5 (int)"),
]


def taking(annotation: Any) -> type[StateMachine]:
    """Return a machine whose one operation gives back what its argument became."""

    class Taking(StateMachine):
        seen: ClassVar[list[Any]] = []

        @operation
        def take(self, value):  # annotated below
            self.seen.append(value)
            return value

    Taking.take.__annotations__["value"] = annotation
    return Taking


@pytest.mark.parametrize(("annotation", "sent", "seen"), ACCEPTED, ids=str)
def test_annotations_decode_arguments(annotation: Any, sent: Plain, seen: Plain) -> None:
    """The method sees the annotated type: a list where it says list, a tuple where it says tuple."""
    cls = taking(annotation)
    assert run(cls.create({}), "take", sent).outcome is Outcome.OK
    got = vars(cls)["seen"][0]
    assert (type(got), got) == (type(seen), seen)


@pytest.mark.parametrize(("annotation", "sent", "sentence"), REFUSED, ids=str)
def test_annotations_check_arguments_strictly(annotation: Any, sent: Plain, sentence: str) -> None:
    """What does not fit is named, with its place inside the argument."""
    assert text(run(taking(annotation).create({}), "take", sent)) == f"take() needs {sentence}"


@pytest.mark.parametrize(
    ("annotation", "sentence"),
    [
        (float, "float is not supported: use int in the smallest unit"),
        (list, "list is not supported: say what is in it, as in list[int]"),
        (tuple, "tuple is not supported: say what is in it"),
        (dict, "dict is not supported: say what is in it"),
        (set[int], "set[int] is not supported: use tuple[...] or list[...], which have an order"),
        (bytearray, "bytearray is not supported: use bytes"),
        (dict[int, str], "a map's keys are str"),
        (list[float], "float is not supported"),
        (int | float, "float is not supported"),
        (Literal[b"x"], "use int, str, bool or None in a Literal"),
        (Table, "Table is not supported: supported are int, str, bytes"),
        (Iterator[int], "Iterator[int] is not supported: supported are"),
        (object, "object is not supported: supported are"),
        ("Nowhere", "the annotations of Taking.take cannot be read: name 'Nowhere' is not defined"),
    ],
)
def test_an_annotation_that_cannot_travel_is_refused_with_what_to_write(annotation: Any, sentence: str) -> None:
    """When the class is first used, whoever uses it."""
    cls = taking(annotation)
    uses: tuple[Callable[[], Any], ...] = (lambda: describe(cls), cls, lambda: cls.create({}))
    for use in uses:
        with pytest.raises(MachineError, match=re.escape(sentence)):
            use()


def test_describe_tells_what_help_needs() -> None:
    """Names, parameters, docstrings and usage, in the order of definition."""
    buy, _, count, _ = describe(Kiosk)

    assert (buy.name, buy.summary, buy.is_query, buy.returns) == ("buy", "Buy some of a good.", False, "int")
    assert buy.docstring == "Buy some of a good.\n\nMore about buying."
    assert buy.usage == "buy GOOD [AMOUNT]"
    good, amount = buy.parameters
    assert (good.name, good.annotation, good.required, good.default) == ("good", "str", True, None)
    assert (amount.name, amount.annotation, amount.required, amount.default) == ("amount", "int", False, 1)
    assert count.is_query
    assert describe(int) == []
    assert describe_parameters(int) == ()


WORDS: list[tuple[Any, str, Plain]] = [
    (int, "5", 5),
    (int, "-5", -5),
    (int, "+1_000", 1000),
    (int, str(MAX_INTEGER), MAX_INTEGER),
    (int, str(MIN_INTEGER), MIN_INTEGER),
    (str, "5", "5"),
    (str, "", ""),
    (str, "null", "null"),
    (str, "-x", "-x"),
    (bool, "true", True),
    (bool, "False", False),
    (bytes, "00ff", b"\x00\xff"),
    (bytes, "0xAB", b"\xab"),
    (bytes, "", b""),
    (None, "null", None),
    (int | None, "null", None),
    (int | None, "7", 7),
    (str | None, "null", None),
    (str | None, "nul", "nul"),
    (str | int, "5", 5),
    (int | str, "five", "five"),
    (bool | str, "true", True),
    (list[int], "[1, 2]", [1, 2]),
    (list[int], "1,2,-3", [1, 2, -3]),
    (list[int], "", []),
    (list[str], "a,b", ["a", "b"]),
    (list[str], '["a,b", "1"]', ["a,b", "1"]),
    (list[bytes], '["00", "ff"]', [b"\x00", b"\xff"]),
    (tuple[int, ...], "1", (1,)),
    (tuple[str, int], "a,1", ("a", 1)),
    (tuple[str, int], '["a", 1]', ("a", 1)),
    (tuple[()], "", ()),
    (list[tuple[str, int]], '[["a", 1], ["b", 2]]', [("a", 1), ("b", 2)]),
    (dict[str, int], '{"a": 1}', {"a": 1}),
    (dict[str, bytes | None], '{"a": "00", "b": null}', {"a": b"\x00", "b": None}),
    (Literal["up", 3, True] | None, "up", "up"),
    (Literal["up", 3, True] | None, "3", 3),
    (Literal["up", 3, True] | None, "true", True),
    (Literal["up", 3, True] | None, "null", None),
    (Annotated[int, "units"], "5", 5),
    (Any, "5", 5),
    (Any, "[1, {}]", [1, {}]),
    (Any, "hello world", "hello world"),
    (Any, "1.5", "1.5"),
]

BAD_WORDS: list[tuple[Any, str, str]] = [
    (int, "five", 'value: int, got "five"; write a whole number of at most 64 bits'),
    (int, "1.0", 'value: int, got "1.0"'),
    (int, "", 'value: int, got ""'),
    (int, "1__0", 'value: int, got "1__0"'),
    (int, "٣", 'value: int, got "٣"'),
    (int, str(MAX_INTEGER + 1), "value: int, got"),
    (int, "9" * 10_000, "value: int, got"),
    (bool, "1", 'value: bool, got "1"; write true or false'),
    (bytes, "zz", 'value: bytes, got "zz"; write bytes as hex digits, such as 00ff'),
    (bytes, "0", 'value: bytes, got "0"'),
    (str, "\udcff", "value: str, got"),
    (None, "None", 'value: None, got "None"; write null'),
    (list[int], "1,x", 'value: list[int], got "1,x"; write a list as 1,2,3 or as JSON, such as [1, 2, 3]'),
    (list[int], "[1, 2", 'value: list[int], got "[1, 2"'),
    (list[int], "[1.0]", 'value: list[int], got "[1.0]"'),
    (list[int], "[NaN]", 'value: list[int], got "[NaN]"'),
    (list[int], "[true]", 'value: list[int], got "[true]"'),
    (list[int], "[" * 100_000, "value: list[int], got"),
    (list[int], f"[{'9' * 10_000}]", "value: list[int], got"),
    (tuple[str, int], "a", "value: tuple[str, int], got"),
    (tuple[str, int], "a,1,2", "value: tuple[str, int], got"),
    (dict[str, int], '{"a": 1, "a": 2}', "value: dict[str, int], got"),
    (dict[str, int], "a", 'value: dict[str, int], got "a"; write a map as JSON'),
    (Literal["up", 3], "down", 'value: "up" | 3, got "down"'),
    (int | bool, "x", "value: int | bool, got"),
]


@pytest.mark.parametrize(("annotation", "word", "value"), WORDS, ids=str)
def test_words_are_read_by_annotation(annotation: Any, word: str, value: Plain) -> None:
    """A text stays a text even when it looks like a number, and the value read is one the operation accepts."""
    cls = taking(annotation)
    (spec,) = describe(cls)
    arguments = parse_arguments(spec, [word])

    assert (type(arguments[0]), arguments[0]) == (type(value), value)
    assert run(cls.create({}), "take", *arguments).outcome is Outcome.OK


@pytest.mark.parametrize(("annotation", "word", "sentence"), BAD_WORDS, ids=lambda value: str(value)[:40])
def test_a_word_that_does_not_fit_is_named(annotation: Any, word: str, sentence: str) -> None:
    """With what was expected and how to write it."""
    (spec,) = describe(taking(annotation))
    with pytest.raises(ArgumentError, match=re.escape(f"take() needs {sentence}")) as caught:
        parse_arguments(spec, [word])
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


def test_the_number_of_words_is_checked() -> None:
    """Optional ones at the end may be left out."""
    spec = describe(Kiosk)[0]
    assert parse_arguments(spec, ["tea"]) == ("tea",)
    assert parse_arguments(spec, ["tea", "2"]) == ("tea", 2)
    with pytest.raises(
        ArgumentError, match=re.escape("buy() needs good: str, which is missing; usage: buy GOOD [AMOUNT]")
    ):
        parse_arguments(spec, [])
    with pytest.raises(ArgumentError, match=re.escape("buy() takes 2 arguments (good: str, amount: int), got 3")):
        parse_arguments(spec, ["tea", "2", "3"])


def test_a_class_without_a_base_is_an_application_too() -> None:
    """Bytes in, bytes out: the protocol asks for four methods only."""

    class Echo:
        def execute(self, operation: bytes, context: Context) -> Result:
            return Result.of(Outcome.OK, operation)

        def digest(self) -> bytes:
            return bytes(32)

        def snapshot(self) -> list[bytes]:
            return []

        def restore(self, pieces: Iterable[bytes]) -> None:
            assert not list(pieces)

    application: Application = Echo()
    assert application.execute(b"x", CONTEXT).value == b"x"
    assert describe(Echo) == []
