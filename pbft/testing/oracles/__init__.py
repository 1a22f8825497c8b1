"""Oracles: invariants of the protocol that every simulated run is held against, after every delivery."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from pbft.testing.oracles.base import Facts, Oracle, OracleFailure, Overseer
from pbft.testing.oracles.certificates import Certificates
from pbft.testing.oracles.history import Agreement, ExactlyOnce, Order, Validity
from pbft.testing.oracles.votes import HonestEvidence, NoEquivocation, PersistBeforeSend

ORACLES: Final[tuple[type[Oracle], ...]] = (
    PersistBeforeSend,
    NoEquivocation,
    HonestEvidence,
    Certificates,
    Agreement,
    Validity,
    ExactlyOnce,
    Order,
)


def oversee(facts: Facts, without: Collection[str] = ()) -> Overseer:
    """Return an overseer with all oracles but those whose ids are named.

    To leave one out is for a test that plants a bug and wants to see which other oracle finds it.
    """
    known = [oracle.id for oracle in ORACLES]
    unknown = [name for name in without if name not in known]
    if unknown:
        raise ValueError(f"no oracle is called {unknown[0]!r}; there are {', '.join(known)}")
    return Overseer((oracle(facts) for oracle in ORACLES if oracle.id not in without), facts.correct)


__all__ = ["ORACLES", "Facts", "Oracle", "OracleFailure", "Overseer", "oversee"]
