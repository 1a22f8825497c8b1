"""Whether one given order is a linearization: the witness that somebody offers is checked, not searched for.

Owns: the check of an order against real time, threads and the model, in one pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pbft.machine import Application
from pbft.testing.linearizability.operation import Execute, Operation, execute_plainly, told_in_order
from pbft.testing.linearizability.verdict import Misfit


def find_flaw(
    order: Sequence[Operation],
    create: Callable[[], Application],
    execute: Execute = execute_plainly,
) -> str | None:
    """Return what is wrong with an order of operations, or None where it explains all of their answers.

    Whoever asks sees to it that the order holds every answered operation once. Unanswered ones may be in it: they took
    effect there.
    """
    latest: Operation | None = None
    threads: dict[str, Operation] = {}
    model = create()
    for place, operation in enumerate(order):
        if latest is not None and operation.ended is not None and operation.ended < latest.called:
            return f"{operation} had ended before {latest} was called, and is ordered after it"
        latest = _later(latest, operation)
        if operation.thread:
            ahead = threads.get(operation.thread)
            if ahead is not None and operation.answered and operation.called < ahead.called:
                return f"{ahead} was called after {operation} in one thread, and is ordered before it"
            threads[operation.thread] = _later(ahead, operation)
        result = execute(model, operation)
        if operation.answered and result != operation.result:
            return f"after {told_in_order(order[:place])} comes {Misfit(operation, result)}"
    return None


def _later(one: Operation | None, other: Operation) -> Operation:
    return other if one is None or other.called > one.called else one
