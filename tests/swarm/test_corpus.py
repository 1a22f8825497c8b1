"""The corpus: plans that failed once, or that showed a planted bug, are replayed for good, and pass.

`scripts/soak` adds the plans of seeds that it finds failing, each named after its seed and the oracle that found it.
Those whose names end in a mutant's are what was left of a run that caught it.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pbft.testing import swarm

PLANS = sorted((Path(__file__).parent.parent / "corpus").glob("*.json"))


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_a_plan_of_the_corpus_passes(path: Path) -> None:
    done = swarm.report_plan(swarm.read_plan(path), f"pbft sim --plan {path} --trace")
    assert done.outcome is not None, done.failure


def test_names_say_which_seed_and_what_found_it() -> None:
    """The corpus has plans, and each is told by its name."""
    assert PLANS
    for path in PLANS:
        found = re.fullmatch(r"seed-(\d+)-[A-Za-z0-9_]+(-[A-Za-z0-9_-]+)?", path.stem)
        assert found is not None
        assert swarm.read_plan(path).seed == int(found[1])
