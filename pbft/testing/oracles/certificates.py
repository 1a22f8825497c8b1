"""What replicas act upon: certificates hold a true quorum (O6).

Owns: the oracle that counts every certificate again, with a quorum computed from n alone, so that a replica whose own
counts are wrong is found out at its first wrong step.
"""

from __future__ import annotations

from collections.abc import Iterable

from pbft.core.effects import CommittedLocal, Effect, Executed, Persist, Prepared
from pbft.core.envelope import Envelope, Kind, genuine
from pbft.core.group import ReplicaId
from pbft.testing.oracles.base import Facts, Oracle
from pbft.testing.oracles.votes import Vote, read_vote
from pbft.testing.words import short


class Certificates(Oracle):
    """O6: a quorum of distinct members, for one view, sequence, digest and group, behind every step.

    Prepared: the primary's genuine pre-prepare and genuine prepares of distinct backups, a quorum together. Committed:
    commits of a quorum, none invented in a correct replica's name. No commit is voted without the former, nothing
    executes without the latter.
    """

    id = "O6"
    watches = (Prepared, CommittedLocal, Executed, Persist)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._prepared: dict[tuple[ReplicaId, int | None, int | None], bytes] = {}
        self._committed: dict[tuple[ReplicaId, int], bytes] = {}
        self._commits: dict[tuple[ReplicaId, bytes], None] = {}
        """Every commit that correct replicas made durable, by who voted and the vote's exact words."""
        self._due: list[Vote] = []
        """Commits persisted in the list of effects at hand; its Prepared notice may follow them."""

    def observe(self, replica: ReplicaId, effect: Effect) -> None:
        """Judge each certificate where it is claimed, and each step where it is taken."""
        match effect:
            case Prepared(view, sequence, digest, certificate):
                self._check_prepared(replica, Vote(Kind.PREPARE, view, sequence, digest), certificate)
                self._prepared[replica, view, sequence] = digest
            case CommittedLocal(view, sequence, digest, certificate):
                self._check_committed(replica, Vote(Kind.COMMIT, view, sequence, digest), certificate)
                self._committed[replica, sequence] = digest
            case Executed():
                if self._committed.get((replica, effect.sequence)) != effect.digest:
                    self.fail(f"replica {replica} executed sequence {effect.sequence} without a certificate for it")
            case Persist():
                vote = read_vote(effect.vote)
                if vote is not None and vote.kind is Kind.COMMIT and effect.vote.sender == replica:
                    self._commits[replica, effect.vote.body] = None
                    self._due.append(vote)
            case _:
                pass

    def concluded(self, replica: ReplicaId) -> None:
        """Hold the commits voted in this list against the prepared certificates held."""
        for vote in self._due:
            if self._prepared.get((replica, vote.view, vote.sequence)) != vote.digest:
                self.fail(f"replica {replica} voted {vote} without a prepared certificate for it")
        self._due.clear()

    def _check_prepared(self, replica: ReplicaId, claim: Vote, certificate: tuple[Envelope, ...]) -> None:
        what = f"replica {replica}'s prepared certificate for v{claim.view} s{claim.sequence} {short(claim.digest)}"
        assert claim.view is not None
        primary = claim.view % len(self.facts.group.genesis.members)
        proposals = [each for each in certificate if each.kind is Kind.PRE_PREPARE]
        prepares = [each for each in certificate if each.kind is not Kind.PRE_PREPARE]
        if len(proposals) != 1 or proposals[0].sender != primary:
            self.fail(f"{what} has no single pre-prepare of its primary, replica {primary}")
        self._check_votes(what, Vote(Kind.PRE_PREPARE, claim.view, claim.sequence, claim.digest), proposals)
        self._check_votes(what, claim, prepares)
        if any(each.sender == primary for each in prepares):
            self.fail(f"{what} counts a prepare of the primary, whose vote is its pre-prepare")
        for each in certificate:
            if not genuine(self.facts.group, self.facts.verifier, each):
                self.fail(f"{what} holds a {each.kind.name} that replica {each.sender!r} never signed in this group")
        self._check_quorum(what, certificate)

    def _check_committed(self, replica: ReplicaId, claim: Vote, certificate: tuple[Envelope, ...]) -> None:
        what = f"replica {replica}'s commit certificate for v{claim.view} s{claim.sequence} {short(claim.digest)}"
        self._check_votes(what, claim, certificate)
        for each in certificate:
            # A commit may count on the strength of its signer's own link, whatever its signature (design 4.4); but what
            # stands there in a correct replica's name, that replica has said.
            sender = each.sender
            if isinstance(sender, int) and sender in self.facts.correct and (sender, each.body) not in self._commits:
                self.fail(f"{what} counts a commit that replica {sender} never voted")
        self._check_quorum(what, certificate)

    def _check_votes(self, what: str, claim: Vote, envelopes: Iterable[Envelope]) -> None:
        for each in envelopes:
            if each.kind is not claim.kind or read_vote(each) != claim:
                self.fail(f"{what} holds a vote for something else: {read_vote(each) or each.kind.name}")

    def _check_quorum(self, what: str, certificate: tuple[Envelope, ...]) -> None:
        n = len(self.facts.group.genesis.members)
        members = dict.fromkeys(each.sender for each in certificate)
        if any(not isinstance(member, int) or not 0 <= member < n for member in members):
            self.fail(f"{what} counts somebody who is no member")
        if len(members) != len(certificate):
            self.fail(f"{what} counts one member twice")
        if len(members) < self.facts.quorum:
            self.fail(f"{what} has {len(members)} members, and {self.facts.quorum} of {n} make a quorum")
