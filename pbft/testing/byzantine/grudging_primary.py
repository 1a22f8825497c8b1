"""GrudgingPrimary: serves one client just often enough to look fair, and all others at once (P6)."""

from __future__ import annotations

from typing import ClassVar

from pbft.core.effects import Effect
from pbft.core.envelope import Envelope, Sender
from pbft.core.replica import Replica
from pbft.core.settings import Now
from pbft.testing.byzantine.adversary import Means
from pbft.testing.byzantine.censor import Censor


class GrudgingPrimary(Censor):
    """As primary hears the first registered client's requests only when its backups are about to complain (P6)."""

    share: ClassVar[float] = 0.9
    """How much of the view timeout it lets that client wait."""

    def __init__(self, core: Replica, means: Means) -> None:
        super().__init__(core, means)
        self._unheard: dict[Envelope, tuple[int, Sender]] = {}
        """What the victim asked for, who brought it, and when it will be heard."""

    def is_censored(self, envelope: Envelope, sender: Sender, now: Now) -> bool:
        """Hear the victim later."""
        if not self.is_in_office or not super().is_censored(envelope, sender, now):
            return False
        if envelope in self._unheard and self._unheard[envelope][0] <= now.monotonic_ms:
            return False
        heard_ms = now.monotonic_ms + int(self.share * self.core.status().timeout_ms)
        self._unheard.setdefault(envelope, (heard_ms, sender))
        return True

    def tick(self, now: Now) -> list[Effect]:
        """Hear what has waited long enough."""
        effects: list[Effect] = []
        for envelope, (heard_ms, sender) in list(self._unheard.items()):
            if heard_ms <= now.monotonic_ms:
                effects += self.receive(envelope, sender, now)
                del self._unheard[envelope]
        return effects + super().tick(now)

    @property
    def deadline_ms(self) -> int | None:
        """When `tick` is next due: for the core, or to hear the victim."""
        due_ms = [heard_ms for heard_ms, _ in self._unheard.values()]
        return min((each for each in (super().deadline_ms, *due_ms) if each is not None), default=None)
