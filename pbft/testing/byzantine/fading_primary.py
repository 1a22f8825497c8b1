"""FadingPrimary: stops in the middle of its view, just when f+1 have what it proposed (P5)."""

from __future__ import annotations

from pbft.core.effects import Action, Effect, Send
from pbft.core.envelope import Kind
from pbft.core.replica import Replica
from pbft.core.settings import Now
from pbft.testing.byzantine.adversary import Adversary, Means


class FadingPrimary(Adversary):
    """Tells f+1 correct backups its first proposal, and then nobody anything until it is out of office (P5)."""

    def __init__(self, core: Replica, means: Means) -> None:
        super().__init__(core, means)
        self._faded: int | None = None
        """The view in which it has stopped."""

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Say what is to be said, up to a proposal that reaches f+1."""
        said: list[Effect] = []
        for effect in super().twist(effects, now):
            if not isinstance(effect, Action):
                said.append(effect)
            elif isinstance(effect, Send) and effect.envelope.kind is Kind.PRE_PREPARE and self.is_in_office:
                said += [effect] if effect.to in self._reached and not self._has_faded else []
            elif not self._has_faded:
                said.append(effect)
        if self.is_in_office and any(
            isinstance(each, Send) and each.envelope.kind is Kind.PRE_PREPARE for each in said
        ):
            self._faded = self.core.status().view
        return said

    @property
    def _reached(self) -> tuple[int, ...]:
        return self.means.correct[: self.means.group.quorums.weak]

    @property
    def _has_faded(self) -> bool:
        return self.is_in_office and self._faded == self.core.status().view
