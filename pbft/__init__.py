"""Run a plain Python class as a group of replicas that agree, even while some of them lie.

Owns: the names that users import. Those of the client are loaded when they are first used, so that an application,
which needs none of them, starts without sockets and keys.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pbft.errors import PbftError
from pbft.machine import Context, Rejected, StateMachine, operation, query
from pbft.table import Table

if TYPE_CHECKING:
    from pbft.client import (
        Client,
        InvalidOperation,
        OperationFailed,
        Refused,
        Reply,
        Timeout,
        Unknown,
        connect,
    )
    from pbft.core.receipt import Receipt

__all__ = [
    "Client",
    "Context",
    "InvalidOperation",
    "OperationFailed",
    "PbftError",
    "Receipt",
    "Refused",
    "Rejected",
    "Reply",
    "StateMachine",
    "Table",
    "Timeout",
    "Unknown",
    "connect",
    "operation",
    "query",
]


def __getattr__(name: str) -> Any:
    """Load a client's name when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module("pbft.core.receipt" if name == "Receipt" else "pbft.client"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return list(__all__)
