"""What tests with misbehaving clients share: whose programs run, how soon these are answered, and what took effect."""

from __future__ import annotations

from itertools import pairwise

from pbft.testing import Cluster
from pbft.testing.faulty_clients import FaultyClient
from tests.scenarios.stories import ROUND_MS, Load

NAMES = ("alice", "bob", "mallory")
THINK_MS = 20
PROMPT_MS = THINK_MS + 4 * ROUND_MS
"""Between two answers of a program at most, where nothing is wrong: it thinks, then request, three phases and reply
are five messages, and as many again for the batch under way that its request may have to let pass, less two."""


def ran(group: Cluster, replica: int, client: FaultyClient) -> list[tuple[tuple[bytes, int], bytes]]:
    """Return what took effect of a client's requests on a replica: each request's name and digest, in order."""
    return [
        ((one.session, one.timestamp), one.digest)
        for batch in group.history(replica)
        for one in batch.requests
        if one.client == client.key and one.outcomes
    ]


def longest_gap_ms(load: Load) -> int:
    """Return the longest time between two answers."""
    return max(later - earlier for earlier, later in pairwise(load.answered_ms))
