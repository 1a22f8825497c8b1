"""The calls of a test to a real group, kept so that they can be judged together.

Owns: when each call began and ended, by a count of these events, and what it came to.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from dataclasses import replace
from typing import Any

from pbft.application import Application
from pbft.client import InvalidOperation, OperationFailed, OperationRejected, Reply
from pbft.encoding import EncodingError, Plain
from pbft.machine import encode_operation
from pbft.plugin.group import SHOWN_CHARACTERS
from pbft.testing.linearizability import Linearizable, NotLinearizable, Operation, Undecided, check
from pbft.wording import shorten

__tracebackhide__ = True


class Calls:
    """What clients called, and what they were told."""

    def __init__(self) -> None:
        self._operations: list[Operation] = []
        self._events = itertools.count(1)

    def begin(
        self, client: str, label: str, name: str, args: tuple[Plain, ...], kwargs: Mapping[str, Plain]
    ) -> Callable[[Future[Reply]], str]:
        """Note a call; return what notes its end, and says in words what it was."""
        try:
            data = encode_operation(name, args, kwargs)
        except EncodingError:
            return _words  # It never leaves.
        place = len(self._operations)
        called = next(self._events)
        self._operations.append(Operation(client, name, args, called=called, thread=label, data=data))

        def end(done: Future[Reply]) -> str:
            reply = _reply(done)
            if reply is not None:
                self._operations[place] = replace(
                    self._operations[place], ended=next(self._events), value=reply.value, outcome=reply.outcome
                )
            return _words(done)

        return end

    def judge(self, application: Callable[[], Application]) -> Linearizable | Undecided:
        """Judge all calls so far. Raises AssertionError when no order of them explains all answers."""
        verdict = check(tuple(self._operations), application)
        if isinstance(verdict, NotLinearizable):
            raise AssertionError(str(verdict))
        return verdict


def _reply(done: Future[Reply]) -> Reply | None:
    """Return the group's answer, None where there was none: then the operation may have run, or not."""
    failure = _failure(done)
    if failure is None:
        return done.result()
    if isinstance(failure, OperationRejected | OperationFailed | InvalidOperation):
        return failure.reply
    return None


def _failure(done: Future[Any]) -> BaseException | None:
    try:
        return done.exception(0)
    except CancelledError as error:
        return error


def _words(done: Future[Reply]) -> str:
    failure = _failure(done)
    words = repr(done.result().value) if failure is None else f"{type(failure).__name__}: {failure}"
    return shorten(words, SHOWN_CHARACTERS)
