"""A group on virtual time: seeded runs, adversaries and oracles, for this project's tests and for its users'.

Owns: the names that users import, each loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pbft.testing.clients import Call, CallFailed, SimulatedClient
    from pbft.testing.cluster import Cluster, NotFinished
    from pbft.testing.oracles import OracleFailure

__all__ = ["Call", "CallFailed", "Cluster", "NotFinished", "OracleFailure", "SimulatedClient"]

_HOMES: Final = {
    "Call": "pbft.testing.clients",
    "CallFailed": "pbft.testing.clients",
    "Cluster": "pbft.testing.cluster",
    "NotFinished": "pbft.testing.cluster",
    "OracleFailure": "pbft.testing.oracles",
    "SimulatedClient": "pbft.testing.clients",
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
