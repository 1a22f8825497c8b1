"""What a replica does with the keys of clients that collude with it (X1, K1). Without any it behaves well."""

from __future__ import annotations

from contextlib import suppress
from typing import ClassVar

from pbft.core.effects import Effect, Send
from pbft.core.envelope import Envelope, Kind, Sender, Signer, seal
from pbft.core.group import ClientKey
from pbft.core.messages import Request, pack, unpack
from pbft.core.replica import Replica
from pbft.core.settings import Now
from pbft.encoding import EncodingError
from pbft.testing.byzantine.adversary import Means
from pbft.testing.byzantine.flooder import Flooder
from pbft.testing.byzantine.overhearing import requests_in


class Puppeteer(Flooder):
    """Can ask for whatever it likes in a colluding client's name. It does nothing by itself (X1).

    What it asks for it has heard others ask for: it knows no application.
    """

    def __init__(self, core: Replica, means: Means) -> None:
        super().__init__(core, means)
        self.operations: tuple[bytes, ...] = ()
        """What was asked for last."""
        self._sessions: dict[tuple[ClientKey, int], bytes] = {}

    def receive(self, envelope: Envelope, sender: Sender, now: Now) -> list[Effect]:
        """Learn what clients ask for, from themselves or from a batch."""
        for each in requests_in(envelope):
            with suppress(EncodingError):
                self.operations = unpack(Request, each.body).operations
        return super().receive(envelope, sender, now)

    @property
    def puppets(self) -> list[tuple[ClientKey, Signer]]:
        """The clients in whose names there is something to ask for by now."""
        return list(self.means.clients.items()) if self.operations else []

    def request(self, client: ClientKey, signer: Signer, number: int, operations: tuple[bytes, ...]) -> Envelope:
        """Return the next request of a session of a client; each has a number, and is opened when it is used first."""
        opened = self.core.status().agreed_time_ms.to_bytes(8, "big") + self.noise(8)
        session = self._sessions.setdefault((client, number), opened)
        body = pack(Request(client, session, self.floods, operations))
        return seal(self.means.group, signer, Kind.REQUEST, client, body)


class Ventriloquist(Puppeteer):
    """Asks for two things in a client's name under one timestamp: each half hears of another one (X1, K1)."""

    def spread(self, now: Now) -> list[Effect]:
        """Ask each half for something else."""
        effects = super().spread(now)
        for client, signer in self.puppets:
            one = self.request(client, signer, 0, self.operations)
            other = self.request(client, signer, 0, self.operations[:1] * 2)
            effects += [Send(to, other if self.means.in_second_half(to) else one) for to in self.others]
        return effects


class BatchStuffer(Puppeteer):
    """Fills every batch with requests of colluding clients, as many as it has sessions for (X1, K4)."""

    sessions: ClassVar[int] = 4
    """How many sessions of each client it keeps busy."""

    def spread(self, now: Now) -> list[Effect]:
        """Ask everybody, itself above all."""
        effects = super().spread(now)
        for client, signer in self.puppets:
            for number in range(1, self.sessions + 1):
                request = self.request(client, signer, number, self.operations)
                effects += [Send(to, request) for to in self.others]
                effects += self.receive(request, self.me, now)
        return effects
