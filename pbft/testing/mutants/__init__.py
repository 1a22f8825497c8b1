"""Bugs of the protocol, each planted alone, that the swarm has to catch: a checker that catches nothing proves nothing.

Each is a slip that somebody might make on a late evening: a check left out, a comparison one off, a wrong operand, a
memory that is not cleared. `pbft mutants` hunts them, and `pbft sim --plant NAME` shows one.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from pbft.testing.mutants.mutant import COUNTS, Change, Mutant, NotThere, edit


@cache
def catalogue() -> Mapping[str, Mutant]:
    """Return every mutant by its name, those of one kind together.

    Made when first asked for, since each compiles what it changes anew: a run without a bug need not wait for that.
    """
    from pbft.testing.mutants.blame import BLAMING
    from pbft.testing.mutants.clients import CLIENTS
    from pbft.testing.mutants.counts import COUNTING
    from pbft.testing.mutants.phases import PHASES
    from pbft.testing.mutants.signing import SIGNING
    from pbft.testing.mutants.states import STATES
    from pbft.testing.mutants.tries import TRIES
    from pbft.testing.mutants.views import VIEWS
    from pbft.testing.mutants.waiting import WAITING

    every = (*COUNTING, *SIGNING, *PHASES, *VIEWS, *STATES, *TRIES, *CLIENTS, *WAITING, *BLAMING)
    return {mutant.name: mutant for mutant in every}


__all__ = ["COUNTS", "Change", "Mutant", "NotThere", "catalogue", "edit"]
