"""Floods of views, sequences and claims without end (R5): memory stays under its formula, and clients are served."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from pbft.core.envelope import Kind
from pbft.core.group import Limits
from pbft.core.settings import ReplicaSettings
from pbft.testing import Cluster
from pbft.testing.byzantine import Flooder, SequenceFlooder, ViewFlooder
from pbft_apps.counter import Counter
from tests.scenarios.stories import ROUND_MS, SIZES, Load, backups, primaries, views_left
from tests.scenarios.watch import Watch

NARROW = Limits(
    checkpoint_interval=8,
    log_size=16,
    operation_bytes=256,
    operations_per_request=4,
    request_bytes=1_024,
    batch_bytes=2_048,
    batch_operations=16,
    results_bytes=1_024,
    sessions_per_client=2,
)
"""Limits as tight as they may be, so that the formula has something to say."""
LITTLE = ReplicaSettings(
    window=4,
    early_bytes=8_192,
    unexecuted_bytes=8_192,
    waiting_requests=8,
    waiting_requests_per_client=2,
    waiting_bytes=16_384,
    waiting_bytes_per_client=4_096,
)


class FastViews(ViewFlooder):
    """Fifty floods a second."""

    every_ms = 20


class FastSequences(SequenceFlooder):
    """Fifty floods a second."""

    every_ms = 20


@SIZES
@pytest.mark.parametrize("role", ["primaries", "backups"])
@pytest.mark.parametrize("kind", [FastViews, FastSequences], ids=["views", "sequences"])
def test_r5_memory_under_endless_floods_stays_under_its_formula(n: int, role: str, kind: type[Flooder]) -> None:
    """f replicas never stop to vote, propose and claim for views and sequences that nobody has come to.

    VIEW-CHANGEs for views that grow and for huge ones, NEW-VIEWs that nobody asked for; the three phases, checkpoints,
    certificates and nodes for sequences in the log, beyond it and far beyond; statuses with claims beyond everything.

    At every moment each count of each correct replica is within the bound that group and settings give it. Calls are
    answered meanwhile: as if nothing were wrong where the flood comes from backups.
    """
    byzantine = primaries(n, kind) if role == "primaries" else backups(n, kind)
    group = Cluster(Counter, seed=110, n=n, byzantine=byzantine, limits=NARROW, settings=LITTLE)
    watch = Watch(group, LITTLE)
    load = Load(group, "alice", "bob", think_ms=20)

    watch.run(1_500)

    assert watch.excesses == {}
    assert max(watch.greatest["view_changes"], watch.greatest["early_bytes"]) > 0
    if role == "backups":
        gaps = [later - earlier for earlier, later in pairwise(load.answered_ms)]
        assert max(gaps) <= 20 + 4 * ROUND_MS
        assert views_left(group) == [0] * len(group.correct)
    group.finish(*load.stop())
    assert load.exactly_once()
    assert group.histories_agree()


@SIZES
@pytest.mark.parametrize("kind", [FastViews, FastSequences], ids=["views", "sequences"])
def test_r5_memory_while_no_view_lasts_stays_under_its_formula(n: int, kind: type[Flooder]) -> None:
    """Views come and go without end, since no proposal of any primary arrives, while f backups flood as above.

    The group goes through views all the same, one after the other; within the bounds; and serves when it has healed.
    """
    settings = replace(LITTLE, view_timeout_ms=60)
    group = Cluster(Counter, seed=111, n=n, byzantine=backups(n, kind), limits=NARROW, settings=settings)
    watch = Watch(group, settings)
    load = Load(group, "alice", "bob", think_ms=20)
    watch.run(300)
    group.network.on(Kind.PRE_PREPARE, src=group.correct).drop()

    watch.run(1_500)

    assert watch.excesses == {}
    assert min(group.views()) >= 3
    group.heal()
    group.finish(*load.stop())
    assert load.exactly_once()
    assert group.histories_agree()
