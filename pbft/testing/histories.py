"""Whether replicas came to the same: the check that ends a scenario.

Owns: the comparison of whole histories and states, where some replicas executed what others took over as a state.
"""

from __future__ import annotations

from collections.abc import Iterable

from pbft.core.effects import StateInstalled
from pbft.testing.station import Station


def histories_agree(stations: Iterable[Station]) -> bool:
    """Say whether replicas executed the same at every sequence, without gaps, and are equal where equally far.

    A gap is none where a state was taken over instead. Outcomes and times count; the view in which a batch happened to
    commit does not, nor which of them still live.
    """
    ran: dict[int, tuple[object, ...]] = {}
    states: dict[int, bytes] = {}
    for station in stations:
        if not _is_gapless(station):
            return False
        for each in station.history:
            told = (each.digest, each.time_ms, each.requests)
            if ran.setdefault(each.sequence, told) != told:
                return False
        state = station.core.state_digest()
        if states.setdefault(station.executed, state) != state:
            return False
    return True


def _is_gapless(station: Station) -> bool:
    installed = dict.fromkeys(each.sequence for each in station.taken(StateInstalled))
    before = 0
    for each in station.history:
        if each.sequence != before + 1 and not (each.sequence > before and each.sequence - 1 in installed):
            return False
        before = each.sequence
    return True
