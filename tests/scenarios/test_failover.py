"""What clients see when the primary dies under load: one gap, no longer than the settings say."""

from __future__ import annotations

from itertools import pairwise

import pytest

from pbft.core.settings import ReplicaSettings, SessionSettings
from pbft.testing import Cluster
from pbft_apps.counter import Counter
from tests.scenarios.stories import ROUND_MS, SIZES, Load, views_entered

CLIENTS = ("alice", "bob", "carol", "dave")


@SIZES
@pytest.mark.parametrize("seed", range(5))
def test_the_gap_when_the_primary_dies_under_load_is_bounded(n: int, seed: int) -> None:
    """Four clients call without pause when the primary is killed; for a while none of them gets an answer.

    That is at most one client's retransmission interval, until a backup knows of a request that the dead primary never
    passed on; the view timeout, until it leaves; three round trips: VIEW-CHANGE and NEW-VIEW, the phases, the reply.
    """
    settings, session = ReplicaSettings(), SessionSettings()
    group = Cluster(
        Counter,
        seed=200 + seed,
        n=n,
        clients=CLIENTS,
        delay_ms=(1, ROUND_MS // 2),
        settings=settings,
        session_settings=session,
    )
    load = Load(group, *CLIENTS)
    group.run(300 + 7 * seed)
    killed_ms = group.now_ms
    group.crash(0)

    group.run(settings.view_timeout_ms + 2 * session.retransmit_ms)

    moments = [killed_ms, *(each for each in load.answered_ms if each >= killed_ms)]
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    longest_ms = session.retransmit_ms + settings.view_timeout_ms + 3 * ROUND_MS
    assert settings.view_timeout_ms / 2 < max(gaps) <= longest_ms
    assert sorted(gaps)[-2] < session.retransmit_ms, "there is one gap, and then all goes on as before"
    assert views_entered(group) == [[]] + [[1]] * (n - 1)
    group.finish(*load.stop())
    assert load.exactly_once()
    assert group.histories_agree()
