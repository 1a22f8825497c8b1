"""Programs at work: sessions that call what their workload says, one call after the other.

Owns: when the next call of a program is made. What becomes of calls is judged elsewhere.
"""

from __future__ import annotations

from pbft.machine import encode_operation
from pbft.testing.clients import Call, SimulatedClient
from pbft.testing.cluster import Cluster
from pbft.testing.swarm.plan import Plan
from pbft.testing.swarm.programs import Program
from pbft.testing.swarm.workloads import Workload


class Worker:
    """A program at work: one session, and its calls one after the other."""

    def __init__(self, group: Cluster, program: Program, workload: Workload, plan: Plan) -> None:
        self.calls: list[Call] = []
        self.program = program
        self._group = group
        self._workload = workload
        self._plan = plan
        self._client: SimulatedClient = group.client(program.client)
        self._rounds = 0
        self._waiting = 0
        group.at(program.start_ms, self._next)

    def speak(self) -> list[Call]:
        """Call what is next, all of one request."""
        began = len(self.calls)
        for number in range(began, began + self.program.operations):
            spoken = self._workload.operation(self._client.label, number, self._plan.word_bytes)
            if isinstance(spoken, bytes):
                self.calls.append(self._client.send(spoken))
            else:
                name, args, named = spoken if len(spoken) == 3 else (*spoken, {})
                self.calls.append(self._client.send(encode_operation(name, args, named), name, args))
        return self.calls[began:]

    def _next(self) -> None:
        if self._rounds == self.program.calls or self._group.now_ms >= self._plan.heal_ms:
            return
        self._rounds += 1
        calls = self.speak()
        self._waiting = len(calls)
        for call in calls:
            call.then = self._ended

    def _ended(self) -> None:
        self._waiting -= 1
        if self._waiting == 0:
            self._group.at(self._group.now_ms + self.program.think_ms, self._next)
