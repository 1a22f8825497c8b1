"""What many proofs come to in a few lines."""

from __future__ import annotations

import os
from pathlib import Path

from pbft.console.proofs import sum_up
from pbft.core.envelope import Kind
from pbft.core.evidence import Finding, Place

MORE = ", and for 3 more, sequences 1-3, 10 in all"


def test_one_line_for_each_culprit_kind_and_view(tmp_path: Path):
    """The newest first, with the sequences in short and everybody who keeps a proof."""
    judged = []
    for at, (keeper, culprit, kind, view, sequence) in enumerate(
        [
            *((keeper, 1, Kind.PREPARE, 0, sequence) for keeper in (0, 2) for sequence in (1, 2, 3, 10)),
            (3, 2, Kind.COMMIT, 1, 7),
            (0, 1, Kind.VIEW_CHANGE, 4, None),
        ]
    ):
        path = tmp_path / f"replica-{keeper}" / "evidence" / f"{at}.cbor"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (at, at))
        judged.append((path, Finding(culprit, Place(kind, view, sequence))))

    summed = sum_up(judged)

    assert [each.act for each in summed] == [
        "replica 1 signed two different VIEW-CHANGE messages for view 4",
        "replica 2 signed two different COMMIT messages for view 1, sequence 7",
        f"replica 1 signed two different PREPARE messages for view 0, sequence 1{MORE}",
    ]
    assert [each.keepers for each in summed] == [(0,), (3,), (0, 2)]
    assert summed[-1].newest == tmp_path / "replica-2" / "evidence" / "7.cbor"
