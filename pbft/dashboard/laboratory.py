"""What the keeper says of a lab, as the dashboard shows it: which processes run, who lies, and the faults in force.

Owns: the keeper's state cleaned and in words, and what is no longer promised when more than f replicas are faulty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pbft.console.text import fit
from pbft.dashboard.checks import member
from pbft.lab.state import EVERY, LabState, LinksState, Party, ReplicaState
from pbft.wording import count

_WHY_CELLS: Final = 40
_SENTENCE_CELLS: Final = 60
_NETWORK_CELLS: Final = 200
_SHOWN_FAULTS: Final = 8


@dataclass(frozen=True, slots=True)
class Laboratory:
    """The keeper's state."""

    processes: Mapping[int, ReplicaState]
    """By replica; their texts are not cleaned."""
    faulty: Mapping[int, str]
    """Each replica that counts against f, with why, cleaned."""
    network: str
    untruthful: tuple[int, ...]
    """In whose places somebody lied, or forgot what was said there before."""

    @classmethod
    def read(cls, state: Any, n: int) -> Laboratory | None:
        """Return what the keeper's state says, None where that is not in its form."""
        try:
            told = LabState.from_json(state)
        except ValueError:
            return None
        processes = {each.id: each for each in told.replicas if member(each.id, n) is not None}
        faulty = {replica: fit(why, _WHY_CELLS) for replica, why in told.faulty if replica in processes}
        untruthful = tuple(each.id for each in told.replicas if not each.truthful)
        return cls(processes, faulty, fit(_network(told.links), _NETWORK_CELLS), untruthful)

    def misbehaviour(self, replica: int) -> str:
        """Return how a replica lies, "" where it does not."""
        process = self.processes.get(replica)
        return fit(process.misbehaviour or "", _WHY_CELLS) if process else ""

    def away(self, replica: int) -> str:
        """Return how a replica's process does not run, as in "killed"; "" while it does."""
        process = self.processes.get(replica)
        return "" if process is None or process.state == "running" else process.state

    def last_words(self, replica: int) -> str:
        """Return what a process that ended by itself wrote last."""
        process = self.processes.get(replica)
        return fit(process.words, _SENTENCE_CELLS) if process and process.state == "ended" else ""


def _network(links: LinksState) -> str:
    """Put the faults of the links into words."""
    words = [f"cut {one}–{other}" for one, other in links.cut[:_SHOWN_FAULTS]]
    words += [f"loss {amount}%{_between(*ends)}" for *ends, amount in links.loss[:_SHOWN_FAULTS]]
    words += [f"delay {amount} ms{_between(*ends)}" for *ends, amount in links.delay[:_SHOWN_FAULTS]]
    words += [fit(each, _SENTENCE_CELLS) for each in links.sentences[:_SHOWN_FAULTS]]
    if links.stepping:
        words.append(f"stepping, {count(links.held, 'message')} held")
    return ", ".join(words)


def _between(one: Party, other: Party) -> str:
    return "" if one == other == EVERY else f" {one}–{other}"


def beyond(n: int, faults: int, faulty: Mapping[int, str], answers_hold: bool) -> str:
    """Say what is no longer promised; "" while no more than f replicas are faulty.

    Who is away and never lied nor forgot its votes says nothing false: answers stay right as long as at most f others
    did (`answers_hold`), but too few are left to go on.
    """
    if len(faulty) <= faults:
        return ""
    many = f"{len(faulty)} of {n} replicas are faulty and this group bears {faults}"
    if not answers_hold:
        return f"{many}: nothing is promised any more, answers may be wrong and what was acknowledged may be lost."
    return f"{many}: answers stay right, but that there will be any is no longer promised."
