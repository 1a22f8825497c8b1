"""How some sequences went through the phases, as this replica saw it: who voted for what, and when.

Owns: which sequences are sampled, what is noted of them, and how much of that is kept. Fed by a driver's tap and
watcher with envelopes and effects; knows neither sockets nor readers. Times are microseconds of the monotonic clock.

Sampled are the multiples of a power of two, the *stride*, which follows the rate at which this replica executes: one
while little happens, so that whoever sends a request by hand sees each of hers, and otherwise such that two or three
sequences a second are. All replicas execute at one rate, so they sample alike without a word about it.

What a member says of a sequence is taken from its own link only. Signatures are for the core to check: a vote that a
liar relays in another's name shows up once a certificate that the core verified names it. Nobody makes this grow: a
member has one place a phase and sequence, and where too many sequences are under way, those that nobody proposed go
first.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from pbft.core.effects import CommittedLocal, Effect, Executed, Persist, Prepared, StateInstalled, ViewEntered
from pbft.core.envelope import Envelope, Kind, Sender
from pbft.core.group import Group, ReplicaId
from pbft.core.messages import Batch, Commit, Prepare, PrePrepare, Request, unpack
from pbft.encoding import EncodingError

FLOWS_A_LOOK: Final = 4
"""As many flows are handed out at a time."""
SHOWN_REQUESTS: Final = 16
"""As many of a batch's requests are named."""

_KEPT: Final = 32
"""Sequences noted at once."""
_ARRIVALS: Final = 512
"""Requests whose arrival from their client is remembered."""
_A_SECOND_US: Final = 1_000_000
_POINT_US: Final = 50_000
_BY_HAND: Final = 4
"""Sequences a second that are all shown."""
_SHOWN_A_SECOND: Final = 3
"""Of more than that, at most so many a second are."""

_PHASES: Final = frozenset((Kind.PRE_PREPARE, Kind.PREPARE, Kind.COMMIT))
_LENGTHS: Final = {24: 1, 25: 2, 26: 4, 27: 8}


def sequence_of(body: bytes) -> int:
    """Return the sequence that the body of a PRE-PREPARE, PREPARE or COMMIT names; -1 where it is none.

    Reads the second of its canonical integers without decoding the rest, which only sampled ones are worth.
    """
    place, number = 1, -1
    for _ in range(2):
        if place >= len(body):
            return -1
        number, place = body[place], place + 1
        if number >= 24:
            length = _LENGTHS.get(number, 0)
            number = int.from_bytes(body[place : place + length]) if length else -1
            place += length
    return number


@dataclass(slots=True)
class _Vote:
    """What a member's vote was for, and when it came."""

    view: int
    digest: bytes
    us: int


@dataclass(slots=True)
class _Flow:
    """One sequence. Digest, requests and times are those of `view`; a member's votes may already be for a later one."""

    sequence: int
    view: int
    digest: bytes | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    request_count: int = 0
    request_us: int | None = None
    pre_prepare_us: int | None = None
    prepares: dict[ReplicaId, _Vote] = field(default_factory=dict)
    prepared_us: int | None = None
    commits: dict[ReplicaId, _Vote] = field(default_factory=dict)
    committed_us: int | None = None
    executed_us: int | None = None
    two_faced: dict[ReplicaId, None] = field(default_factory=dict)
    """Members that named two digests in one view."""

    def votes(self, kind: Kind) -> dict[ReplicaId, _Vote]:
        return self.commits if kind is Kind.COMMIT else self.prepares

    def restart(self, view: int) -> None:
        """Begin anew in a later view; votes that are for it already stay."""
        self.view, self.digest, self.requests, self.request_count = view, None, [], 0
        self.request_us = self.pre_prepare_us = self.prepared_us = self.committed_us = None
        self.two_faced = {}

    def to_json(self) -> dict[str, Any]:
        """Return the fields of a `flow` event that are this sequence's own."""
        differing = dict(self.two_faced)
        shown: list[dict[str, int]] = []
        for votes in (self.prepares, self.commits):
            here = {member: votes[member] for member in sorted(votes) if votes[member].view == self.view}
            shown.append({str(member): vote.us for member, vote in here.items() if self.digest in (None, vote.digest)})
            if self.digest is not None:
                differing.update(dict.fromkeys(each for each, vote in here.items() if vote.digest != self.digest))
        return {
            "sequence": self.sequence,
            "view": self.view,
            "digest": None if self.digest is None else self.digest.hex(),
            "requests": self.requests,
            "request_count": self.request_count,
            "request_us": self.request_us,
            "pre_prepare_us": self.pre_prepare_us,
            "prepares": shown[0],
            "prepared_us": self.prepared_us,
            "commits": shown[1],
            "committed_us": self.committed_us,
            "executed_us": self.executed_us,
            "differing": sorted(differing),
        }


