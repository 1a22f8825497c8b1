"""A replica's place in the simulation: its core, its inbox, its clocks, its disk and the addresses clients proved.

Owns: what a real driver owns around one core. Knows nothing of the network or of other replicas.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Final, TypeVar

from pbft.core.effects import (
    BecameStable,
    Diverged,
    Effect,
    Evidence,
    Executed,
    Ignored,
    Persist,
    Reason,
    StateInstalled,
    ViewChangeStarted,
    ViewEntered,
)
from pbft.core.envelope import Envelope, Kind, Sender
from pbft.core.findings import DivergenceExplained
from pbft.core.group import ClientKey, ReplicaId
from pbft.core.messages import Hello, Request, unpack
from pbft.core.replica import Replica
from pbft.core.settings import Now
from pbft.encoding import EncodingError
from pbft.testing.byzantine.adversary import Adversary
from pbft.testing.network import WALL_START_MS, Address

MAX_INBOX: Final = 10_000
MAX_ADDRESSES_PER_CLIENT: Final = 64
KEPT_PERSISTS: Final = 1_024
KEPT_EVIDENCE: Final = 1_024
KEPT_STEPS: Final = 4_096

Step = ViewChangeStarted | ViewEntered | BecameStable | StateInstalled | Diverged | DivergenceExplained
"""A notice of something that happens now and then, and that a test may want to look at afterwards."""

Kept = TypeVar("Kept", bound=Step)


class Station:
    """One replica, correct or not, and what its driver keeps for it."""

    def __init__(self, core: Replica | Adversary, offset_ms: int, wall_ahead_ms: int) -> None:
        self.id: ReplicaId = core.me
        self.core = core
        self.alive = True
        self.paused = False
        """Whether its process stands still: what arrives waits, as far as there is room."""
        self.wake_ms: int | None = None
        self.inbox: deque[tuple[Address, Sender, Envelope]] = deque()
        self.durable: deque[Persist] = deque(maxlen=KEPT_PERSISTS)
        """What was made durable, latest last. A dictionary in memory stands for the disk until there is a store."""
        self.history: list[Executed] = []
        """Every batch executed, in order. Where a state was installed instead, there is a gap."""
        self.steps: deque[Step] = deque(maxlen=KEPT_STEPS)
        """Views left and entered, checkpoints and states taken over, in order, the latest last."""
        self.installed = 0
        """The sequence of the state that was taken over from others last; 0 where none was."""
        self.ignored: Counter[Reason] = Counter()
        self.evidence: deque[Evidence] = deque(maxlen=KEPT_EVIDENCE)
        self.wall_ahead_ms = wall_ahead_ms
        """How far this replica's wall clock is ahead of the right time."""
        self._offset_ms = offset_ms
        self._addresses: dict[ClientKey, dict[bytes, str]] = {}
        """By client and session; whoever was heard and answered longest ago stands first."""

    def restart(self, core: Replica | Adversary) -> None:
        """Begin again with a core that knows nothing: what the old one kept, and what was told of it, is gone."""
        self.core, self.alive, self.paused = core, True, False
        for kept in (self.inbox, self.durable, self.history, self.steps, self.ignored, self.evidence, self._addresses):
            kept.clear()
        self.installed = 0

    @property
    def correct(self) -> bool:
        """Whether this replica follows the protocol."""
        return isinstance(self.core, Replica)

    @property
    def executed(self) -> int:
        """The sequence whose state this replica has come to, by executing or by taking over a state."""
        return max(self.history[-1].sequence if self.history else 0, self.installed)

    def taken(self, kind: type[Kept]) -> list[Kept]:
        """Return the steps of one kind, in order."""
        return [step for step in self.steps if isinstance(step, kind)]

    def put(self, src: Address, sender: Sender, envelope: Envelope) -> bool:
        """Let an envelope wait to be received; say no when the inbox is full, and then it is lost."""
        if len(self.inbox) >= MAX_INBOX:
            return False
        self.inbox.append((src, sender, envelope))
        return True

    def clock(self, now_ms: int) -> Now:
        """Return what this replica's clocks show: no two replicas' agree."""
        return Now(now_ms + self._offset_ms, WALL_START_MS + now_ms + self.wall_ahead_ms)

    def deadline_ms(self) -> int | None:
        """When `tick` is due, in virtual time."""
        deadline = self.core.deadline_ms
        return None if deadline is None else deadline - self._offset_ms

    def learn_address(self, src: Address, sender: Sender, envelope: Envelope) -> None:
        """Remember where a client's session can be answered. In the simulator every address counts as proven.

        A client has room for so many sessions, as with a real replica. Where the room is full, a request brings back a
        session that it has lost: a real replica would challenge it, and it would prove its address anew.
        """
        greeting = envelope.kind is Kind.HELLO
        if not (greeting or envelope.kind is Kind.REQUEST) or isinstance(src, int) or isinstance(sender, int):
            return
        try:
            said = unpack(Hello, envelope.body) if greeting else unpack(Request, envelope.body)
        except EncodingError:
            return
        sessions = self._addresses.setdefault(sender, {})
        known = sessions.pop(said.session, None)
        if known is None and not greeting and len(sessions) < MAX_ADDRESSES_PER_CLIENT:
            return
        if len(sessions) >= MAX_ADDRESSES_PER_CLIENT:
            del sessions[next(iter(sessions))]
        sessions[said.session] = src if greeting or known is None else known

    def address(self, client: ClientKey, session: bytes) -> str | None:
        """Return where a client's session said it is. Who is answered is in use, though it asks the primary alone."""
        sessions = self._addresses.get(client, {})
        if session in sessions:
            sessions[session] = sessions.pop(session)
        return sessions.get(session)

    def perform(self, effects: list[Effect]) -> None:
        """Make durable what must be before anything leaves, and note what watchers ask for."""
        for effect in effects:
            if isinstance(effect, Persist):
                self.durable.append(effect)
            elif isinstance(effect, Executed):
                self.history.append(effect)
            elif isinstance(effect, Step):
                self.steps.append(effect)
                if isinstance(effect, StateInstalled):
                    self.installed = effect.sequence
            elif isinstance(effect, Ignored):
                self.ignored[effect.reason] += 1
            elif isinstance(effect, Evidence):
                self.evidence.append(effect)
