"""OddSessions: opens sessions that claim to come from the future, near and far, and from long ago (K1, K4).

What lies beyond agreed time plus drift is refused. What lies just within it raises the floor of this client's own table
once it is evicted, and nobody else's.
"""

from __future__ import annotations

from pbft.core.effects import Send
from pbft.testing.faulty_clients.faulty_client import FaultyClient

_FARTHEST_MS = 2**64 - 1
_MARGIN_MS = 500
"""More than correct clocks differ by: this far within the drift everybody takes it, this far beyond nobody does."""
_DAY_MS = 86_400_000


class OddSessions(FaultyClient):
    """Opens one session at each odd time in turn, and asks twice in each."""

    def act(self) -> list[Send]:
        """Open the next."""
        drift_ms = self.means.group.limits.clock_drift_ms
        times_ms = (
            _FARTHEST_MS,
            self.wall_ms + _DAY_MS,
            self.wall_ms + drift_ms + _MARGIN_MS,
            self.wall_ms + drift_ms - _MARGIN_MS,
            self.wall_ms + drift_ms,
            self.wall_ms - _DAY_MS,
            1,
        )
        session = self.new_session(times_ms[self.acts % len(times_ms)])
        lowest = bytes(16)
        return [
            *self.greet(session),
            *self.to_all(self.request(session, 1)),
            *self.to_all(self.request(session, 2)),
            *self.to_all(self.request(lowest, self.acts)),
        ]
