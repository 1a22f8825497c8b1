"""The pytest plugin: a group for a test, on virtual time or of real processes.

Owns: the names for whoever annotates tests. Nothing is loaded before it is used: pytest loads this package in every
run, wherever pbft is installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pbft.plugin.group import Group, GroupClient, Misused, NotConverged, Pending

__all__ = ["Group", "GroupClient", "Misused", "NotConverged", "Pending"]

# Type checkers see the names themselves, and so a misspelt one.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Load a name when it is first asked for."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module("pbft.plugin.group"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """Return the public names."""
    return list(__all__)
