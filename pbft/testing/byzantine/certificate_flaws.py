"""What can be wrong with a VIEW-CHANGE (R4): each flaw makes a bad one of a good one.

Owns: the flaws by name. MISSHAPEN are refused by everybody at sight. The others carry a good signature and the right
shape: what is wrong inside counts as absent once a NEW-VIEW rests on it. Where nothing was prepared, the flaws of what
was invent something.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import cycle, islice
from typing import Final

from pbft.core.envelope import Kind, seal
from pbft.core.group import ReplicaId
from pbft.core.messages import Checkpoint, CheckpointProof, PreparedCertificate, PrePrepare, Share, ViewChange, pack
from pbft.encoding import digest
from pbft.testing.byzantine.adversary import Adversary

Flaw = Callable[[Adversary, ViewChange], ViewChange]

_LIE: Final = digest(b"pbft/lie", b"")


def _shares(liar: Adversary, kind: Kind, body: bytes, signers: Sequence[ReplicaId]) -> tuple[Share, ...]:
    """Return good signatures of those who collude, and in the others' names what the liar's own key gives."""
    group, own = liar.means.group, liar.means.signers
    return tuple(Share(who, seal(group, own.get(who, own[liar.me]), kind, who, body).signature) for who in signers)


def _invent(liar: Adversary, view: int, sequence: int, signers: Sequence[ReplicaId] = ()) -> PreparedCertificate:
    """Return a certificate for a batch that nobody proposed, of the first backups of its view unless others sign."""
    group = liar.means.group
    primary, body = group.primary(view), pack(PrePrepare(view, sequence, _LIE))
    backups = [member.id for member in group.members if member.id != primary]
    prepares = _shares(liar, Kind.PREPARE, body, signers or backups[: group.quorums.prepared - 1])
    pre_prepare = _shares(liar, Kind.PRE_PREPARE, body, [primary])[0].signature
    return PreparedCertificate(view, sequence, _LIE, pre_prepare, prepares)


def _with_first(
    liar: Adversary, vote: ViewChange, change: Callable[[PreparedCertificate], PreparedCertificate]
) -> ViewChange:
    """Change the first certificate, and leave the others good behind it."""
    first = vote.prepared[0] if vote.prepared else _invent(liar, vote.view - 1, vote.stable.sequence + 1)
    return replace(vote, prepared=(change(first), *vote.prepared[1:]))


def _invented(liar: Adversary, vote: ViewChange) -> ViewChange:
    return _with_first(liar, vote, lambda good: _invent(liar, vote.view - 1, good.sequence))


def _invented_beyond(liar: Adversary, vote: ViewChange) -> ViewChange:
    last = vote.stable.sequence + liar.means.group.limits.log_size
    good = tuple(each for each in vote.prepared if each.sequence < last)
    return replace(vote, prepared=(*good, _invent(liar, vote.view - 1, last)))


def _noise(liar: Adversary, vote: ViewChange) -> ViewChange:
    def change(good: PreparedCertificate) -> PreparedCertificate:
        return replace(good, prepares=tuple(Share(each.signer, bytes(64)) for each in good.prepares))

    return _with_first(liar, vote, change)


def _repeated(liar: Adversary, vote: ViewChange) -> ViewChange:
    view, needed = vote.view - 1, liar.means.group.quorums.prepared - 1
    few = [who for who in liar.means.signers if who != liar.means.group.primary(view)] or [liar.me]
    return _with_first(liar, vote, lambda good: _invent(liar, view, good.sequence, list(islice(cycle(few), needed))))


def _one_twice(liar: Adversary, vote: ViewChange) -> ViewChange:
    return _with_first(liar, vote, lambda good: replace(good, prepares=(good.prepares[0], *good.prepares[:-1])))


def _primary_counted(liar: Adversary, vote: ViewChange) -> ViewChange:
    def change(good: PreparedCertificate) -> PreparedCertificate:
        body = pack(PrePrepare(good.view, good.sequence, good.digest))
        own = _shares(liar, Kind.PREPARE, body, [liar.means.group.primary(good.view)])
        return replace(good, prepares=(*own, *good.prepares[1:]))

    return _with_first(liar, vote, change)


def _later_view(liar: Adversary, vote: ViewChange) -> ViewChange:
    return _with_first(liar, vote, lambda good: replace(good, view=vote.view - 1, digest=_LIE))


def _unsigned_proposal(liar: Adversary, vote: ViewChange) -> ViewChange:
    return _with_first(liar, vote, lambda good: replace(good, pre_prepare=bytes(64)))


def _hidden(liar: Adversary, vote: ViewChange) -> ViewChange:
    return replace(vote, prepared=())


def _hidden_but_last(liar: Adversary, vote: ViewChange) -> ViewChange:
    return replace(vote, prepared=vote.prepared[-1:])


def _checkpoint(liar: Adversary, vote: ViewChange, signers: Sequence[ReplicaId]) -> ViewChange:
    """Claim that the next checkpoint is stable, so that what lies before it need not be proposed again."""
    sequence = vote.stable.sequence + liar.means.group.limits.checkpoint_interval
    shares = _shares(liar, Kind.CHECKPOINT, pack(Checkpoint(sequence, _LIE)), signers)
    prepared = tuple(each for each in vote.prepared if each.sequence > sequence)
    return replace(vote, stable=CheckpointProof(sequence, _LIE, shares), prepared=prepared)


def _forged_checkpoint(liar: Adversary, vote: ViewChange) -> ViewChange:
    return _checkpoint(liar, vote, range(liar.means.group.quorums.stable))


def _repeated_checkpoint(liar: Adversary, vote: ViewChange) -> ViewChange:
    return _checkpoint(liar, vote, list(islice(cycle(liar.means.signers), liar.means.group.quorums.stable)))


def _few_vouch(liar: Adversary, vote: ViewChange) -> ViewChange:
    return _checkpoint(liar, vote, list(liar.means.signers))


def _too_few(liar: Adversary, vote: ViewChange) -> ViewChange:
    return _with_first(liar, vote, lambda good: replace(good, prepares=good.prepares[:-1]))


def _too_many(liar: Adversary, vote: ViewChange) -> ViewChange:
    low = vote.stable.sequence
    places = range(low + 1, low + liar.means.group.limits.log_size + 2)
    return replace(vote, prepared=tuple(_invent(liar, vote.view - 1, sequence) for sequence in places))


def _unsorted(liar: Adversary, vote: ViewChange) -> ViewChange:
    two = [_invent(liar, vote.view - 1, vote.stable.sequence + offset) for offset in (2, 1)]
    return replace(vote, prepared=vote.prepared[::-1] if len(vote.prepared) > 1 else tuple(two))


def _duplicate(liar: Adversary, vote: ViewChange) -> ViewChange:
    twice = vote.prepared[:1] or (_invent(liar, vote.view - 1, vote.stable.sequence + 1),)
    return replace(vote, prepared=(*twice, *twice, *vote.prepared[1:]))


def _not_before(liar: Adversary, vote: ViewChange) -> ViewChange:
    return _with_first(liar, vote, lambda good: replace(good, view=vote.view))


def _below(liar: Adversary, vote: ViewChange) -> ViewChange:
    return replace(vote, prepared=(_invent(liar, vote.view - 1, vote.stable.sequence), *vote.prepared))


MISSHAPEN: Final[Mapping[str, Flaw]] = {
    "a checkpoint that few vouch for": _few_vouch,
    "too few prepares": _too_few,
    "more than the log": _too_many,
    "out of order": _unsorted,
    "one sequence twice": _duplicate,
    "of the view asked for": _not_before,
    "at the checkpoint": _below,
}
"""Refused when they come."""

FLAWS: Final[Mapping[str, Flaw]] = {
    "an invented batch": _invented,
    "an invented batch far on": _invented_beyond,
    "prepares that nobody signed": _noise,
    "colluders' prepares repeated": _repeated,
    "one prepare twice": _one_twice,
    "the primary's prepare counted": _primary_counted,
    "another batch in a later view": _later_view,
    "a proposal that nobody signed": _unsigned_proposal,
    "everything hidden": _hidden,
    "all hidden but the last": _hidden_but_last,
    "a forged checkpoint": _forged_checkpoint,
    "a checkpoint by colluders repeated": _repeated_checkpoint,
    **MISSHAPEN,
}
"""All of them. Those that are not MISSHAPEN count as absent."""
