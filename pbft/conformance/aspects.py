"""In what two processes that execute the same operations may differ.

Owns: the aspects and their words. How each is brought about is the business of whoever starts and runs the processes.
"""

from __future__ import annotations

from enum import Enum
from typing import Final


class Aspect(Enum):
    """Something that no application may depend on, by its name in a list of them."""

    HASH_SEED = "hash seed"
    """PYTHONHASHSEED: the order of sets of str and bytes, and hash()."""
    CLOCK = "clock"
    """The wall clock, months apart, and how fast it and the other clocks go."""
    RANDOM = "random"
    """What random, secrets, uuid and os.urandom give."""
    TIME_ZONE = "time zone"
    """TZ: what local time is."""
    PLACE = "place"
    """The working directory, variables of the environment, the locale."""
    MEMORY = "memory"
    """When the garbage collector clears what nothing refers to any more but itself."""
    FRESH = "fresh start"
    """Whether the process executed all operations, or took over the state by a snapshot in between."""
    COMPANY = "company"
    """Whether the process had executed operations on another instance of the class before."""

    @property
    def explained(self) -> str:
        """What it means where a difference takes this aspect alone: the end of "it takes …"."""
        return _EXPLAINED[self]


_EXPLAINED: Final = {
    Aspect.HASH_SEED: "another hash seed: the order of a set, or of what was built from one, or hash()",
    Aspect.CLOCK: "another clock: use the context's time_ms",
    Aspect.RANDOM: "other random numbers: random, secrets, uuid or os.urandom; use the context's random",
    Aspect.TIME_ZONE: "another time zone: local time was used",
    Aspect.PLACE: "another place: the working directory, the environment or the locale",
    Aspect.MEMORY: "memory cleared at another moment: weak references, __del__() or gc decide something",
    Aspect.FRESH: "a fresh process that restored the state: something is kept outside the fields",
    Aspect.COMPANY: "another instance of the class in the process before: something is kept outside the fields",
}

ALL: Final = frozenset(Aspect)
