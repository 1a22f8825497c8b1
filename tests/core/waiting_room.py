"""Requests of three clients and rooms for them to wait in, for the tests of `WaitingRequests`."""

from __future__ import annotations

from pbft.core.batches import SignedRequest
from pbft.core.group import Limits
from pbft.core.requests import WaitingRequests
from pbft.core.settings import ReplicaSettings
from tests.core.builders import Scene, session_id, signed

SCENE = Scene(clients=("alice", "bob", "carol"))
LIMITS = Limits()
NAMES = {SCENE.key(name): name for name in ("alice", "bob", "carol")}


def request(client: str = "alice", session: int = 1, timestamp: int = 1, payload: bytes = b"op") -> SignedRequest:
    return signed(SCENE.request(client, timestamp, (payload,), session_id(session)))


def waiting(*requests: SignedRequest, settings: ReplicaSettings | None = None) -> WaitingRequests:
    room = WaitingRequests(settings or ReplicaSettings())
    for each in requests:
        assert room.has_room(each)
        assert room.add(each, 0, 0) == []
    return room


def clients(taken: list[SignedRequest]) -> list[str]:
    return [NAMES[each.request.client] for each in taken]
