"""What commands do with a run that failed: shrink it, keep its plan in a file, and say how to replay that.

Owns: what is told of it, while it happens and afterwards. The search and the files are `pbft.testing`'s matter.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pbft.cli.output import say, say_json
from pbft.wording import count

if TYPE_CHECKING:
    from pbft.testing.swarm import Plan


def shrink_and_keep(plan: Plan, oracle: str, plant: str | None, folder: Path, as_json: bool) -> Path:
    """Shrink a plan that an oracle found wanting, write what is left into a folder, and say how to replay it."""
    from pbft.testing.swarm import keep, replay_command, smallest

    with _progress(f"shrinking seed {plan.seed} ({oracle})", as_json) as told:
        found = smallest(plan, oracle, plant, told)
    path = keep(found.plan, oracle, folder, plant)
    replay = replay_command(path, plant)
    if as_json:
        say_json({"shrunk": plan.seed, "oracle": oracle, "runs": found.runs, "file": str(path), "replay": replay})
    else:
        ended = "" if found.ended else "; there was more to try"
        say(f"seed {plan.seed} ({oracle}) shrunk in {count(found.runs, 'run')} to {found.plan.size}{ended}", "bold")
        say(f"replay: {replay}")
    return path


@contextlib.contextmanager
def _progress(what: str, as_json: bool) -> Iterator[Callable[[int, Plan], None]]:
    """Give what shows each smaller plan: on a terminal one line that changes, elsewhere nothing."""
    if as_json or not sys.stdout.isatty():
        yield lambda _runs, _plan: None
        return
    from pbft.cli.output import console

    with console().status(f"{what}…") as status:
        yield lambda runs, plan: status.update(f"{what}, after {count(runs, 'run')}: {plan.size}…")
