"""What clients were told, all together: it could have come from one copy of the application (O10).

Owns: how a run's calls become a history, and the two checks that it has to pass. Both look at what clients saw from
outside; the first believes the sequences that they were told, the second believes none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from pbft.core.group import Group
from pbft.encoding import Plain
from pbft.machine import ArgumentError, Context, Outcome
from pbft.operations import decode_operation
from pbft.testing.clients import Call, SimulatedClient
from pbft.testing.linearizability import (
    MOST_MOVES,
    Execute,
    Linearizable,
    NotLinearizable,
    Operation,
    Undecided,
    check,
    execute_plainly,
    find_flaw,
)
from pbft.testing.oracles.base import Facts, OracleFailure
from pbft.testing.oracles.record import Record, RequestName

LINEARIZABLE: Final = "O10"


class History:
    """A run's calls as operations, and the order of them that clients' answers and executed batches tell.

    An answered call ends when its client accepts the answer. Any other may have taken effect at any time after it was
    called, or never: a refused one, too, since a refusal says no more than that nobody will answer. Operations of one
    session take effect in the order of its calls. What a client that lies, or somebody with its key, got executed is
    no call of anybody's: it may have taken effect at any time.
    """

    def __init__(self, group: Group, record: Record, clients: Iterable[SimulatedClient]) -> None:
        self._names = {client.public_key: client.name for client in group.genesis.clients}
        self._answered: dict[RequestName, dict[int, tuple[Call, Operation]]] = {}
        self._open: dict[tuple[bytes, bytes, bytes], list[int]] = {}
        """Calls without an answer, by their places among the operations, by client, session and bytes."""
        self._contexts = {name: each for ran in record.replayed.values() for name, each in ran.contexts.items()}
        self._placed: dict[int, None] = {}
        self.operations: list[Operation] = []
        """All calls, and what was executed besides."""
        self.order: list[Operation] = []
        """What was executed, by sequence, place in the batch and place in the request."""
        self.flaw: str | None = None
        """An answer that was told at a sequence where it was not executed, if there is one."""
        for client in clients:
            for call in client.calls:
                self._add(client, call)
        for sequence in sorted(record.replayed):
            for name, data in record.replayed[sequence].effective:
                self._place(sequence, name, data)
        for operations in self._answered.values():
            for call, operation in operations.values():
                self._object(f"{operation} was answered at {_told(call)}, and no correct replica executed it")

    def _add(self, client: SimulatedClient, call: Call) -> None:
        name = self._names[client.key]
        session = "" if client.label == name else f"{client.label}, "
        operation = Operation(
            client=name,
            name=call.name,
            args=call.args,
            called=call.called_event,
            ended=call.ended_event if call.completed is not None else None,
            value=call.completed.result.value if call.completed is not None else None,
            outcome=call.completed.result.outcome if call.completed is not None else Outcome.OK,
            thread=client.label,
            data=call.data,
            remark=f"{session}{call.called_ms}-{'' if call.ended_ms is None else call.ended_ms} ms",
        )
        if call.completed is not None:
            request = (client.key, call.session, call.completed.timestamp)
            operation = replace(operation, context=self._context(request, call.completed.index))
            self._answered.setdefault(request, {})[call.completed.index] = (call, operation)
        else:
            for session_id in client.sessions:
                self._open.setdefault((client.key, session_id, call.data), []).append(len(self.operations))
        self.operations.append(operation)

    def _context(self, request: RequestName, index: int) -> Context | None:
        """Return what the model was told of the world as it executed an operation, if it did."""
        contexts = self._contexts.get(request, ())
        return contexts[index] if index < len(contexts) else None

    def _place(self, sequence: int, request: RequestName, data: tuple[bytes, ...]) -> None:
        """Give a request's operations their place in the order: those that were called, or somebody else's."""
        answered = self._answered.pop(request, {})
        for index, each in enumerate(data):
            if index not in answered:
                self.order.append(self._unanswered(request, each, self._context(request, index)))
                continue
            call, operation = answered[index]
            if call.completed is not None and call.completed.sequence != sequence:
                self._object(f"{operation} was answered at {_told(call)}, and was executed at sequence {sequence}")
            self.order.append(operation)

    def _object(self, flaw: str) -> None:
        self.flaw = self.flaw or flaw

    def _unanswered(self, request: RequestName, data: bytes, context: Context | None) -> Operation:
        client, session, _ = request
        for place in self._open.get((client, session, data), ()):
            # A session that was refused has had several ids, and its calls stand under each of them.
            if place not in self._placed:
                self._placed[place] = None
                self.operations[place] = replace(self.operations[place], context=context)
                return self.operations[place]
        name, args = _read(data)
        remark = "no call of a correct client"
        operation = Operation(self._names[client], name, args, data=data, remark=remark, context=context)
        self.operations.append(operation)
        return operation


def judge_calls(
    facts: Facts,
    clients: Iterable[SimulatedClient],
    execute: Execute = execute_plainly,
    most_moves: int = MOST_MOVES,
) -> Linearizable | Undecided:
    """Judge all calls of a run so far, by sequence and by a search; return what the search came to.

    Raises OracleFailure (O10) when the order that clients were told does not explain their answers or contradicts real
    time: an operation that ended before another was called has the lower place. And when no order at all explains them.
    """
    history = History(facts.group, facts.record, clients)
    flaw = history.flaw or find_flaw(history.order, facts.application, execute)
    if flaw is not None:
        raise OracleFailure(LINEARIZABLE, f"in the order that clients were told, {flaw}")
    verdict = check(history.operations, facts.application, execute, most_moves=most_moves)
    if isinstance(verdict, NotLinearizable):
        raise OracleFailure(LINEARIZABLE, str(verdict))
    return verdict


def _told(call: Call) -> str:
    assert call.completed is not None
    return f"sequence {call.completed.sequence}"


def _read(data: bytes) -> tuple[str, tuple[Plain, ...]]:
    try:
        call = decode_operation(data)
    except ArgumentError:
        return "unreadable", (data,)
    return call.name, call.args


__all__ = ["LINEARIZABLE", "History", "judge_calls"]
