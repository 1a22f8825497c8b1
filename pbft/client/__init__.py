"""How programs talk to a group: `Client` for asyncio, `connect` for scripts and notebooks.

Owns: sockets and waiting on the client's side. What is sent and what is believed is `pbft.core.session`'s matter.
"""

from pbft.client.asynchronous import Client
from pbft.client.blocking import BlockingClient, connect
from pbft.client.errors import (
    ClientClosed,
    InvalidOperation,
    NotAClient,
    OperationFailed,
    OperationRejected,
    Refused,
    Timeout,
    Unknown,
)
from pbft.client.reply import Reply

__all__ = [
    "BlockingClient",
    "Client",
    "ClientClosed",
    "InvalidOperation",
    "NotAClient",
    "OperationFailed",
    "OperationRejected",
    "Refused",
    "Reply",
    "Timeout",
    "Unknown",
    "connect",
]
