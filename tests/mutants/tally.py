"""The mutants that every full run of the tests hunts, and what became of them."""

from __future__ import annotations

from pbft.testing.mutants.hunt import Fate

SAMPLE = (
    "prepared",
    "log-never-cut",
    "endless-patience",
    "executes-what-is-prepared",
    "certificates-hidden",
    "clients-outside-the-digest",
    "same-timestamp-runs-again",
    "view-change-not-resent",
    "persisted-after-sending",
    "blames-for-two-views",
)
"""Ten, each of another kind. All of them are hunted by `pbft mutants`, and by the soak."""

FATES: list[Fate] = []
"""What became of each so far."""


def told() -> list[str]:
    """Return the table: mutant, oracle, seeds needed."""
    width = max((len(each.mutant) for each in FATES), default=0)
    return [f"{each.mutant:{width}}  {each.oracle or 'survived':20}  {each.seeds}" for each in FATES]
