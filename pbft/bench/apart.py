"""Work in a process of its own, which starts empty and ends with whoever started it.

Owns: such processes and the way to talk to them: what is handed in, what comes back, and how they end.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from typing import Any, Final, TypeVar

from pbft.errors import PbftError

Result = TypeVar("Result")

_FAILED: Final = "failed"
_DONE: Final = "done"


class MeasurementEnded(PbftError):
    """A process that measured is gone; the message says what to do."""


def apart(task: Callable[..., Result], *arguments: Any) -> Result:
    """Return what a function of a module comes to in a fresh process.

    Raises what it raises there, and MeasurementEnded when the process was killed, as by a system without memory.
    """
    with process(_answer, task, arguments) as connection:
        how, outcome = receive(connection)
    if how == _FAILED:
        raise outcome
    result: Result = outcome
    return result


@contextmanager
def process(target: Callable[..., None], *arguments: Any) -> Iterator[Connection]:
    """Start a fresh process that runs `target(connection, …)`, and end it in the end."""
    # Started afresh, not forked: a fork would share this process's memory, which is what is measured.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_begin, args=(target, theirs, arguments))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        child.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        child.kill()
        child.join()


def receive(connection: Connection) -> Any:
    """Return what the other process sends next. Raises MeasurementEnded when it is gone."""
    try:
        return connection.recv()
    except (EOFError, ConnectionResetError):
        raise MeasurementEnded(
            "a process that measured was killed, perhaps for want of memory; try again with fewer --accounts"
        ) from None


def _begin(target: Callable[..., None], connection: Connection, arguments: tuple[Any, ...]) -> None:
    """Leave a Ctrl-C to the process that waits for this one, and end with that process, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    target(connection, *arguments)


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def _answer(connection: Connection, task: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        outcome = (_DONE, task(*arguments))
    except PbftError as error:
        outcome = (_FAILED, error)
    except Exception as error:
        # Not every exception can be sent; what it says can.
        text = "".join(traceback.format_exception(error))
        outcome = (_FAILED, RuntimeError(f"what is measured broke, in a process of its own:\n{text}"))
    connection.send(outcome)
