"""Simulated groups over a state that was built once, and clients that keep writing to it.

Owns: how such a group is set up. Time between its members is virtual; the time that a replica's turns take is real.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from copy import copy
from typing import Any, Final, cast

from pbft.bench.accounts import OTHER, OWNER, transfers
from pbft.bench.apart import process
from pbft.bench.turns import RemoteReplica, TimedReplica, serve
from pbft.core.envelope import Signer, Verifier
from pbft.core.group import Group, ReplicaId
from pbft.core.replica import Replica
from pbft.core.settings import ReplicaSettings
from pbft.machine import Application, StateMachine
from pbft.testing import Call, Cluster, SimulatedClient
from pbft.testing.byzantine.adversary import Adversary

BEHIND: Final = 3
"""The replica that is cut off and comes back: no primary of any view that is reached here."""
LIAR: Final = 1
PATIENCE_MS: Final = 3_600_000
"""How much virtual time a group is given; what takes longer has failed."""

_LEFT_OUT: Final = ("O8", "O12")
"""The oracles that ask for the digest of a replica's whole state at any time: they would do a checkpoint's work."""


class _Endowed:
    """What the simulator takes for an application's class: each one that it makes is a copy of one state."""

    def __init__(self, state: StateMachine) -> None:
        self._state = state

    def as_class(self) -> type[Any]:
        """Return a class of the application's name."""
        state = self._state

        def create(_cls: type, _parameters: object) -> Application:
            return copy(state)

        return type(type(state).__name__, (), {"create": classmethod(create)})


def group_of(
    state: StateMachine,
    replica_type: Callable[..., Replica] = TimedReplica,
    byzantine: dict[ReplicaId, type[Adversary]] | None = None,
) -> Cluster:
    """Return a group of four whose replicas all begin in this state, each with a copy of its own."""
    return Cluster(
        _Endowed(state).as_class(),
        seed=6,
        clients=(OWNER, OTHER),
        byzantine=byzantine,
        replica_type=cast("type[Replica]", replica_type),
        without_oracles=_LEFT_OUT,
    )


@contextlib.contextmanager
def newcomers() -> Iterator[Callable[..., Replica]]:
    """Give what makes replicas: all as usual but the one that is behind, which has no state and its own process."""
    with contextlib.ExitStack() as stack:

        def make(
            me: ReplicaId,
            group: Group,
            application: Application,
            signer: Signer,
            verifier: Verifier,
            settings: ReplicaSettings,
        ) -> Replica:
            if me != BEHIND:
                return TimedReplica(me, group, application, signer, verifier, settings)
            connection = stack.enter_context(process(serve, me, group, signer, verifier, settings))
            return RemoteReplica(me, group, settings, connection)

        yield make


class Writer:
    """A program that transfers money, and does so again as soon as the group has answered."""

    def __init__(self, client: SimulatedClient, accounts: int, seed: str, at_once: int = 1) -> None:
        """`at_once` transfers ride in each request."""
        self.answered = 0
        """Transfers that the group has executed."""
        self.stopped = False
        self._client = client
        self._payments = transfers(accounts, seed)
        self._at_once = at_once
        self._under_way: list[Call] = []

    def go(self) -> None:
        """Send a request, and another whenever one is answered, until it is `stopped`."""
        if self.stopped:
            return
        self._under_way = [self._client.call("transfer", *next(self._payments)) for _ in range(self._at_once)]
        for call in self._under_way:
            call.then = self._go_on

    def _go_on(self) -> None:
        if all(call.done for call in self._under_way):
            for call in self._under_way:
                call.value()
            self.answered += len(self._under_way)
            self.go()
