"""State machines: plain Python classes whose operations every replica executes alike.

Owns: what an application is, how an operation becomes a result, and the rule that an operation either returns or
changes nothing. Knows nothing of replicas, messages, disks or clocks.

A complete one:

    class Counter(StateMachine):
        total: int = 0

        @operation
        def add(self, amount: int) -> int:
            self.total += amount
            return self.total
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, Protocol, Self

from pbft.annotations import check_immutable
from pbft.blueprint import Blueprint, Entry, read_blueprint
from pbft.encoding import EncodingError, Plain, decode_plain, encode_plain
from pbft.operations import (
    ArgumentError,
    Context,
    MachineError,
    OperationSpec,
    Parameter,
    decode_operation,
    encode_operation,
    operation,
    parse_arguments,
    query,
)
from pbft.pieces import SNAPSHOT_PIECE_BYTES
from pbft.state import digest_fields, read_fields, snapshot_fields
from pbft.table import Table
from pbft.wording import quote, tell

__all__ = [
    "FAILED_INSIDE",
    "SNAPSHOT_PIECE_BYTES",
    "Application",
    "ArgumentError",
    "Context",
    "MachineError",
    "OperationSpec",
    "Outcome",
    "Parameter",
    "Rejected",
    "Result",
    "StateMachine",
    "describe",
    "describe_parameters",
    "encode_operation",
    "operation",
    "parse_arguments",
    "query",
]

FAILED_INSIDE: Final = "the operation failed inside the application; nothing was changed"


class Outcome(IntEnum):
    """How an operation ended. Only OK may have changed the state."""

    OK = 0
    REJECTED = 1
    """The application said no, in its own words."""
    INVALID = 2
    """There is no such operation, or its arguments do not fit."""
    FAILED = 3
    """The application broke: a bug of its author, the same on every replica."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one operation came to, in the bytes that replicas must agree on."""

    outcome: Outcome
    payload: bytes
    """Canonical encoding of the value (OK) or of one text (every other outcome)."""

    @classmethod
    def of(cls, outcome: Outcome, value: Plain) -> Result:
        """Return a result for a value. Raises EncodingError for one that cannot be encoded."""
        return cls(outcome, encode_plain(value))

    @property
    def value(self) -> Plain:
        """The value or the text, decoded afresh. Raises EncodingError where the bytes came from a liar."""
        return decode_plain(self.payload)


class Rejected(Exception):
    """The application says no. The client is shown the message, and the state stays as it was."""

    def __init__(self, message: str = "rejected") -> None:
        super().__init__(message)
        self.message = message


class Application(Protocol):
    """Bytes in, bytes out: for those who want no StateMachine.

    Two instances that executed the same operations in the same contexts return equal results and have equal digests,
    on any host and in any process. A class of this kind is made with its parameters as keywords, or by a
    classmethod `create(parameters)` where it has one.
    """

    def execute(self, operation: bytes, context: Context) -> Result:
        """Run one operation. Never raises; what is not OK has changed nothing.

        An answer beyond `context.answer_bytes` is replaced by a failure, so check before changing anything.
        """
        ...

    def digest(self) -> bytes:
        """Return 32 bytes over the whole state: equal for equal states, different for different ones."""
        ...

    def snapshot(self) -> Iterable[bytes]:
        """Return the whole state as pieces of at most SNAPSHOT_PIECE_BYTES each: equal states give equal pieces.

        They are those of the moment of the call, whatever is executed afterwards, and can be iterated over again: a
        list will do. Every checkpoint calls this, so what can wait should wait for the iteration.
        """
        ...

    def restore(self, pieces: Iterable[bytes]) -> None:
        """Replace the whole state by that of a snapshot, which another instance may have made.

        Afterwards `digest()` and `snapshot()` are those of its maker. Raises ValueError for pieces that no snapshot of
        this class makes, and has then changed nothing.
        """
        ...


