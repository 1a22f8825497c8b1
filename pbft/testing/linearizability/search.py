"""The search for a linearization: Wing and Gong's, with Lowe's cache.

Owns: what a search has tried, in which order, and when it gives up.

Wing and Gong (J. Parallel Distrib. Comput. 17, 1993): take as the next operation any that was called before every
operation still left had ended, let the model execute it, go on if the answer fits, go back if nothing does. Lowe
(Concurrency Computat.: Pract. Exper. 29(4), 2017): what lies ahead depends on the set of operations taken and on the
model's state alone, so no such configuration is gone into twice.

A history that is quiescent now and then needs no cutting. When all that was called has been answered, exactly the
operations before that moment are taken, in every branch, so the configurations there are as many as states that the
model can be in: a segment hands its possible end states to the next, one at a time and only when asked for another.
Work adds up over segments, and grows fast only with what overlaps within one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pbft.machine import Application
from pbft.testing.linearizability.operation import Execute, Operation, execute_plainly
from pbft.testing.linearizability.states import State, States
from pbft.testing.linearizability.verdict import Linearizable, Misfit, NotLinearizable, Undecided, Verdict

MOST_MOVES: Final = 50_000
"""How often a search by default asks the model whether an operation can come next before it gives up: a second's worth,
or two, of executing."""


def check(
    operations: Iterable[Operation],
    create: Callable[[], Application],
    execute: Execute = execute_plainly,
    *,
    most_moves: int = MOST_MOVES,
) -> Verdict:
    """Search for an order of a history's operations that explains every answer.

    `create` makes the application in its first state: a StateMachine's class without parameters will do. `execute`
    tells how an operation is executed on it; the default needs answers that follow from state, arguments and client.

    Takes every answered operation once and any of the others, each after all that ended before it was called and after
    what its thread was answered before. Returns Linearizable with such an order, NotLinearizable with what fits
    nowhere, or Undecided when it gave up after `most_moves`.
    """
    return _Search(tuple(operations), create, execute).run(most_moves)


def _ran_at(operation: Operation) -> float:
    return math.inf if operation.context is None else operation.context.sequence


@dataclass(frozen=True, slots=True, eq=False)
class _Node:
    """A configuration, and how the search came there."""

    base: int
    """All answered operations before this one, by their calls, are taken."""
    ahead: int
    """Which of the answered operations from `base` on are taken, as bits."""
    maybes: int
    """Which of the unanswered operations are taken, as bits."""
    state: State
    taken: int
    """The operation taken last; -1 at the beginning."""
    before: _Node | None
    horizon: int
    """The earliest end of an answered operation that is not taken yet: what was called later has to wait."""
    length: int

    def has(self, index: int) -> bool:
        """Say whether an answered operation is taken."""
        return index < self.base or bool(self.ahead >> (index - self.base) & 1)


class _Search:
    def __init__(self, operations: Sequence[Operation], create: Callable[[], Application], execute: Execute) -> None:
        by_call = sorted(operations, key=lambda operation: operation.called)
        self._answered = sum(1 for operation in by_call if operation.answered)
        # Stable: answered ones first, each kind by its calls.
        places = sorted(range(len(by_call)), key=lambda place: not by_call[place].answered)
        self._operations = [by_call[place] for place in places]
        self._called = [operation.called for operation in self._operations]
        self._ended = [operation.ended or 0 for operation in self._operations[: self._answered]]
        self._follows = self._find_predecessors(places)
        self._states = States(create, execute, self._operations)
        self._seen: dict[tuple[int, int, int], list[State]] = {}
        self._moves = 0

    def _find_predecessors(self, places: Sequence[int]) -> list[int]:
        """Return for every operation the answered one that its thread called last before it; -1 where there is none."""
        last: dict[str, int] = {}
        follows = [-1] * len(places)
        for index in sorted(range(len(places)), key=places.__getitem__):
            operation = self._operations[index]
            if operation.thread:
                follows[index] = last.get(operation.thread, -1)
                if operation.answered:
                    last[operation.thread] = index
        return follows

    def run(self, most_moves: int) -> Verdict:
        """Go into configurations, the deepest first."""
        best = node = self._enter(0, 0, 0, self._states.first, -1, None)
        stack = [(node, self._next(node))]
        configurations = 1
        while stack:
            node, left = stack[-1]
            if node.base == self._answered:
                return Linearizable(self._path(node), configurations)
            after = next(left, None)
            if self._moves > most_moves:
                return Undecided(len(self._operations), best.length, most_moves)
            if after is None:
                stack.pop()
                self._states.unify = True
                continue
            configurations += 1
            if (after.horizon, after.length) > (best.horizon, best.length):
                best = after
            stack.append((after, self._next(after)))
        return self._explain(best, configurations)

    def _next(self, node: _Node) -> Iterator[_Node]:
        """Yield the configurations that one more operation leads to, unless they were gone into before."""
        candidates = []
        for index in range(node.base, self._answered):
            if self._called[index] > node.horizon:
                break
            if not node.has(index):
                candidates.append(index)
        # What was answered first probably ran first, and what has to have run is better tried before what may have.
        for index in sorted(candidates, key=self._ended.__getitem__):
            if self._is_free(node, index):
                yield from self._take(node, index)
        alike: dict[tuple[str, bytes], int] = {}
        for index in range(self._answered, len(self._operations)):
            if self._called[index] > node.horizon:
                break
            if node.maybes >> (index - self._answered) & 1 or not self._is_free(node, index):
                continue
            # Of several that are the same, which one ran makes no difference but for its context: the one that is
            # known to have run the earliest comes first, and what never ran, as far as anybody knows, comes last.
            operation = self._operations[index]
            first = alike.setdefault((operation.client, operation.encoded), index)
            if _ran_at(operation) < _ran_at(self._operations[first]):
                alike[operation.client, operation.encoded] = index
        for index in alike.values():
            yield from self._take(node, index)

    def _is_free(self, node: _Node, index: int) -> bool:
        return self._follows[index] < 0 or node.has(self._follows[index])

    def _take(self, node: _Node, index: int) -> Iterator[_Node]:
        self._moves += 1
        state = self._states.after(node.state, index)
        if state is None:
            return
        base, ahead, maybes = node.base, node.ahead, node.maybes
        if index >= self._answered:
            if state.digest == node.state.digest:
                # It changes nothing here, and there is no answer of its to explain.
                return
            maybes |= 1 << (index - self._answered)
        else:
            ahead |= 1 << (index - base)
            while ahead & 1:
                ahead >>= 1
                base += 1
        seen = self._seen.setdefault((base, ahead, maybes), [])
        if any(state is other or state.digest == other.digest for other in seen):
            return
        seen.append(state)
        yield self._enter(base, ahead, maybes, state, index, node)

    def _enter(self, base: int, ahead: int, maybes: int, state: State, taken: int, before: _Node | None) -> _Node:
        # Whatever is called after this horizon ends after it, too, so the look ahead can stop there.
        horizon = self._ended[base] if base < self._answered else max(self._called, default=0)
        index = base + 1
        while index < self._answered and self._called[index] <= horizon:
            if not ahead >> (index - base) & 1:
                horizon = min(horizon, self._ended[index])
            index += 1
        return _Node(base, ahead, maybes, state, taken, before, horizon, before.length + 1 if before else 0)

    def _path(self, node: _Node) -> tuple[Operation, ...]:
        path = []
        while node.before is not None:
            path.append(self._operations[node.taken])
            node = node.before
        return tuple(reversed(path))

    def _explain(self, best: _Node, configurations: int) -> NotLinearizable:
        """Say where the search came furthest, and why it went no further."""
        left = [index for index in range(best.base, self._answered) if not best.has(index)]
        culprit = min(left, key=self._ended.__getitem__)
        misfits = [
            Misfit(self._operations[index], self._states.answer(best.state, index))
            for index in left
            if self._called[index] <= best.horizon and self._is_free(best, index)
        ]
        return NotLinearizable(
            operations=len(self._operations),
            prefix=self._path(best),
            culprit=self._operations[culprit],
            misfits=tuple(misfits),
            configurations=configurations,
        )
