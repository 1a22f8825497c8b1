"""Oracles: invariants of the protocol that every simulated run is held against, after every delivery."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from pbft.testing.oracles.base import Facts, Oracle, OracleFailure, Overseer
from pbft.testing.oracles.bounds import Bounded, NothingAbove
from pbft.testing.oracles.certificates import Certificates
from pbft.testing.oracles.history import Agreement, ExactlyOnce, Validity
from pbft.testing.oracles.joining import Joins
from pbft.testing.oracles.model import Answers, Invariant
from pbft.testing.oracles.order import Order
from pbft.testing.oracles.states import EqualStates
from pbft.testing.oracles.views import Durability, ViewCertificates
from pbft.testing.oracles.votes import HonestEvidence, NoEquivocation, PersistBeforeSend

ORACLES: Final[tuple[type[Oracle], ...]] = (
    PersistBeforeSend,
    NoEquivocation,
    HonestEvidence,
    Certificates,
    ViewCertificates,
    Joins,
    Agreement,
    Validity,
    ExactlyOnce,
    Order,
    Durability,
    EqualStates,
    Answers,
    Invariant,
    NothingAbove,
    Bounded,
)
"""In the order in which they judge an effect. Liveness (O15) is judged once a run has healed: `liveness.py`.
What clients were told (O10) is judged when asked for, as a whole: `linearizable.py`."""


def oversee(facts: Facts, without: Collection[str] = ()) -> Overseer:
    """Return an overseer with all oracles but those whose ids are named.

    To leave one out is for a test that plants a bug and wants to see which other oracle finds it.
    """
    known = dict.fromkeys(oracle.id for oracle in ORACLES)
    unknown = [name for name in without if name not in known]
    if unknown:
        raise ValueError(f"no oracle is called {unknown[0]!r}; there are {', '.join(known)}")
    return Overseer(facts, [oracle(facts) for oracle in ORACLES if oracle.id not in without])


__all__ = ["ORACLES", "Facts", "Oracle", "OracleFailure", "Overseer", "oversee"]
