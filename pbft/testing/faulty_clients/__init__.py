"""Misbehaving clients for the simulator, one misbehaviour a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pbft.testing.faulty_clients.all_but_primary import AllButPrimary
from pbft.testing.faulty_clients.asker import Asker
from pbft.testing.faulty_clients.false_replica import FalseReplica
from pbft.testing.faulty_clients.faulty_client import ClientMeans, FaultyClient, Speech, nonsense
from pbft.testing.faulty_clients.garbage_signer import GarbageSigner
from pbft.testing.faulty_clients.huge_requests import HugeRequests
from pbft.testing.faulty_clients.many_tongues import ManyTongues
from pbft.testing.faulty_clients.odd_sessions import OddSessions
from pbft.testing.faulty_clients.old_requests import OldRequests
from pbft.testing.faulty_clients.one_backup import OneBackup
from pbft.testing.faulty_clients.request_flood import RequestFlood
from pbft.testing.faulty_clients.room_filler import RoomFiller
from pbft.testing.faulty_clients.session_flood import SessionFlood
from pbft.testing.faulty_clients.stranger import Stranger
from pbft.testing.faulty_clients.timestamp_jumper import TimestampJumper
from pbft.testing.faulty_clients.two_tongues import TwoTongues

FAULTY_CLIENTS: Final[Mapping[str, type[FaultyClient]]] = {
    kind.__name__: kind
    for kind in (
        TwoTongues,
        ManyTongues,
        SessionFlood,
        OddSessions,
        GarbageSigner,
        Stranger,
        FalseReplica,
        OneBackup,
        AllButPrimary,
        TimestampJumper,
        RequestFlood,
        RoomFiller,
        HugeRequests,
        OldRequests,
    )
}
"""Every misbehaviour that a run may draw, by name. New ones go to the end, so that what old seeds draw stays."""

__all__ = [
    "FAULTY_CLIENTS",
    "AllButPrimary",
    "Asker",
    "ClientMeans",
    "FalseReplica",
    "FaultyClient",
    "GarbageSigner",
    "HugeRequests",
    "ManyTongues",
    "OddSessions",
    "OldRequests",
    "OneBackup",
    "RequestFlood",
    "RoomFiller",
    "SessionFlood",
    "Speech",
    "Stranger",
    "TimestampJumper",
    "TwoTongues",
    "nonsense",
]