class Flows:
    """The sampled sequences of one replica, from where it stands when this is made."""

    def __init__(self, me: ReplicaId, group: Group, view: int, executed: int) -> None:
        self._me = me
        self._group = group
        self._view = view
        self._executed = executed
        self._flows: dict[int, _Flow] = {}
        self._changed: dict[int, None] = {}
        self._arrived: OrderedDict[bytes, int] = OrderedDict()
        self._points: deque[tuple[int, int]] = deque()
        """(time, executed) of the last second, some 50 ms apart."""
        self._on: dict[type, Callable[[Any, int], None]] = {
            Persist: self._on_persist,
            Prepared: self._on_certificate,
            CommittedLocal: self._on_certificate,
            Executed: self._on_executed,
            ViewEntered: self._on_view_entered,
            StateInstalled: self._on_state_installed,
        }

    def stride(self, us: int) -> int:
        """Return the power of two whose multiples are sampled now."""
        points = self._points
        while points and us - points[0][0] > _A_SECOND_US:
            points.popleft()
        rate = self._executed - points[0][1] if points else 0
        # The least power of two that leaves few enough.
        return 1 if rate <= _BY_HAND else 1 << ((rate - 1) // _SHOWN_A_SECOND).bit_length()

    def take_in(self, envelope: Envelope, sender: Sender, us: int) -> None:
        """Note a message that is handed to the replica. Never raises."""
        kind = envelope.kind
        if kind is Kind.REQUEST and envelope.sender == sender:
            # Byte-identical when sent again, so a signature names a request as well as a digest, and costs nothing.
            if envelope.signature not in self._arrived:
                self._arrived[envelope.signature] = us
                if len(self._arrived) > _ARRIVALS:
                    self._arrived.popitem(last=False)
        elif kind in _PHASES and envelope.sender == sender and isinstance(sender, int):
            self._on_vote(envelope, sender, us)

    def watch(self, effect: Effect, us: int) -> None:
        """Note what the replica did. Never raises for what a driver hands over."""
        react = self._on.get(type(effect))
        if react is not None:
            with contextlib.suppress(EncodingError):
                # What a liar keeps as its own vote need not be one.
                react(effect, us)

    def changed(self, us: int) -> list[dict[str, Any]]:
        """Return some flows that changed since they were last returned, a few at most: proposed ones first, newest."""
        stride = self.stride(us)
        # What was sampled while less happened is not worth more room than others get.
        self._changed = {each: None for each in self._changed if each in self._flows and each % stride == 0}
        ranked = sorted(self._changed, key=lambda each: (self._flows[each].digest is not None, each), reverse=True)
        chosen = sorted(ranked[:FLOWS_A_LOOK])
        for sequence in chosen:
            del self._changed[sequence]
        return [self._flows[sequence].to_json() for sequence in chosen]

    # What came in.

    def _on_vote(self, envelope: Envelope, member: ReplicaId, us: int) -> None:
        flow = self._find(sequence_of(envelope.body), us)
        if flow is None:
            return
        try:
            body = unpack(_BODIES[envelope.kind], envelope.body)
        except EncodingError:
            return
        if envelope.kind is not Kind.PRE_PREPARE:
            self._count(flow, envelope.kind, member, _Vote(body.view, body.digest, us))
        elif body.view == flow.view and member == self._group.primary(body.view):
            if flow.pre_prepare_us is None:
                flow.pre_prepare_us = us
                flow.digest = flow.digest or body.digest
            if flow.digest != body.digest:
                flow.two_faced[member] = None
            self._changed[flow.sequence] = None

    def _count(self, flow: _Flow, kind: Kind, member: ReplicaId, vote: _Vote) -> None:
        """Keep a member's first vote of a view; one of a later view takes its place, unless the sequence is done."""
        votes = flow.votes(kind)
        held = votes.get(member)
        if vote.view < flow.view or (flow.executed_us is not None and vote.view > flow.view):
            return
        if held is not None and held.view >= vote.view:
            if held.view > vote.view or held.digest == vote.digest:
                return
            if vote.view == flow.view:
                flow.two_faced[member] = None
        else:
            votes[member] = vote
        if vote.view == flow.view:
            self._changed[flow.sequence] = None

    # What the replica did.

    def _on_persist(self, persist: Persist, us: int) -> None:
        """Take a vote of this replica's own; the first one tells which proposal it accepted."""
        vote = persist.vote
        if vote.kind not in _PHASES or vote.sender != self._me:
            return
        flow = self._find(sequence_of(vote.body), us)
        if flow is None:
            return
        body = unpack(_BODIES[vote.kind], vote.body)
        if not self._settle(flow, body.view, body.digest):
            return
        if vote.kind is not Kind.PRE_PREPARE:
            self._count(flow, vote.kind, self._me, _Vote(body.view, body.digest, us))
        if vote.kind is not Kind.COMMIT:
            flow.pre_prepare_us = us if flow.pre_prepare_us is None else flow.pre_prepare_us
            proposal = (vote, *persist.basis)[vote.kind is Kind.PREPARE and bool(persist.basis)]
            self._open(flow, proposal.beside)

    def _on_certificate(self, notice: Prepared | CommittedLocal, us: int) -> None:
        flow = self._find(notice.sequence, us)
        if flow is None or not self._settle(flow, notice.view, notice.digest):
            return
        for each in notice.certificate:
            # Votes that came through others, or before this was watched.
            if each.kind is not Kind.PRE_PREPARE and isinstance(each.sender, int):
                self._count(flow, each.kind, each.sender, _Vote(notice.view, notice.digest, us))
        if isinstance(notice, Prepared):
            flow.prepared_us = us
        else:
            flow.committed_us = us

    def _on_executed(self, executed: Executed, us: int) -> None:
        self._executed = executed.sequence
        points = self._points
        if not points or us - points[-1][0] >= _POINT_US:
            points.append((us, executed.sequence - 1))
        flow = self._flows.get(executed.sequence)
        if flow is None or not self._settle(flow, executed.view, executed.digest):
            return
        if not flow.requests:
            flow.request_count = len(executed.requests)
            flow.requests = [
                self._describe(each.client, each.timestamp, len(each.outcomes))
                for each in executed.requests[:SHOWN_REQUESTS]
            ]
        flow.executed_us = us

    def _on_view_entered(self, entered: ViewEntered, us: int) -> None:
        """Begin anew what was not executed; the NEW-VIEW is the pre-prepare of what it proposes again."""
        self._view = entered.view
        for flow in self._flows.values():
            if flow.executed_us is None:
                flow.restart(entered.view)
                place = flow.sequence - entered.stable - 1
                if 0 <= place < len(entered.digests):
                    flow.digest, flow.pre_prepare_us = entered.digests[place], us
                self._changed[flow.sequence] = None

    def _on_state_installed(self, installed: StateInstalled, us: int) -> None:
        """Forget the rate, and what will never execute here: whoever took over a state ran nothing that led there."""
        self._executed = installed.sequence
        self._points.clear()
        for flow in [each for each in self._flows.values() if each.executed_us is None]:
            if flow.sequence <= installed.sequence:
                del self._flows[flow.sequence]

    def _settle(self, flow: _Flow, view: int, digest: bytes) -> bool:
        """Say what the core holds for a sequence; return False when that is over already."""
        if flow.executed_us is not None:
            return False
        if flow.view != view:
            # A quorum may have committed it in a view that this replica passed over, or has not come to.
            flow.restart(view)
        if flow.digest != digest:
            if flow.digest is not None:
                flow.two_faced[self._group.primary(view)] = None
            flow.digest = digest
        self._changed[flow.sequence] = None
        return True

    def _open(self, flow: _Flow, batch: bytes) -> None:
        """Note whose requests a batch of this replica's own choice or approval holds."""
        if flow.requests or not batch:
            return
        requests = unpack(Batch, batch).requests
        flow.request_count = len(requests)
        for data in requests[:SHOWN_REQUESTS]:
            envelope = Envelope.from_bytes(data)
            request = unpack(Request, envelope.body)
            flow.requests.append(self._describe(request.client, request.timestamp, len(request.operations)))
            arrived_us = self._arrived.get(envelope.signature)
            if arrived_us is not None and (flow.request_us is None or arrived_us < flow.request_us):
                flow.request_us = arrived_us

    def _describe(self, client: bytes, timestamp: int, operations: int) -> dict[str, Any]:
        known = self._group.clients.get(client)
        return {
            "client": client.hex() if known is None else known.name,
            "timestamp": timestamp,
            "operations": operations,
        }

    def _find(self, sequence: int, us: int) -> _Flow | None:
        """Return the flow of a sequence, a new one where it is to be sampled and there is room; None otherwise."""
        flow = self._flows.get(sequence)
        if flow is not None:
            return flow
        ahead = sequence - self._executed
        if not 0 < ahead <= self._group.limits.log_size or sequence % self.stride(us):
            return None
        flow = self._flows[sequence] = _Flow(sequence, self._view)
        if len(self._flows) > _KEPT:
            unproposed = [each.sequence for each in self._flows.values() if each.digest is None]
            # The new one itself, where others are nearer to their turn: a liar votes for what nobody proposed.
            gone = max(unproposed) if len(unproposed) > _KEPT // 2 else min(self._flows)
            del self._flows[gone]
            if gone == sequence:
                return None
        return flow


_BODIES: Final[dict[Kind, Any]] = {Kind.PRE_PREPARE: PrePrepare, Kind.PREPARE: Prepare, Kind.COMMIT: Commit}
