"""Where correct replicas first came to different things: the operation, and what each of them made of it.

Owns: the comparison of what replicas and the oracles' model remember of each operation, and its words. Judges nothing:
an oracle has found by then that something is wrong, and this says to the application's author where to look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pbft.core.deeds import Deed, digest_of
from pbft.core.group import Group
from pbft.core.replica import Replica
from pbft.encoding import EncodingError, decode_plain
from pbft.machine import ArgumentError, Outcome, Result, StateMachine
from pbft.operations import decode_operation
from pbft.testing.oracles.record import Record
from pbft.wording import listing, quote, shorten


def tell_parting(group: Group, record: Record, replicas: Mapping[int, Replica]) -> str | None:
    """Return the first operation that came to different things, and to what; None where none is remembered."""
    model = record._execution
    for sequence in range(1, record.executed + 1):
        for position, expected in enumerate(model.deeds.of(sequence) or ()):
            came: dict[str, Deed | None] = {"one more copy": expected}
            for i in sorted(replicas):
                past = replicas[i]._execution.deeds.of(sequence)
                if past is not None and position < len(past):
                    came[str(i)] = past[position]
            if len(dict.fromkeys(map(digest_of, came.values()))) > 1:
                called = _call(group, record, sequence, position)
                return f"{called} at sequence {sequence} {_differing(came, model._application)}"
    return None


def _call(group: Group, record: Record, sequence: int, position: int) -> str:
    """Return the words for an operation: of those of its batch that were executed it is as many as stand before."""
    place = sum(1 for deed in (record._execution.deeds.of(sequence) or ())[:position] if deed is not None)
    effective = record.replayed[sequence].effective
    operations = [(name[0], data) for name, every in effective for data in every]
    if place >= len(operations):
        return "an operation"
    key, data = operations[place]
    try:
        call = decode_operation(data)
    except ArgumentError:
        return f"{group.clients[key].name}'s {len(data)} bytes"
    words = [*map(_short, call.args), *(f"{name}={_short(call.kwargs[name])}" for name in sorted(call.kwargs))]
    return f"{group.clients[key].name}.{call.name}({', '.join(words)})"


def _differing(came: Mapping[str, Deed | None], application: object) -> str:
    told = {who: "not executed" if deed is None else _told(deed[0]) for who, deed in came.items()}
    if len(dict.fromkeys(told.values())) > 1:
        return "came to " + _by(told)
    names = application.section_names() if isinstance(application, StateMachine) else ()
    written = {who: {each[:2]: each[2] for each in deed[1]} if deed is not None else {} for who, deed in came.items()}
    for place in sorted(dict.fromkeys(place for each in written.values() for place in each)):
        values = {who: _value(each, place) for who, each in written.items()}
        if len(dict.fromkeys(values.values())) > 1:
            return f"left {_place(names, place)} as {_by(values)}"
    return "came to different things"


def _by(told: Mapping[str, str]) -> str:
    """Return each thing told with those who told it."""
    found: dict[str, list[str]] = {}
    for who, what in told.items():
        found.setdefault(what, []).append(who)
    parts = []
    for what, whose in found.items():
        replicas = [int(who) for who in whose if who.isdigit()]
        others = [who for who in whose if not who.isdigit()]
        parts.append(f"{what} at {' and '.join([*([listing(replicas)] if replicas else []), *others])}")
    return ", ".join(parts)


def _value(written: Mapping[tuple[int, bytes], bytes | None], place: tuple[int, bytes]) -> str:
    if place not in written:
        return "it was"
    value = written[place]
    return "nothing" if value is None else _read(value)


def _place(names: Sequence[str], place: tuple[int, bytes]) -> str:
    section, key = place
    if section == 0:
        return f"the field {key.decode(errors='replace')}"
    return f"the key {_read(key)} of {names[section] if section < len(names) else 'a Table'}"


def _told(result: Result) -> str:
    words = _read(result.payload)
    return words if result.outcome is Outcome.OK else f"{result.outcome.name} {words}"


def _read(data: bytes) -> str:
    try:
        return _short(decode_plain(data))
    except EncodingError:
        return f"{len(data)} bytes"


def _short(value: object) -> str:
    if isinstance(value, str):
        return quote(value)
    return shorten(repr(value))
