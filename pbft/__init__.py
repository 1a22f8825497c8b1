"""Run a plain Python class as a group of replicas that agree, even while some of them lie.

Owns: the names that users import. Each is loaded when it is first used, so that an application, which needs none of
the client's, starts without sockets and keys, and a run of pytest that needs nothing of pbft loads nothing of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

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
    from pbft.errors import PbftError
    from pbft.machine import Context, Rejected, StateMachine, operation, query
    from pbft.table import Table

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

_MACHINE: Final = "pbft.machine"
_CLIENT: Final = "pbft.client"
_HOMES: Final = {
    "Client": _CLIENT,
    "Context": _MACHINE,
    "InvalidOperation": _CLIENT,
    "OperationFailed": _CLIENT,
    "PbftError": "pbft.errors",
    "Receipt": "pbft.core.receipt",
    "Refused": _CLIENT,
    "Rejected": _MACHINE,
    "Reply": _CLIENT,
    "StateMachine": _MACHINE,
    "Table": "pbft.table",
    "Timeout": _CLIENT,
    "Unknown": _CLIENT,
    "connect": _CLIENT,
    "operation": _MACHINE,
    "query": _MACHINE,
}


# Type checkers see the names themselves, and so a misspelt one.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Load a name when it is first asked for."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """Return the public names."""
    return list(__all__)
