"""How a message can be corrupted by who sends it: each mutation makes others of one, properly signed.

Owns: the mutations by name. *Small-scope* ones change little, in value (a number by one, a batch by one request) or in
time (what was said before is said again); *any-scope* ones put anything into a field. Both are those of ByzzFuzz
(Winter, Buse, de Graaf, von Gleissenthall, Kulahcioglu Ozkan, OOPSLA 2023).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Final

from pbft.core import merkle
from pbft.core.codec import MAX_UINT
from pbft.core.envelope import SIGNED, Envelope, Kind, seal
from pbft.core.messages import (
    Batch,
    NewView,
    OperationResult,
    PrePrepare,
    Reply,
    ReplyDetail,
    Request,
    ViewChange,
    batch_digest,
    pack,
    unpack,
)
from pbft.core.replies import leaf
from pbft.encoding import EncodingError, decode_plain, digest, encode_plain
from pbft.net.verbs import BODIES
from pbft.testing.byzantine.adversary import Adversary
from pbft.testing.byzantine.new_view_flaws import FLAWS

PHASES: Final = (Kind.PRE_PREPARE, Kind.PREPARE, Kind.COMMIT)
IN_VIEWS: Final = (*PHASES, Kind.VIEW_CHANGE, Kind.NEW_VIEW)
IN_ORDER: Final = (*PHASES, Kind.CHECKPOINT)


@dataclass(frozen=True)
class Hand:
    """What a mutation works with: who lies, by which chance, and what it truly meant to say before."""

    liar: Adversary
    chance: random.Random
    said: Sequence[Envelope] = ()

    def say(self, true: Envelope, body: Any, beside: bytes | None = None) -> tuple[Envelope, ...]:
        """Return an envelope like the true one with another body, signed where its kind is."""
        data, beside = pack(body), true.beside if beside is None else beside
        if true.kind not in SIGNED:
            return (Envelope(true.kind, self.liar.me, data, b"", beside),)
        return (self.liar.say(true.kind, data, beside),)


Mutation = Callable[[Hand, Envelope], tuple[Envelope, ...] | None]
"""Returns what is sent in place of an envelope, nothing to leave it out; None where it cannot be changed like that."""


@dataclass(frozen=True)
class Way:
    """A mutation, and the kinds of messages that it changes."""

    kinds: tuple[Kind, ...]
    mutate: Mutation


# Small-scope.


def _shift(name: str, by: int) -> Mutation:
    def mutate(hand: Hand, true: Envelope) -> tuple[Envelope, ...] | None:
        body = unpack(BODIES[true.kind], true.body)
        moved = getattr(body, name) + by
        return hand.say(true, replace(body, **{name: moved})) if moved >= 0 else None

    return mutate


def _shift_stable(hand: Hand, true: Envelope) -> tuple[Envelope, ...]:
    vote = unpack(ViewChange, true.body)
    return hand.say(true, replace(vote, stable=replace(vote.stable, sequence=vote.stable.sequence + 1)))


def _another_digest(hand: Hand, true: Envelope) -> tuple[Envelope, ...]:
    body = unpack(BODIES[true.kind], true.body)
    return hand.say(true, replace(body, digest=digest(b"pbft/lie", body.digest)))


def _earlier_digest(hand: Hand, true: Envelope) -> tuple[Envelope, ...] | None:
    body = unpack(PrePrepare, true.body)
    for before in reversed(hand.said):
        if before.kind is true.kind and (said := unpack(PrePrepare, before.body)).digest != body.digest:
            return hand.say(true, replace(body, digest=said.digest), before.beside)
    return None


def _propose(hand: Hand, true: Envelope, batch: Batch) -> tuple[Envelope, ...]:
    data = pack(batch)
    return hand.say(true, replace(unpack(PrePrepare, true.body), digest=batch_digest(data)), data)


def _another_time(hand: Hand, true: Envelope) -> tuple[Envelope, ...]:
    batch = unpack(Batch, true.beside)
    return _propose(hand, true, replace(batch, time_ms=batch.time_ms + 1))


def _request_left_out(hand: Hand, true: Envelope) -> tuple[Envelope, ...] | None:
    batch = unpack(Batch, true.beside)
    return _propose(hand, true, replace(batch, requests=batch.requests[:-1])) if batch.requests else None


def _requests_reversed(hand: Hand, true: Envelope) -> tuple[Envelope, ...] | None:
    batch = unpack(Batch, true.beside)
    return _propose(hand, true, replace(batch, requests=batch.requests[::-1])) if len(batch.requests) > 1 else None


def _request_twice(hand: Hand, true: Envelope) -> tuple[Envelope, ...] | None:
    batch = unpack(Batch, true.beside)
    return (
        _propose(hand, true, replace(batch, requests=batch.requests + batch.requests[-1:])) if batch.requests else None
    )


def _request_altered(hand: Hand, true: Envelope) -> tuple[Envelope, ...] | None:
    """One more operation in a request of a client that colludes, and so signs it."""
    means, batch = hand.liar.means, unpack(Batch, true.beside)
    for place, data in enumerate(batch.requests):
        request = unpack(Request, Envelope.from_bytes(data).body)
        signer = means.clients.get(request.client)
        if signer is not None:
            more = pack(replace(request, operations=request.operations + request.operations[-1:]))
            altered = seal(means.group, signer, Kind.REQUEST, request.client, more).to_bytes()
            return _propose(
                hand, true, replace(batch, requests=(*batch.requests[:place], altered, *batch.requests[place + 1 :]))
            )
    return None


def _omitted(hand: Hand, true: Envelope) -> tuple[Envelope, ...]:
    return ()


def _certificate_left_out(hand: Hand, true: Envelope) -> tuple[Envelope, ...] | None:
    vote = unpack(ViewChange, true.body)
    return hand.say(true, replace(vote, prepared=vote.prepared[:-1])) if vote.prepared else None


def _flawed(flaw: str) -> Mutation:
    def mutate(hand: Hand, true: Envelope) -> tuple[Envelope, ...]:
        return hand.say(true, FLAWS[flaw](hand.liar, unpack(NewView, true.body)))

    return mutate


def _another_result(hand: Hand, true: Envelope) -> tuple[Envelope, ...]:
    """Each result one higher where it is a number, and else a number, under a root that fits."""
    sequence, detail = unpack(Reply, true.body).sequence, unpack(ReplyDetail, true.beside)
    results = tuple(OperationResult(0, encode_plain(_result(each.payload) + 1)) for each in detail.results)
    rows = merkle.levels([leaf(sequence, detail.request_digest, results)])
    return hand.say(
        true, Reply(sequence, rows[-1][0]), pack(replace(detail, results=results, leaf=0, leaves=1, path=()))
    )


def _result(payload: bytes) -> int:
    try:
        value = decode_plain(payload)
    except EncodingError:
        return 0
    return value if isinstance(value, int) else 0


# Any-scope.


def _any_number(name: str) -> Mutation:
    def mutate(hand: Hand, true: Envelope) -> tuple[Envelope, ...]:
        return hand.say(true, replace(unpack(BODIES[true.kind], true.body), **{name: _any_uint(hand.chance)}))

    return mutate


def _any_digest(hand: Hand, true: Envelope) -> tuple[Envelope, ...]:
    return hand.say(true, replace(unpack(BODIES[true.kind], true.body), digest=hand.chance.randbytes(32)))


def _any_field(hand: Hand, true: Envelope) -> tuple[Envelope, ...]:
    return hand.say(true, _altered(unpack(BODIES[true.kind], true.body), hand.chance))


def _any_flaw(hand: Hand, true: Envelope) -> tuple[Envelope, ...]:
    return _flawed(hand.chance.choice(list(FLAWS)))(hand, true) or ()


def _another_kind(hand: Hand, true: Envelope) -> tuple[Envelope, ...]:
    """Its own body as something else, for whoever tells kinds apart by their shape alone."""
    kind = hand.chance.choice([each for each in IN_VIEWS if each is not true.kind])
    return (hand.liar.say(kind, true.body, true.beside if kind is Kind.PRE_PREPARE else b""),)


def _earlier_body(hand: Hand, true: Envelope) -> tuple[Envelope, ...] | None:
    """What it said before, as what it says now."""
    before = [each for each in hand.said if each.body != true.body]
    return (hand.liar.say(true.kind, hand.chance.choice(before).body, true.beside),) if before else None


def _altered(value: Any, chance: random.Random) -> Any:
    """Return a value of the same shape with something in it changed."""
    if is_dataclass(value) and not isinstance(value, type):
        name = chance.choice([each.name for each in fields(value)])
        return replace(value, **{name: _altered(getattr(value, name), chance)})
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return _any_uint(chance)
    if isinstance(value, bytes):
        return chance.randbytes(len(value))
    assert isinstance(value, tuple), value
    if not value:
        return value
    place = chance.randrange(len(value))
    middle = chance.choice(((), (value[place], value[place]), (_altered(value[place], chance),)))
    return (*value[:place], *middle, *value[place + 1 :])


def _any_uint(chance: random.Random) -> int:
    return chance.randrange(chance.choice((4, 64, MAX_UINT)))


SMALL_SCOPE: Final[Mapping[str, Way]] = {
    "view + 1": Way(IN_VIEWS, _shift("view", 1)),
    "view - 1": Way(IN_VIEWS, _shift("view", -1)),
    "sequence + 1": Way(IN_ORDER, _shift("sequence", 1)),
    "sequence - 1": Way(IN_ORDER, _shift("sequence", -1)),
    "stable + 1": Way((Kind.VIEW_CHANGE,), _shift_stable),
    "another digest": Way((*PHASES, Kind.CHECKPOINT), _another_digest),
    "an earlier digest": Way(PHASES, _earlier_digest),
    "another time": Way((Kind.PRE_PREPARE,), _another_time),
    "a request left out": Way((Kind.PRE_PREPARE,), _request_left_out),
    "requests reversed": Way((Kind.PRE_PREPARE,), _requests_reversed),
    "a request twice": Way((Kind.PRE_PREPARE,), _request_twice),
    "a request altered": Way((Kind.PRE_PREPARE,), _request_altered),
    "the last certificate left out": Way((Kind.VIEW_CHANGE,), _certificate_left_out),
    "a batch left out": Way((Kind.NEW_VIEW,), _flawed("a batch left out")),
    "another result": Way((Kind.REPLY,), _another_result),
    "omitted": Way(tuple(BODIES), _omitted),
}
ANY_SCOPE: Final[Mapping[str, Way]] = {
    "any view": Way(IN_VIEWS, _any_number("view")),
    "any sequence": Way(IN_ORDER, _any_number("sequence")),
    "any digest": Way((*PHASES, Kind.CHECKPOINT), _any_digest),
    "any field": Way(tuple(BODIES), _any_field),
    "any flaw": Way((Kind.NEW_VIEW,), _any_flaw),
    "as another kind": Way(IN_VIEWS, _another_kind),
    "an earlier body": Way(IN_VIEWS, _earlier_body),
    "omitted": Way(tuple(BODIES), _omitted),
}


def mutated(ways: Mapping[str, Way], hand: Hand, true: Envelope) -> tuple[str, tuple[Envelope, ...]]:
    """Return what is sent in place of an envelope, with the name of a mutation that chance picked.

    No name and the envelope itself where none of them changes anything.
    """
    fitting = [name for name, way in ways.items() if true.kind in way.kinds]
    for name in hand.chance.sample(fitting, len(fitting)):
        sent = ways[name].mutate(hand, true)
        if sent is not None and sent != (true,):
            return name, sent
    return "", (true,)
