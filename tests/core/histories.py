"""Short histories of a group that changes views, by a seed: who proposed, prepared, committed and showed what.

A model of the rules that correct replicas keep (OSDI'99 section 4.2, 4.4), and of what f liars can make of them: they
vote for everything, propose two batches at once, hide certificates, show old ones or invent some, and as primaries make
two NEW-VIEWs of different quorums of votes. No signatures: a certificate that was invented says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from pbft.core.group import Quorums
from pbft.core.messages import BEGINNING, CheckpointProof, PreparedCertificate, Share, ViewChange
from pbft.core.reproposal import Reproposal

LOG_SIZE = 6
INTERVAL = 3
GOOD, INVENTED = b"\1" * 64, b"\0" * 64

Repropose = Callable[
    [Sequence[ViewChange], int, Callable[[CheckpointProof], bool], Callable[[PreparedCertificate], bool]], Reproposal
]


def is_prepared(certificate: PreparedCertificate) -> bool:
    """Say whether a certificate of the model is genuine."""
    return certificate.pre_prepare == GOOD


def is_stable(proof: CheckpointProof) -> bool:
    """Say whether a proof of the model is genuine."""
    return proof == BEGINNING or [share.signature for share in proof.shares] == [GOOD]


def certificate(view: int, sequence: int, batch: bytes, signature: bytes = GOOD) -> PreparedCertificate:
    """Return a certificate of the model."""
    return PreparedCertificate(view, sequence, batch, signature, ())


def proof(sequence: int, state: bytes = bytes(32), signature: bytes = GOOD) -> CheckpointProof:
    """Return a proof of the model."""
    return CheckpointProof(sequence, state, (Share(0, signature),))


NOTHING = Reproposal(BEGINNING, ())


@dataclass
class Member:
    """What one correct replica holds."""

    stable: CheckpointProof = BEGINNING
    certificates: dict[int, PreparedCertificate] = field(default_factory=dict)
    """By sequence, of the highest view in which it saw one."""
    begun: Reproposal = NOTHING
    """How its view began."""

    def vote(self, view: int) -> ViewChange:
        """Return its VIEW-CHANGE."""
        held = [self.certificates[each] for each in sorted(self.certificates) if each > self.stable.sequence]
        return ViewChange(view, self.stable, tuple(held))


class History:
    """A run of a few views."""

    def __init__(self, seed: int, repropose: Repropose) -> None:
        self._random = Random(seed)
        self._repropose = repropose
        self.quorums = Quorums.of(self._random.choice([4, 5, 6, 7]))
        numbers = list(range(self.quorums.n))
        self._random.shuffle(numbers)
        self.liars = sorted(numbers[: self.quorums.faults])
        self.members = {number: Member() for number in sorted(numbers[self.quorums.faults :])}
        self.existing: list[PreparedCertificate] = []
        """Every genuine certificate: a liar may show any of them."""
        self.committed: dict[int, bytes] = {}
        self.kept = 0
        """How often a new view had to take up what had committed."""
        self.lost: list[str] = []
        """What committed and was not proposed again, in words."""

    def run(self, views: int) -> History:
        """Let views come and go."""
        for view in range(views):
            if view:
                self._change_view(view)
            for sequence in range(1, LOG_SIZE + 1):
                self._agree(view, sequence)
            self._checkpoint()
        self._change_view(views)
        return self

    def _agree(self, view: int, sequence: int) -> None:
        """Let a view's primary propose for a sequence, and as many as chance will have it go through the phases."""
        primary = view % self.quorums.n
        fresh = [b"%d.%d.%d" % (view, sequence, each) for each in (0, 1)]
        voted: dict[int, bytes] = {}
        for number, member in self.members.items():
            place = sequence - member.begun.stable.sequence - 1
            if place < 0 or self._random.random() < 0.2:
                continue
            if place < len(member.begun.digests):
                voted[number] = member.begun.digests[place]
            else:
                voted[number] = fresh[0] if primary in self.members else self._random.choice(fresh)
        if primary in self.members and primary not in voted:
            return
        for batch in dict.fromkeys(voted.values()):
            backers = [number for number in voted if voted[number] == batch]
            if len(backers) + len(self.liars) >= self.quorums.prepared and (
                primary in backers or primary in self.liars
            ):
                self._prepare(certificate(view, sequence, batch))

    def _prepare(self, made: PreparedCertificate) -> None:
        self.existing.append(made)
        seen = [
            each
            for each in self.members.values()
            if each.stable.sequence < made.sequence and self._random.random() < 0.7
        ]
        for member in seen:
            member.certificates[made.sequence] = made
        if len(seen) + len(self.liars) >= self.quorums.committed:
            before = self.committed.setdefault(made.sequence, made.digest)
            if before != made.digest:
                self.lost.append(f"two batches committed at sequence {made.sequence}")

    def _checkpoint(self) -> None:
        """Let some members learn that a state is stable, once all up to it committed."""
        if all(sequence in self.committed for sequence in range(1, INTERVAL + 1)):
            for member in self.members.values():
                if self._random.random() < 0.4:
                    member.stable = proof(INTERVAL)

    def _change_view(self, view: int) -> None:
        votes = {number: member.vote(view) for number, member in self.members.items()}
        primary_lies = view % self.quorums.n in self.liars
        made = [self._new_view(view, votes) for _ in range(2 if primary_lies else 1)]
        for result in made:
            self._judge(view, result)
        for member in self.members.values():
            member.begun = self._random.choice(made)

    def _new_view(self, view: int, votes: dict[int, ViewChange]) -> Reproposal:
        """Return what follows from the votes of some quorum."""
        voters = self._random.sample(range(self.quorums.n), self.quorums.view_change)
        chosen = [votes[each] if each in votes else self._lie(view) for each in voters]
        return self._repropose(chosen, LOG_SIZE, is_stable, is_prepared)

    def _lie(self, view: int) -> ViewChange:
        """Return a liar's VIEW-CHANGE: of what exists, whatever suits it, beside what does not."""
        shown: dict[int, PreparedCertificate] = {}
        stable = self._random.choice(
            [BEGINNING, proof(INTERVAL, b"?" * 32, INVENTED), *(each.stable for each in self.members.values())]
        )
        for sequence in range(stable.sequence + 1, stable.sequence + LOG_SIZE + 1):
            genuine = [each for each in self.existing if each.sequence == sequence]
            invented = certificate(view - 1, sequence, b"invented", INVENTED)
            choice = self._random.choice([None, invented, *genuine])
            if choice is not None:
                shown[sequence] = choice
        return ViewChange(view, stable, tuple(shown.values()))

    def _judge(self, view: int, result: Reproposal) -> None:
        if not is_stable(result.stable):
            self.lost.append(f"view {view} starts from a state that nobody vouches for")
        for sequence, batch in self.committed.items():
            place = sequence - result.stable.sequence - 1
            if place < 0:
                continue
            self.kept += 1
            again = result.digests[place] if place < len(result.digests) else None
            if again != batch:
                self.lost.append(f"view {view} proposes {again!r} where {batch!r} committed at sequence {sequence}")
