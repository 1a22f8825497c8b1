"""Censor: leaves one client's requests out, and serves all others (P6)."""

from __future__ import annotations

from pbft.core.effects import Effect
from pbft.core.envelope import Envelope, Kind, Sender
from pbft.core.group import ClientKey
from pbft.core.messages import Request, unpack
from pbft.core.settings import Now
from pbft.encoding import EncodingError
from pbft.testing.byzantine.adversary import Adversary


class Censor(Adversary):
    """Is deaf to the first registered client, whoever brings its requests: never proposes one, never passes one on."""

    def receive(self, envelope: Envelope, sender: Sender, now: Now) -> list[Effect]:
        """Do not hear the victim."""
        if envelope.kind is Kind.REQUEST and self._is_victims(envelope):
            return []
        return super().receive(envelope, sender, now)

    @property
    def victim(self) -> ClientKey:
        """Whose requests are left out."""
        return self.means.group.genesis.clients[0].public_key

    def _is_victims(self, envelope: Envelope) -> bool:
        try:
            return unpack(Request, envelope.body).client == self.victim
        except EncodingError:
            return False
