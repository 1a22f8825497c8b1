"""Censor: leaves one client's requests out, and serves all others (P6)."""

from __future__ import annotations

from pbft.core.effects import Effect
from pbft.core.envelope import Envelope, Kind, Sender
from pbft.core.group import ClientKey
from pbft.core.messages import Request, unpack
from pbft.core.replica import Replica
from pbft.core.settings import Now
from pbft.encoding import EncodingError
from pbft.testing.byzantine.adversary import Adversary, Means


class Censor(Adversary):
    """Is deaf to the first registered client, whoever brings its requests: proposes none, passes none on (P6)."""

    def receive(self, envelope: Envelope, sender: Sender, now: Now) -> list[Effect]:
        """Do not hear the victim."""
        return [] if self.is_censored(envelope, sender, now) else super().receive(envelope, sender, now)

    def is_censored(self, envelope: Envelope, sender: Sender, now: Now) -> bool:
        """Say whether this is not heard: a request of the victim is not."""
        if envelope.kind is not Kind.REQUEST:
            return False
        try:
            return unpack(Request, envelope.body).client == self.victim
        except EncodingError:
            return False

    @property
    def victim(self) -> ClientKey:
        """Whose requests are left out."""
        return self.means.group.genesis.clients[0].public_key


def censor_of(name: str) -> type[Censor]:
    """Return the Censor of a client by its registered name. Making one where nobody is called so raises ValueError."""

    class Chosen(Censor):
        __doc__ = f"Is deaf to {name}, whoever brings its requests: proposes none, passes none on (P6)."

        def __init__(self, core: Replica, means: Means) -> None:
            super().__init__(core, means)
            if means.group.client_named(name) is None:
                raise ValueError(f"the group has no client {name!r}")

        @property
        def victim(self) -> ClientKey:
            """Whose requests are left out."""
            named = self.means.group.client_named(name)
            return super().victim if named is None else named.public_key

    Chosen.__name__ = f"Censor({name})"
    return Chosen