class StateMachine:
    """Base of a replicated application. Subclass it, declare fields, mark methods.

    **Fields** are declared in the class body or set in `__init__`: immutable scalars (int within 64 bits, str, bytes,
    bool, None, tuples of them) with a first value, as in `total: int = 0`, or Tables without one, as in
    `accounts: Table[str, int]`, of which each machine gets its own, empty. After `__init__` the set of fields is
    fixed, and so is which of them are Tables. `ClassVar` marks a constant, which is not state.

    **Operations** are methods marked `@operation`, or `@query` where they change nothing. Their annotations check what
    clients send: int, str, bytes, bool, None, Literal, unions of these with `|`, and tuple[...], list[...] and
    dict[str, ...] of them. A parameter annotated `Context` is filled in. They return what can be encoded, or raise
    `Rejected` with a message for the client. An operation either returns or changes nothing, whatever it raises.

    **Parameters** of the application are the annotated parameters of `__init__`. Fields have their first values
    before `__init__` runs, so there is no `super().__init__()` to remember.

    **The same everywhere.** An operation may use its arguments, its fields and the Context: no clock, no `random`, no
    file, no network, no environment, no order of a set, no `hash()` or `id()`, no global that changes.

    **What an operation raises.** Everything but `Rejected` gives one fixed text, SystemExit included, so that
    `exit()` in an application does not end a replica. KeyboardInterrupt alone passes through, the operation undone:
    it is the person at the keyboard. How deep a recursion may go differs between hosts, so bound yours.

    Undoing is by a copy of the fields and a journal of Table writes. A snapshot copies references only, and shares
    what they refer to with the state; `restore()` puts new Tables in the place of the old.
    """

    __slots__ = ("__dict__", "_checked", "_running", "last_failure")

    last_failure: BaseException | None
    """What last made an operation FAILED, with its traceback: for whoever debugs this replica, no part of the state."""

    def __new__(cls, *_args: Any, **_parameters: Any) -> Self:
        """Give the fields of the class body their first values, so that `__init__` finds them."""
        blueprint = _blueprint(cls)
        self = super().__new__(cls)
        self.last_failure = None
        self._running = False
        self._checked = False
        self.__dict__.update(blueprint.defaults)
        self.__dict__.update((name, Table[Any, Any]()) for name in blueprint.tables)
        return self

    def __init__(self) -> None:
        """Take no parameters. A subclass that wants some declares them, annotated, in an `__init__` of its own."""

    @classmethod
    def create(cls, parameters: Mapping[str, Plain]) -> Self:
        """Return a machine in its first state.

        Raises ArgumentError for parameters that do not fit, MachineError for a class that breaks a rule, and
        whatever `__init__` raises.
        """
        initialise = _blueprint(cls).parameters
        values = initialise.bind((), parameters)
        self = cls.__new__(cls)
        initialise.call(self, values)
        self._check_first_state()
        return self

    def __copy__(self) -> Self:
        """Return another machine in this state, with Tables of its own: what either does leaves the other alone."""
        twin = type(self).__new__(type(self))
        twin.__dict__ = {name: copy(value) if type(value) is Table else value for name, value in self.__dict__.items()}
        twin._checked = self._checked
        return twin

    def execute(self, operation: bytes, context: Context) -> Result:
        """Run one encoded operation and return what it came to; see the class for what is undone and when."""
        if self._running:
            raise RuntimeError("an operation called execute(); call the other method directly")
        if not self._checked:
            self._check_first_state()
        try:
            call = decode_operation(operation)
            entries = _blueprint(type(self)).entries
            if call.name not in entries:
                raise ArgumentError(f"there is no operation {quote(call.name)}{tell(entries)}")
            entry = entries[call.name]
            values = entry.signature.bind(call.args, call.kwargs)
        except ArgumentError as error:
            return Result.of(Outcome.INVALID, str(error))
        return self._run(entry, values, context)

    def digest(self) -> bytes:
        """Return 32 bytes over the names and values of all fields, whatever the order in which they came to be."""
        return digest_fields(self.__dict__)

    def snapshot(self) -> Iterable[bytes]:
        """Return the values of all fields as pieces, fixed now and made when they are iterated over."""
        return snapshot_fields(self.__dict__)

    def restore(self, pieces: Iterable[bytes]) -> None:
        """Replace the values of all fields by those of a snapshot.

        Raises EncodingError, a ValueError, for pieces that no machine with these fields makes: which they are, and
        which of them are Tables, is as in the first state. Then nothing is changed.
        """
        if self._running:
            raise RuntimeError("an operation called restore(), which is for whoever runs the machine")
        if not self._checked:
            self._check_first_state()
        self.__dict__ = read_fields(pieces, like=self.__dict__)

    def _run(self, entry: Entry, values: Mapping[str, Plain], context: Context) -> Result:
        before = dict(self.__dict__)
        tables = [value for value in before.values() if type(value) is Table]
        keep = False
        self._running = True
        for table in tables:
            table._begin()
        try:
            payload = _encode_returned(entry, entry.signature.call(self, values, context))
            if len(payload) > context.answer_bytes:
                raise _Broken(f"{entry.spec.name}() returned more than the {context.answer_bytes} bytes left for it")
            self._check_fields(entry.spec.name, before)
            if entry.spec.is_query:
                self._check_unchanged(entry.spec.name, before, tables)
            keep = True
            return Result(Outcome.OK, payload)
        except KeyboardInterrupt:
            raise
        except _Broken as broken:
            self.last_failure = broken
            return Result.of(Outcome.FAILED, broken.text)
        except BaseException as error:
            return self._refuse(error)
        finally:
            for table in tables:
                if keep:
                    table._commit()
                else:
                    table._rollback()
            if not keep:
                self.__dict__ = before
            self._running = False

    def _refuse(self, error: BaseException) -> Result:
        """Return the result for what the application raised; its text is the application's own for Rejected only."""
        try:
            if isinstance(error, Rejected):
                return Result.of(Outcome.REJECTED, _exact_text(error.message))
        except Exception as second:
            # A message that is no text or cannot be encoded, or a subclass that never set one.
            error = second
        self.last_failure = error
        return Result.of(Outcome.FAILED, FAILED_INSIDE)

    def _check_fields(self, name: str, before: Mapping[str, Any]) -> None:
        """Raise _Broken unless the fields are those of before, each holding what a field may hold."""
        for field in sorted({**before, **self.__dict__}):
            if field not in self.__dict__:
                raise _Broken(f"{name}() deleted the field {field}; give it a value that means nothing, such as None")
            if field not in before:
                raise _Broken(f"{name}() set a new field {field}; declare it in the class body")
            value = self.__dict__[field]
            if value is before[field]:
                continue
            if type(value) is Table or type(before[field]) is Table:
                raise _Broken(
                    f"{name}() assigned a Table to the field {field}, or replaced one; use clear() and update()"
                )
            try:
                check_immutable(value)
            except EncodingError as error:
                raise _Broken(f"{name}() left the field {field} with a value it cannot hold: {error}") from None

    def _check_unchanged(self, name: str, before: Mapping[str, Any], tables: list[Table[Any, Any]]) -> None:
        """Raise _Broken if a query wrote. By content, since which equal values are one object differs between hosts."""
        fields_changed = any(
            value is not before[field] and encode_plain(value) != encode_plain(before[field])
            for field, value in self.__dict__.items()
        )
        if fields_changed or any(table._changed() for table in tables):
            raise _Broken(f"{name}() is a query and must change nothing; mark it @operation if it may")

    def _check_first_state(self) -> None:
        """Raise MachineError unless every field has a value, of a kind that a field may hold."""
        owner = type(self).__name__
        holders: dict[int, str] = {}
        for field in _blueprint(type(self)).declared:
            if field not in self.__dict__:
                raise MachineError(f"{owner}.{field} has no first value; give it one in the class body or in __init__")
        for field, value in self.__dict__.items():
            if type(value) is Table:
                other = holders.setdefault(id(value), field)
                if other != field:
                    raise MachineError(f"{owner}.{other} and {owner}.{field} are one Table; give each its own")
                continue
            try:
                check_immutable(value)
            except EncodingError as error:
                raise MachineError(f"{owner}.{field} cannot be a field: {error}") from None
        self._checked = True


