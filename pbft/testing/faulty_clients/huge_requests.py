"""HugeRequests: requests as large as the group allows, and larger: long operations, many, and too many (K4).

It greets nobody, so that none of it can be answered.
"""

from __future__ import annotations

from typing import ClassVar

from pbft.core.effects import Send
from pbft.core.group import WRAPPING_BYTES
from pbft.testing.faulty_clients.faulty_client import ClientMeans, FaultyClient, Speech, nonsense


class HugeRequests(FaultyClient):
    """Sends everybody another size each time, all in one session."""

    every_ms: ClassVar[int] = 300

    def __init__(self, label: str, means: ClientMeans, say: Speech = nonsense) -> None:
        super().__init__(label, means, say)
        self.session = self.new_session()

    def act(self) -> list[Send]:
        """Send what is next in size."""
        limits = self.means.group.limits
        longest = bytes(limits.operation_bytes)
        many = min(limits.operations_per_request, (limits.request_bytes - WRAPPING_BYTES) // 8)
        sizes = (
            (longest,),
            (longest + b"\0",),
            (longest,) * (limits.request_bytes // limits.operation_bytes + 1),
            (b"\0",) * many,
            (b"\0",) * (limits.operations_per_request + 1),
        )
        return self.to_all(self.request(self.session, self.acts, *sizes[self.acts % len(sizes)]))
