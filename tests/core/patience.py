"""A backup's patience under a microscope: requests heard and relayed, batches run, and what it makes of them."""

from __future__ import annotations

from pbft.core.batches import SignedRequest
from pbft.core.effects import Cause
from pbft.core.group import Limits
from pbft.core.requests import WaitingRequests
from pbft.core.settings import ReplicaSettings
from pbft.core.timers import Timers
from tests.core.builders import Scene, session_id, signed

T = 1_000
"""The timeout of these tests."""


class Backup:
    """The waiting requests and the timers of one replica; the test speaks for clients, primary and group."""

    def __init__(self, settings: ReplicaSettings | None = None, scene: Scene | None = None) -> None:
        self.scene = scene or Scene(clients=("alice", "bob", "carol", "dave"))
        settings = settings or ReplicaSettings(view_timeout_ms=T)
        self.waiting = WaitingRequests(settings)
        self.timers = Timers(self.waiting, settings, Limits(), self.scene.group.quorums)
        self.now_ms = 0
        self.executed = 0

    def hear(
        self,
        client: str,
        now_ms: int,
        session: int = 1,
        timestamp: int = 1,
        *,
        starts_ms: int | None = None,
        relayed: bool = True,
    ) -> SignedRequest:
        """Take a client's request in, and relay it to the primary."""
        each = signed(self.scene.request(client, timestamp, (b"op",), session_id(session)))
        assert self.waiting.has_room(each)
        self.waiting.add(each, now_ms, now_ms if starts_ms is None else starts_ms)
        if relayed:
            assert self.waiting.relay_due(each, now_ms)
        return each

    def settle(self, client: str, session: int = 1, timestamp: int = 1) -> None:
        """Let a request go that ran."""
        self.waiting.settle(self.scene.key(client), session_id(session), timestamp)

    def run(self, now_ms: int, *served: str, sequence: int | None = None) -> None:
        """Execute the next batch: a fresh request of each client named, and of those that wait here the session 1."""
        self.executed = self.executed + 1 if sequence is None else sequence
        for client in served:
            self.settle(client)
        keys = [self.scene.key(client) for client in served]
        self.timers.executed(self.executed, keys, now_ms)

    def at(self, now_ms: int) -> Cause | None:
        """Ask whether it is time to leave."""
        self.now_ms = now_ms
        return self.timers.cause(now_ms)

    def leave(self, cause: Cause = Cause.STALLED) -> None:
        """Leave the view, or the one asked for."""
        self.timers.left(cause, self.now_ms)

    @property
    def deadline(self) -> int:
        """When it wants to be asked next."""
        assert self.timers.deadline_ms is not None
        return self.timers.deadline_ms

    def wait(self) -> tuple[int, Cause]:
        """Let time pass, with a tick at each deadline, until it gives up."""
        while (cause := self.at(self.deadline)) is None:
            assert self.deadline > self.now_ms, "no driver may spin"
        return self.now_ms, cause
