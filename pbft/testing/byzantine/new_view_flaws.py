"""What can be wrong with a NEW-VIEW (P9): each flaw makes a bad one of a good one.

Owns: the flaws by name. Where nothing is to be proposed again, the flaws of what is add something made up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import (
    BEGINNING,
    NULL_DIGEST,
    NamedVote,
    NewView,
    PrePrepare,
    Renewal,
    ViewChange,
    pack,
    view_change_digest,
)
from pbft.encoding import digest
from pbft.testing.byzantine.adversary import Adversary

Flaw = Callable[[Adversary, NewView], NewView]

_LIE: Final = digest(b"pbft/lie", b"")


def vote_elsewhere(liar: Adversary, body: NewView) -> Envelope:
    """Return the liar's vote for another view, signed as it must be: a NEW-VIEW may name it wrongly."""
    return liar.say(Kind.VIEW_CHANGE, pack(ViewChange(body.view + liar.means.group.n, BEGINNING, ())))


def _renew(liar: Adversary, body: NewView, offset: int, batch: bytes) -> Renewal:
    place = PrePrepare(body.view, body.stable + 1 + offset, batch)
    return Renewal(batch, liar.say(Kind.PRE_PREPARE, pack(place)).signature)


def _leave_out(liar: Adversary, body: NewView) -> NewView:
    return replace(body, renewals=body.renewals[:-1]) if body.renewals else _add(liar, body)


def _empty(liar: Adversary, body: NewView) -> NewView:
    return replace(body, renewals=(_renew(liar, body, 0, NULL_DIGEST), *body.renewals[1:]))


def _alter(liar: Adversary, body: NewView) -> NewView:
    return replace(body, renewals=(_renew(liar, body, 0, _LIE), *body.renewals[1:]))


def _add(liar: Adversary, body: NewView) -> NewView:
    return replace(body, renewals=(*body.renewals, _renew(liar, body, len(body.renewals), _LIE)))


def _unsign(liar: Adversary, body: NewView) -> NewView:
    if not body.renewals:
        return _add(liar, body)
    return replace(body, renewals=(replace(body.renewals[0], signature=bytes(64)), *body.renewals[1:]))


def _move(liar: Adversary, body: NewView) -> NewView:
    return replace(body, stable=body.stable + liar.means.group.limits.checkpoint_interval)


def _name_too_few(liar: Adversary, body: NewView) -> NewView:
    return replace(body, votes=body.votes[:-1])


def _name_twice(liar: Adversary, body: NewView) -> NewView:
    return replace(body, votes=(body.votes[0], *body.votes[:-1]))


def _name_another_view(liar: Adversary, body: NewView) -> NewView:
    named = NamedVote(liar.me, view_change_digest(liar.me, vote_elsewhere(liar, body).body))
    return replace(body, votes=tuple(named if each.replica == liar.me else each for each in body.votes))


def _name_an_invention(liar: Adversary, body: NewView) -> NewView:
    return replace(body, votes=(NamedVote(body.votes[0].replica, _LIE), *body.votes[1:]))


FLAWS: Final[Mapping[str, Flaw]] = {
    "a batch left out": _leave_out,
    "a batch emptied": _empty,
    "a batch altered": _alter,
    "a batch added": _add,
    "a batch unsigned": _unsign,
    "another checkpoint": _move,
    "too few votes": _name_too_few,
    "one vote twice": _name_twice,
    "a vote for another view": _name_another_view,
    "an invented vote": _name_an_invention,
}
