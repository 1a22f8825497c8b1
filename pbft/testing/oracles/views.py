"""What a view rests on (O6), and what it must not lose (O7).

Owns: the oracles that judge every checkpoint proof and every NEW-VIEW that a correct replica acts upon.
"""

from __future__ import annotations

from pbft.core.effects import BecameStable, CommittedLocal, Effect, Persist, ViewEntered
from pbft.core.envelope import Kind
from pbft.core.group import ReplicaId
from pbft.core.messages import NewView, ViewChange, unpack
from pbft.testing.oracles.base import Facts, Oracle
from pbft.testing.oracles.renewal import Renewals
from pbft.testing.words import proposals, short


class ViewCertificates(Oracle):
    """O6: a quorum behind every stable checkpoint and every new view, which proposes again what follows from it."""

    id = "O6"
    watches = (BecameStable, ViewEntered)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._renewals = Renewals(facts.group, facts.verifier, facts.quorum)

    def observe(self, replica: ReplicaId, effect: Effect) -> None:
        """Judge the signatures that a step rests on, and reckon anew what follows from them."""
        if isinstance(effect, BecameStable):
            proof = effect.proof
            flaw = self._renewals.flaw(proof)
            if flaw is not None:
                self.fail(f"replica {replica}'s proof that s{proof.sequence} is stable proves nothing: {flaw}")
        elif isinstance(effect, ViewEntered):
            self._check_view(replica, effect)

    def _check_view(self, replica: ReplicaId, entered: ViewEntered) -> None:
        what = f"replica {replica} entered view {entered.view}"
        votes: list[ViewChange] = []
        for envelope in entered.votes:
            vote = self._renewals.read(envelope)
            if isinstance(vote, str):
                self.fail(f"{what} though {vote}")
            if vote.view != entered.view:
                self.fail(f"{what} on a VIEW_CHANGE for view {vote.view}")
            votes.append(vote)
        members = dict.fromkeys(envelope.sender for envelope in entered.votes)
        if len(members) != len(votes):
            self.fail(f"{what} on two VIEW_CHANGEs of one member")
        if len(members) < self.facts.quorum:
            n = len(self.facts.group.genesis.members)
            self.fail(f"{what} on {len(members)} VIEW_CHANGEs, and {self.facts.quorum} of {n} make a quorum")
        stable, digests = self._renewals.reckon(votes)
        if (stable, digests) != (entered.stable, entered.digests):
            self.fail(
                f"{what} at s{entered.stable} with {proposals(entered.stable, entered.digests)}; "
                f"its votes come to s{stable} with {proposals(stable, digests)}"
            )


class Durability(Oracle):
    """O7: what any correct replica committed in a view, every later view proposes again, or starts beyond.

    Told both by the views that correct replicas enter and by the NEW-VIEWs that correct primaries sign. It holds
    whichever is seen first, the view or the commit: votes of an old view may arrive at any time.
    """

    id = "O7"
    watches = (CommittedLocal, ViewEntered, Persist)

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._committed: dict[int, tuple[int, bytes]] = {}
        """For each sequence the lowest view in which it committed, and the batch."""
        self._highest = 0
        self._views: dict[int, list[tuple[int, tuple[bytes, ...]]]] = {}
        """Where each view starts, and what it proposes again. A lying primary may begin one in several ways."""

    def observe(self, replica: ReplicaId, effect: Effect) -> None:
        """Hold each view against what committed before it, and each commit against the views after it."""
        if isinstance(effect, CommittedLocal):
            self._commit(effect.view, effect.sequence, effect.digest)
        elif isinstance(effect, ViewEntered):
            self._begin(replica, effect.view, effect.stable, effect.digests)
        elif isinstance(effect, Persist) and effect.vote.kind is Kind.NEW_VIEW and effect.vote.sender == replica:
            said = unpack(NewView, effect.vote.body)
            self._begin(replica, said.view, said.stable, tuple(renewal.digest for renewal in said.renewals))

    def _commit(self, view: int, sequence: int, digest: bytes) -> None:
        known = self._committed.get(sequence)
        if known is not None and known[0] <= view:
            return
        self._committed[sequence] = (view, digest)
        self._highest = max(self._highest, sequence)
        for later, beginnings in self._views.items():
            for begun in beginnings:
                self._hold(later, begun, sequence)

    def _begin(self, replica: ReplicaId, view: int, stable: int, digests: tuple[bytes, ...]) -> None:
        begun = (stable, digests)
        known = self._views.setdefault(view, [])
        if begun in known:
            return
        if known and view % len(self.facts.group.genesis.members) in self.facts.correct:
            first = known[0]
            self.fail(
                f"replica {replica} began view {view} at s{stable} with {proposals(stable, digests)}, "
                f"another at s{first[0]} with {proposals(*first)}, though its primary is correct"
            )
        known.append(begun)
        for sequence in range(stable + 1, self._highest + 1):
            self._hold(view, begun, sequence)

    def _hold(self, view: int, begun: tuple[int, tuple[bytes, ...]], sequence: int) -> None:
        committed_in, digest = self._committed.get(sequence, (view, b""))
        stable, digests = begun
        if committed_in >= view or sequence <= stable:
            return
        offset = sequence - stable - 1
        renewed = digests[offset] if offset < len(digests) else None
        if renewed != digest:
            instead = "nothing" if renewed is None else short(renewed)
            self.fail(
                f"batch {short(digest)} committed at sequence {sequence} in view {committed_in}, "
                f"and view {view} proposes {instead} there"
            )


__all__ = ["Durability", "ViewCertificates"]
