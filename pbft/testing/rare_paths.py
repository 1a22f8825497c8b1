"""Ways through the protocol that few runs go, counted: a swarm that never goes them says nothing about them.

Owns: the list of these ways, and how each is recognized by what correct replicas do and tell. Judges nothing. What no
effect shows (a late tick that was excused, a snapshot kept for who fetches it) cannot be counted here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from pbft.core.effects import (
    BecameStable,
    Broadcast,
    Cause,
    CommittedLocal,
    Effect,
    Evidence,
    Executed,
    Ignored,
    Persist,
    Reason,
    Send,
    StateInstalled,
    ViewChangeStarted,
    ViewEntered,
)
from pbft.core.envelope import Envelope, Kind
from pbft.core.group import ClientKey, ReplicaId
from pbft.core.messages import (
    NULL_DIGEST,
    Checkpoint,
    CommitCertificate,
    Prepare,
    PrePrepare,
    Status,
    ViewChange,
    pack,
    unpack,
)
from pbft.core.replica import Replica
from pbft.core.state_messages import Address, Fetch
from pbft.testing.oracles.base import Facts, Oracle


class RarePath(Enum):
    """A way that few runs go. The value is what a summary calls it."""

    # Views.
    CARRIED_OVER_TWO_VIEWS = "certificate carried over two views"
    JOINED = "view change joined because f+1 had left"
    NO_PROGRESS = "view left that executed nothing"
    NO_NEW_VIEW = "view given up that never came"
    UNFAIR = "view left because a client was passed over"
    SLOW = "view left because its primary is slow"
    TIMER_DOUBLED_THRICE = "timer doubled thrice"
    TIMER_CAME_DOWN = "timer halved again after progress"
    VIEW_SKIPPED = "view entered that is not the next"
    ENTERED_WITHOUT_VOTE = "view entered below the one asked for"
    NEW_VIEW_REFUSED = "NEW-VIEW refused"
    VOTE_FETCHED = "view entered after votes were fetched by digest"
    BATCH_FETCHED = "batch fetched that a new view proposed again"
    STABLE_BY_NEW_VIEW = "checkpoint adopted from a NEW-VIEW"
    COMMITTED_AFTER_LEAVING = "committed in a view that was left"
    # Votes.
    SECOND_PRE_PREPARE = "second pre-prepare refused"
    SECOND_VOTE = "second prepare or commit refused"
    SECOND_CHECKPOINT = "second checkpoint vote refused"
    SECOND_VIEW_CHANGE = "second vote for a view refused"
    SECOND_NEW_VIEW = "second NEW-VIEW refused"
    EVIDENCE = "evidence produced"
    FORGED = "bad signature refused"
    EARLY_USED = "proposal kept until its time came"
    EARLY_REFUSED = "too early, and no room to keep it"
    HELD_BACK = "proposal held back for its time"
    HELD_BACK_ACCEPTED = "proposal held back, then accepted"
    NO_ROOM = "proposal refused for want of room"
    # Execution.
    NULL_EXECUTED = "null request executed"
    RAN_ONCE = "request ordered again and not run again"
    COMMITTED_TAKEN_OVER = "commit certificate taken over"
    # States.
    TRANSFER = "state taken over"
    TRANSFER_IN_VIEW_CHANGE = "state taken over during a view change"
    SOURCE_PASSED_OVER = "source of a state passed over"
    TARGET_MOVED = "fetching moved on to a later state"
    NODE_REFUSED = "wrong node refused"
    PARTLY_ANSWERED = "some of the nodes asked for came"
    STAGED_NODES_USED = "node used that came for an earlier state"
    LITTLE_MOVED = "state taken over of which less than half was moved"
    CHECKPOINT_LATE = "checkpoint voted for when more was executed"
    STABLE_BY_PROOF = "checkpoint adopted from a proof"
    # Clients.
    SESSION_EVICTED = "session evicted"
    SESSION_REFUSED = "request of an evicted session refused"
    BUSY = "request refused as busy"


_SECOND: Final = {
    Kind.PRE_PREPARE: RarePath.SECOND_PRE_PREPARE,
    Kind.PREPARE: RarePath.SECOND_VOTE,
    Kind.COMMIT: RarePath.SECOND_VOTE,
    Kind.CHECKPOINT: RarePath.SECOND_CHECKPOINT,
    Kind.VIEW_CHANGE: RarePath.SECOND_VIEW_CHANGE,
    Kind.NEW_VIEW: RarePath.SECOND_NEW_VIEW,
}
"""What it is called that a second, different message of one kind was refused."""

_REFUSED: Final = {
    Reason.BAD_NEW_VIEW: RarePath.NEW_VIEW_REFUSED,
    Reason.BAD_SIGNATURE: RarePath.FORGED,
    Reason.CLOCK_DRIFT: RarePath.HELD_BACK,
    Reason.UNKNOWN_SESSION: RarePath.SESSION_REFUSED,
    Reason.BUSY: RarePath.BUSY,
}
"""What a refusal is called whatever was refused."""

_LEFT: Final = {
    Cause.JOINED: RarePath.JOINED,
    Cause.NO_PROGRESS: RarePath.NO_PROGRESS,
    Cause.NO_NEW_VIEW: RarePath.NO_NEW_VIEW,
    Cause.UNFAIR: RarePath.UNFAIR,
    Cause.SLOW: RarePath.SLOW,
}


@dataclass(slots=True)
class _Seen:
    """What a replica has shown of itself, as far as later effects are read by it."""

    view: int = 0
    target: int = 0
    timeout_ms: int = 0
    executed: int = 0
    stable: int = 0
    entering: int | None = None
    """The checkpoint of the view that was entered within the present list of effects."""
    lacking: dict[int, bytes] = field(default_factory=dict)
    """What the present view proposes again and this replica has not voted for."""
    early: dict[tuple[int, int], bytes] = field(default_factory=dict)
    """Proposals that came too early, by view and sequence."""
    held_back: dict[tuple[int, int], bytes] = field(default_factory=dict)
    """Proposals held back for their time."""
    asked: dict[Address, ReplicaId] = field(default_factory=dict)
    """Who was asked for each node of the state being fetched."""
    asked_before: dict[Address, ReplicaId] = field(default_factory=dict)
    """The same of states that were to be fetched before, since one was last taken over."""
    fetching: int = 0
    """The sequence of that state."""
    wanted: int | None = None
    """The view asked for when votes were asked for by digest."""

    @property
    def voting(self) -> bool:
        return self.target <= self.view


class RarePaths(Oracle):
    """Counts how often correct replicas went each way."""

    id = "rare paths"
    watches = (
        BecameStable,
        Broadcast,
        CommittedLocal,
        Evidence,
        Executed,
        Ignored,
        Persist,
        Send,
        StateInstalled,
        ViewChangeStarted,
        ViewEntered,
    )

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._counts: Counter[RarePath] = Counter()
        self._seen: defaultdict[ReplicaId, _Seen] = defaultdict(_Seen)
        self._concluding: ReplicaId | None = None
        """Who entered a view within the present list of effects."""
        self._usual_ms: int | None = None
        """The timeout that replicas begin with, once one was looked at."""
        self._wrong_node = False
        """Whether a wrong node was refused within the present list of effects."""
        self._executed = 0
        self._sessions: defaultdict[ClientKey, dict[bytes, None]] = defaultdict(dict)
        """Each client's sessions as its table holds them, the least recently executed first."""

    def told(self) -> Mapping[str, int]:
        """Return how often each way was gone that was gone at all, in the order of the list."""
        return {path.value: self._counts[path] for path in RarePath if self._counts[path]}

    def observe(self, replica: ReplicaId, effect: Effect) -> None:
        """Count what one effect of a correct replica shows."""
        # Most frequent first.
        if isinstance(effect, Send):
            if effect.envelope.kind is Kind.FETCH:
                self._asks(self._seen[replica], unpack(Fetch, effect.envelope.body), effect.to)
        elif isinstance(effect, Ignored):
            self._ignores(replica, effect)
        elif isinstance(effect, Persist):
            self._votes(replica, effect.vote)
        elif isinstance(effect, Broadcast):
            if effect.envelope.kind is Kind.STATUS:
                self._tells(self._seen[replica], unpack(Status, effect.envelope.body))
        elif isinstance(effect, Executed):
            self._executes(self._seen[replica], effect)
        elif isinstance(effect, CommittedLocal):
            self._commits(self._seen[replica], effect)
        elif isinstance(effect, ViewChangeStarted):
            self._leaves(self._seen[replica], effect)
        elif isinstance(effect, ViewEntered):
            self._enters(replica, effect)
        else:
            self._others(self._seen[replica], effect)

    def concluded(self, replica: ReplicaId) -> None:
        """Note that whoever entered a view has voted for what it holds of what is proposed again."""
        self._wrong_node = False
        if self._concluding is not None:
            self._seen[self._concluding].entering = None
            self._concluding = None

    def sampled(self, replica: Replica) -> None:
        """Learn the timeout that replicas begin with."""
        self._usual_ms = replica.settings.view_timeout_ms

    def _count(self, path: RarePath) -> None:
        self._counts[path] += 1

    def _arrived(self, kind: Kind) -> Envelope | None:
        """Return what was received last, if it is of a kind."""
        arrived = self.facts.record.arrived
        return arrived if arrived is not None and arrived.kind is kind else None

    def _others(self, seen: _Seen, effect: Effect) -> None:
        if isinstance(effect, BecameStable):
            seen.stable = effect.proof.sequence
            if effect.proof.sequence == seen.entering:
                self._count(RarePath.STABLE_BY_NEW_VIEW)
            elif self._arrived(Kind.CHECKPOINT_PROOF):
                self._count(RarePath.STABLE_BY_PROOF)
        elif isinstance(effect, StateInstalled):
            self._count(RarePath.TRANSFER if seen.voting else RarePath.TRANSFER_IN_VIEW_CHANGE)
            seen.executed = max(seen.executed, effect.sequence)
            if any(address not in seen.asked for address in seen.asked_before):
                # It has come by then, and need not come again.
                self._count(RarePath.STAGED_NODES_USED)
            if 2 * effect.bytes < self.facts.record.state_bytes.get(effect.sequence, 0):
                self._count(RarePath.LITTLE_MOVED)
        elif isinstance(effect, Evidence):
            self._count(RarePath.EVIDENCE)

    # Views.

    def _leaves(self, seen: _Seen, started: ViewChangeStarted) -> None:
        if started.cause in _LEFT:
            self._count(_LEFT[started.cause])
        if started.timeout_ms < seen.timeout_ms:
            self._count(RarePath.TIMER_CAME_DOWN)
        if self._usual_ms is not None and started.timeout_ms >= 8 * self._usual_ms:
            self._count(RarePath.TIMER_DOUBLED_THRICE)
        seen.timeout_ms, seen.target = started.timeout_ms, started.view

    def _enters(self, replica: ReplicaId, entered: ViewEntered) -> None:
        seen, view = self._seen[replica], entered.view
        if view > seen.view + 1:
            self._count(RarePath.VIEW_SKIPPED)
        if view < seen.target:
            self._count(RarePath.ENTERED_WITHOUT_VOTE)
        if seen.wanted is not None and view >= seen.wanted:
            self._count(RarePath.VOTE_FETCHED)
        seen.view, seen.target, seen.wanted = view, max(seen.target, view), None
        again = dict(enumerate(entered.digests, start=entered.stable + 1))
        if self._is_carried_over(entered, {s: d for s, d in again.items() if s > seen.executed}):
            self._count(RarePath.CARRIED_OVER_TWO_VIEWS)
        seen.entering = entered.stable
        votes = seen.voting and self.facts.group.primary(view) != replica
        seen.lacking = {s: d for s, d in again.items() if d != NULL_DIGEST} if votes else {}
        self._concluding = replica

    def _is_carried_over(self, entered: ViewEntered, pending: Mapping[int, bytes]) -> bool:
        """Say whether a certificate that counts here is of two views ago or more: nobody prepared it anew since."""
        newest: dict[int, int] = {}
        for vote in entered.votes:
            for each in unpack(ViewChange, vote.body).prepared:
                if pending.get(each.sequence) == each.digest:
                    newest[each.sequence] = max(newest.get(each.sequence, 0), each.view)
        return any(certified + 2 <= entered.view for certified in newest.values())

    # Votes.

    def _ignores(self, replica: ReplicaId, ignored: Ignored) -> None:
        reason, kind = ignored.reason, ignored.kind
        if reason is Reason.SURPLUS or reason is Reason.DUPLICATE:
            return
        if reason in _REFUSED:
            self._count(_REFUSED[reason])
        elif reason is Reason.CONFLICTING and kind in _SECOND:
            self._count(_SECOND[kind])
        elif reason is Reason.FULL:
            self._refuses_for_room(replica)
        elif reason is Reason.WRONG_DIGEST and kind is Kind.NODES:
            self._count(RarePath.NODE_REFUSED)
            self._wrong_node = True
        if kind is not Kind.PRE_PREPARE or (reason is not Reason.TOO_EARLY and reason is not Reason.CLOCK_DRIFT):
            return
        arrived = self._arrived(Kind.PRE_PREPARE)
        if arrived is not None:
            body, seen = unpack(PrePrepare, arrived.body), self._seen[replica]
            kept = seen.early if reason is Reason.TOO_EARLY else seen.held_back
            kept[body.view, body.sequence] = body.digest

    def _refuses_for_room(self, replica: ReplicaId) -> None:
        """Tell a batch that found no room among those to execute from a message that came too early."""
        arrived, seen = self._arrived(Kind.PRE_PREPARE), self._seen[replica]
        no_room = self._arrived(Kind.COMMITTED) is not None
        if arrived is not None:
            body = unpack(PrePrepare, arrived.body)
            no_room = body.view <= seen.view and body.sequence <= seen.stable + self.facts.group.limits.log_size
        self._count(RarePath.NO_ROOM if no_room else RarePath.EARLY_REFUSED)

    def _votes(self, replica: ReplicaId, vote: Envelope) -> None:
        """Look at a vote that a backup makes durable: for what was too early, held back, or came after its view did."""
        seen = self._seen[replica]
        if vote.kind is Kind.CHECKPOINT and unpack(Checkpoint, vote.body).sequence < seen.executed:
            self._count(RarePath.CHECKPOINT_LATE)
        if vote.kind is not Kind.PREPARE or not (seen.early or seen.held_back or seen.lacking):
            return
        body = unpack(Prepare, vote.body)
        place = (body.view, body.sequence)
        if seen.held_back.pop(place, None) == body.digest:
            self._count(RarePath.HELD_BACK_ACCEPTED)
        if seen.early.pop(place, None) == body.digest and not self._brings(body):
            self._count(RarePath.EARLY_USED)
        if body.view == seen.view and seen.lacking.pop(body.sequence, None) == body.digest and seen.entering is None:
            self._count(RarePath.BATCH_FETCHED)

    def _brings(self, body: Prepare) -> bool:
        """Say whether what arrived last is the proposal itself."""
        arrived = self._arrived(Kind.PRE_PREPARE)
        return arrived is not None and arrived.body == pack(PrePrepare(body.view, body.sequence, body.digest))

    # Execution and states.

    def _commits(self, seen: _Seen, committed: CommittedLocal) -> None:
        arrived = self._arrived(Kind.COMMITTED)
        if arrived is not None and unpack(CommitCertificate, arrived.body).sequence == committed.sequence:
            self._count(RarePath.COMMITTED_TAKEN_OVER)
        elif not seen.voting:
            self._count(RarePath.COMMITTED_AFTER_LEAVING)

    def _executes(self, seen: _Seen, executed: Executed) -> None:
        seen.executed = executed.sequence
        if executed.digest == NULL_DIGEST:
            self._count(RarePath.NULL_EXECUTED)
        if executed.sequence != self._executed + 1:
            return
        # The first to execute it: what follows is alike for all.
        self._executed = executed.sequence
        for request in executed.requests:
            if not request.outcomes:
                self._count(RarePath.RAN_ONCE)
                continue
            sessions = self._sessions[request.client]
            sessions.pop(request.session, None)
            sessions[request.session] = None
            if len(sessions) > self.facts.group.limits.sessions_per_client:
                del sessions[next(iter(sessions))]
                self._count(RarePath.SESSION_EVICTED)

    def _asks(self, seen: _Seen, fetch: Fetch, source: ReplicaId) -> None:
        if fetch.sequence != seen.fetching:
            if seen.fetching > seen.executed:
                self._count(RarePath.TARGET_MOVED)
                seen.asked_before |= seen.asked
            else:
                seen.asked_before = {}
            seen.fetching, seen.asked = fetch.sequence, {}
        if any(seen.asked.get(address, source) != source for address in fetch.addresses):
            self._count(RarePath.SOURCE_PASSED_OVER)
        answer = None if self._wrong_node else self._arrived(Kind.NODES)
        if answer is not None and any(seen.asked.get(address) == answer.sender for address in fetch.addresses):
            self._count(RarePath.PARTLY_ANSWERED)
        seen.asked.update(dict.fromkeys(fetch.addresses, source))

    def _tells(self, seen: _Seen, status: Status) -> None:
        if status.wanted:
            seen.wanted = status.target
