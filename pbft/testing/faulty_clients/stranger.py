"""Stranger: greets and asks like any client, well signed, with a key that the group does not know (K2).

A real link drops whatever it sends, since no key is shared with it. Here it reaches the replicas, who must do the same.
"""

from __future__ import annotations

from typing import ClassVar

from pbft.core.effects import Send
from pbft.testing.faulty_clients.faulty_client import FaultyClient


class Stranger(FaultyClient):
    """Opens a session each time, and asks everybody."""

    registered: ClassVar[bool] = False

    def act(self) -> list[Send]:
        """Greet and ask."""
        session = self.new_session()
        return self.greet(session) + self.to_all(self.request(session, 1))
