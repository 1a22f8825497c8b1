"""What several replicas recall, laid side by side: the first place at which one's own is not what the others' is.

Owns: the rule of what counts as the truth: what f+1 others recall alike, of whom one at least is correct. Asks nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import Enum

from pbft.core.group import ReplicaId


class Verdict(Enum):
    """How far a comparison has come."""

    OPEN = "answers that could decide it are still to come"
    NOWHERE = "all that could be compared is equal"
    DIFFERS = "f+1 others recall something else"
    SPLIT = "no f+1 others recall the same"
    LATE = "too few of the others answered in time"


class Comparison:
    """One's own items, and what others told of theirs, place by place. An empty item says: not remembered.

    `split` says that the group is of several minds: then a place at which no f+1 others agree is what is looked for.
    """

    def __init__(self, own: Sequence[bytes], others: int, weak: int, faults: int, *, split: bool) -> None:
        self.own = tuple(own)
        self.answers: dict[ReplicaId, list[bytes]] = {}
        self.place = 0
        """The first place that is not settled yet, or the one that was looked for."""
        self.compared_from = 0
        """The first place behind the last one that could not be compared, because it is not remembered."""
        self.own_missing = False
        """Whether that was for want of one's own memory."""
        self._others = others
        self._weak = weak
        self._enough = others - faults
        self._split = split

    def told(self, replica: ReplicaId) -> int:
        """Return how many places somebody told of."""
        return len(self.answers.get(replica, ()))

    def right(self) -> bytes | None:
        """Return what f+1 others recall alike of the place where the comparison stands."""
        counts = self._counts()
        best = max(counts, key=lambda each: counts[each], default=None)
        return best if best is not None and counts[best] >= self._weak else None

    def accounts(self) -> list[tuple[bytes, tuple[ReplicaId, ...]]]:
        """Return what is recalled of that place, each with those who do; what most recall comes first."""
        found: dict[bytes, list[ReplicaId]] = {}
        for replica in sorted(self.answers):
            if self.told(replica) > self.place and (item := self.answers[replica][self.place]):
                found.setdefault(item, []).append(replica)
        return sorted(((item, tuple(by)) for item, by in found.items()), key=lambda each: (-len(each[1]), each[1]))

    def go_on(self, *, final: bool) -> Verdict:
        """Compare as far as the answers reach; `final` says that no more of them will come."""
        while self.place < len(self.own):
            verdict = self._judge(final)
            if verdict is not None:
                return verdict
            self.place += 1
        return Verdict.NOWHERE

    def _judge(self, final: bool) -> Verdict | None:
        """Return what the present place decides, None where the next one is to be looked at."""
        own, right = self.own[self.place], self.right()
        if right is not None and own:
            return None if own == right else Verdict.DIFFERS
        if right is None:
            counts = self._counts()
            outstanding = self._others - sum(1 for each in self.answers.values() if len(each) > self.place)
            open_still = max(counts.values(), default=0) + outstanding >= self._weak
            if open_still and not final:
                return Verdict.OPEN
            if self._split and own and sum(counts.values()) >= self._enough:
                return Verdict.SPLIT
            if open_still:
                return Verdict.LATE
        self.compared_from = self.place + 1
        self.own_missing = not own
        return None

    def _counts(self) -> Counter[bytes]:
        told = (each[self.place] for each in self.answers.values() if len(each) > self.place)
        return Counter(item for item in told if item)
