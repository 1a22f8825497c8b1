"""The conformance kit: whether an application is deterministic, keeps its rules, and survives liars and recovery.

Owns: the names that users import, each loaded when it is first used: the processes of a check need none of them, and
start sooner.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pbft.conformance.checking import CheckError, Report, check
    from pbft.conformance.findings import Finding, Rule
    from pbft.conformance.scripts import replay
    from pbft.conformance.steps import Step
    from pbft.conformance.vocabulary import HookError

__all__ = ["CheckError", "Finding", "HookError", "Report", "Rule", "Step", "check", "replay"]

_HOMES: Final = {
    "CheckError": "pbft.conformance.checking",
    "Finding": "pbft.conformance.findings",
    "HookError": "pbft.conformance.vocabulary",
    "Report": "pbft.conformance.checking",
    "Rule": "pbft.conformance.findings",
    "Step": "pbft.conformance.steps",
    "check": "pbft.conformance.checking",
    "replay": "pbft.conformance.scripts",
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
