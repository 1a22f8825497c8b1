"""State machines: plain Python classes whose operations every replica executes alike.

Owns: how an operation becomes a result, and the rule that an operation either returns or changes nothing. Knows nothing
of replicas, messages, disks or clocks.

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
from typing import Any, Final, Self

from pbft.application import FAILED_INSIDE, Application, Outcome, Rejected, Result
from pbft.blueprint import Blueprint, Entry, read_blueprint
from pbft.contents import Contents
from pbft.encoding import EncodingError, Plain, encode, encode_plain
from pbft.fields import encode_field
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
from pbft.state import digest_fields, read_fields, read_scalars, snapshot_fields, write_scalars
from pbft.table import EntryTooLarge, Table
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

Written = tuple[tuple[int, bytes, bytes | None], ...]
"""What an operation wrote: section, key, and the value or None where it was removed."""

_FAILED: Final = Result.of(Outcome.FAILED, FAILED_INSIDE)
"""Made beforehand: when memory is short there may be none left to make it."""


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
    it is the person at the keyboard. How deep a recursion may go differs between hosts, and so does how much memory
    there is: bound both, and do not catch RecursionError or MemoryError inside, where it would decide what happens.

    **What cannot be undone.** Undoing is by a copy of the fields and a journal of Table writes, each entered before the
    write, so it does not matter where an operation was when it broke. It ends where Python ends: when the system kills
    the interpreter or its C stack overflows nothing is left to undo, and a replica starts from its disk. When
    memory runs out, or Ctrl-C comes, while it is being undone, that is tried once more; if it runs out again,
    `execute()` raises MemoryError, and this machine refuses every later operation. What an operation did outside its
    fields, it did.

    A snapshot copies references only, and shares what they refer to with the state; `restore()` puts new Tables in the
    place of the old.
    """

    __slots__ = ("__dict__", "_checked", "_running", "_scalars", "_table_names", "last_failure", "last_written")

    last_failure: BaseException | None
    """What last made an operation FAILED, with its traceback: for whoever debugs this replica, no part of the state."""
    last_written: Written
    """What the operation executed last changed, section by section (see `sections`): nothing where it failed.

    A value written and put back is no change, so that this follows from the operation and the state alone.
    """
    _running: bool
    _checked: bool
    _scalars: Contents
    _table_names: tuple[str, ...]

    def __new__(cls, *_args: Any, **_parameters: Any) -> Self:
        """Give the fields of the class body their first values, so that `__init__` finds them."""
        blueprint = _blueprint(cls)
        self = super().__new__(cls)
        self.last_failure = None
        self.last_written = ()
        self._running = False
        self._checked = False
        self._scalars = Contents()
        self._table_names = ()
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
        twin._checked, twin._table_names = self._checked, self._table_names
        return twin

    def execute(self, operation: bytes, context: Context) -> Result:
        """Run one encoded operation and return what it came to; see the class for what is undone and when."""
        if self._running:
            raise RuntimeError("an operation called execute(); call the other method directly")
        if not self._checked:
            self._check_first_state()
        self.last_written = ()
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

    # The state as maps from bytes to bytes, for whoever runs the machine: what checkpoints cover and replicas exchange.

    def sections(self) -> tuple[Contents, ...]:
        """Return the state as it is stored: one map of all scalars, then one for each Table, by the names of fields.

        The first is brought up to date by the call. Whoever writes to them calls `adopt` afterwards.
        """
        if not self._checked:
            self._check_first_state()
        write_scalars(self._scalars, self.__dict__)
        return (self._scalars, *(self.__dict__[name]._contents for name in self._table_names))

    def section_names(self) -> tuple[str, ...]:
        """Return what the sections are called: nothing for the scalars, whose keys are their names, then the Tables."""
        return ("", *self._table_names)

    def adopt(self) -> None:
        """Take the values of scalars from their section, which somebody else wrote.

        Raises EncodingError for one that no machine with these fields writes, and has then changed no field.
        """
        self.__dict__.update(read_scalars(self._scalars, like=self.__dict__))

    def _run(self, entry: Entry, values: Mapping[str, Plain], context: Context) -> Result:
        before = dict(self.__dict__)
        tables: list[Contents] = [before[name]._contents for name in self._table_names]
        keep = False
        self._running = True
        try:
            for table in tables:
                table.begin()
            payload = _encode_returned(entry, entry.signature.call(self, values, context))
            if len(payload) > context.answer_bytes:
                raise _Broken(f"{entry.spec.name}() returned more than the {context.answer_bytes} bytes left for it")
            written = self._written(entry.spec.name, before, tables)
            if written and entry.spec.is_query:
                raise _Broken(f"{entry.spec.name}() is a query and must change nothing; mark it @operation if it may")
            result = Result(Outcome.OK, payload)
            self.last_written = written
            keep = True
            return result
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return self._refuse(entry.spec.name, error)
        finally:
            try:
                self._close(before, tables, keep)
            except BaseException as error:
                # Once more from the start, after which nothing is left half done.
                self._close(before, tables, keep)
                if isinstance(error, KeyboardInterrupt):
                    raise

    def _close(self, before: dict[str, Any], tables: list[Contents], keep: bool) -> None:
        """Keep or undo what an operation did. To do it twice is to do it once."""
        for table in tables:
            if keep:
                table.commit()
            else:
                table.rollback()
        if not keep:
            self.__dict__ = before
        self._running = False

    def _refuse(self, name: str, error: BaseException) -> Result:
        """Return the result for what an operation raised; its text is the application's own for Rejected only."""
        try:
            if isinstance(error, Rejected):
                return Result.of(Outcome.REJECTED, _exact_text(error.message))
            self.last_failure = error
            if isinstance(error, _Broken):
                return Result.of(Outcome.FAILED, error.text)
            if type(error) is EntryTooLarge:
                return Result.of(Outcome.FAILED, _Broken(f"{name}() stored too much: {error}").text)
        except Exception as second:
            # A message that is no text or cannot be encoded, or a subclass that never set one.
            self.last_failure = second
        return _FAILED

    def _written(self, name: str, before: Mapping[str, Any], tables: list[Contents]) -> Written:
        """Return what an operation wrote. By content, since which equal values are one object differs between hosts.

        Raises _Broken unless the fields are those of before, each holding what a field may hold.
        """
        after = self.__dict__
        if after.keys() != before.keys():
            raise _other_fields(name, before, after)
        written: list[tuple[int, bytes, bytes | None]] = []
        for field in sorted([field for field, value in after.items() if value is not before[field]]):
            value, old = after[field], before[field]
            if type(value) is Table or type(old) is Table:
                raise _Broken(
                    f"{name}() assigned a Table to the field {field}, or replaced one; use clear() and update()"
                )
            try:
                encoded = encode_field(field, value)
            except EncodingError as error:
                raise _Broken(f"{name}() left the field {field} with a value it cannot hold: {error}") from None
            if encoded != encode(old):
                written.append((0, field.encode(), encoded))
        for number, table in enumerate(tables, 1):
            if table.journal:
                written += [(number, key, now) for key, old in table.journal.items() if (now := table.get(key)) != old]
        return tuple(written)

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
                encode_field(field, value)
            except EncodingError as error:
                raise MachineError(f"{owner}.{field} cannot be a field: {error}") from None
        self._table_names = tuple(sorted(field for field, value in self.__dict__.items() if type(value) is Table))
        self._checked = True


def _other_fields(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> _Broken:
    for field in sorted(before):
        if field not in after:
            return _Broken(f"{name}() deleted the field {field}; give it a value that means nothing, such as None")
    field = min(field for field in after if field not in before)
    return _Broken(f"{name}() set a new field {field}; declare it in the class body, as in {field}: int = 0")


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
