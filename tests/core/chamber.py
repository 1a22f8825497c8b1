"""A few replicas that hear each other at once, without loss: what one says, the others are given until all is quiet."""

from __future__ import annotations

from collections.abc import Sequence

from pbft.core.effects import Broadcast, Effect, Executed, Send
from pbft.core.envelope import Envelope
from tests.core.builders import Microscope, Turn

Delivery = tuple[int, int, Envelope]
"""To whom, on whose link, and what."""


def outgoing(group: Sequence[Microscope], me: int, turn: Turn) -> list[Delivery]:
    """Return what a turn of one replica sends to the others of this group."""
    members = [each.me for each in group]
    found = [(each.to, me, each.envelope) for each in turn.of(Send) if each.to in members]
    for broadcast in turn.of(Broadcast):
        found += [(to, me, broadcast.envelope) for to in members if to != me]
    return found


def exchange(group: Sequence[Microscope], deliveries: list[Delivery]) -> list[Effect]:
    """Deliver envelopes, and what comes of them, until all is quiet; return every effect."""
    effects: list[Effect] = []
    by_number = {each.me: each for each in group}
    for _ in range(10_000):
        if not deliveries:
            return effects
        to, sender, envelope = deliveries.pop(0)
        turn = by_number[to].give(envelope, sender)
        effects += turn.effects
        deliveries += outgoing(group, to, turn)
    raise AssertionError("the replicas never fall silent")


def pass_time(group: Sequence[Microscope], ms: int) -> list[Effect]:
    """Let time pass for all, tick each once and deliver what comes of it; return every effect."""
    effects: list[Effect] = []
    for each in group:
        each.ms += ms
    for each in group:
        turn = each.tick()
        effects += [*turn.effects, *exchange(group, outgoing(group, each.me, turn))]
    return effects


def executed(effects: list[Effect]) -> list[int]:
    """Return the sequences that were executed, in order."""
    return [each.sequence for each in effects if isinstance(each, Executed)]