class _Broken(Exception):
    """An operation broke a rule of this module. Its text depends on the class and the operation only."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = f"{text}; nothing was changed"


def describe(cls: type) -> list[OperationSpec]:
    """Return what clients may know of a state machine's operations, in the order of definition.

    An Application that is no StateMachine takes bytes of its own making: it has none to tell of. Raises MachineError
    with one sentence for a class that breaks a rule.
    """
    if not issubclass(cls, StateMachine):
        return []
    return [entry.spec for entry in _blueprint(cls).entries.values()]


def describe_parameters(cls: type) -> tuple[Parameter, ...]:
    """Return the parameters that a state machine is created with; raises as `describe` does."""
    return _blueprint(cls).parameters.parameters if issubclass(cls, StateMachine) else ()


def _blueprint(cls: type[StateMachine]) -> Blueprint:
    """Return what a class declares, read when it is first used: by then every annotation can be resolved."""
    known: Blueprint | None = vars(cls).get("__pbft_blueprint__")
    if known is None:
        known = read_blueprint(cls, StateMachine)
        type.__setattr__(cls, "__pbft_blueprint__", known)
    return known


def _encode_returned(entry: Entry, value: object) -> bytes:
    try:
        return encode_plain(value)
    except EncodingError as error:
        raise _Broken(f"{entry.spec.name}() returned what cannot be sent: {error}") from None


def _exact_text(message: object) -> str:
    if type(message) is not str:
        raise TypeError(f"a Rejected carries a str, not {type(message).__name__}")
    return message
