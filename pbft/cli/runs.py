"""What the commands share that play many simulated runs: their options, the progress they show, and how they end.

Owns: the words and forms that are the same for seeds, scenarios and runs. What is counted is the commands' own matter.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pbft.cli.output import say
from pbft.cli.sim import say_lines
from pbft.console.outcome import ExitCode, Failure
from pbft.wording import count, quote

if TYPE_CHECKING:
    from pbft.testing.runs import Report

_RANGE: Final = re.compile(r"([0-9]{1,18}):([0-9]{1,18})")

JobsOption = Annotated[
    int | None,
    typer.Option("--jobs", metavar="N", min=1, show_default=False, help="Processes. Default: one a processor."),
]


def read_range(option: str, text: str, noun: str) -> range:
    """Return the numbers that "A:B" means, from A up to and without B."""
    found = _RANGE.fullmatch(text)
    if found is None or int(found[1]) >= int(found[2]):
        raise Failure(f"{option} takes a first {noun} and the one after the last, as in 0:100, not {quote(text)}")
    return range(int(found[1]), int(found[2]))


def is_watched(as_json: bool) -> bool:
    """Say whether somebody looks on, at a terminal."""
    return not as_json and sys.stdout.isatty()


@contextlib.contextmanager
def progress(noun: str, total: int, as_json: bool) -> Iterator[Callable[[], None]]:
    """Give what counts one more: a bar that moves where somebody watches a terminal, nothing elsewhere."""
    if not is_watched(as_json):
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from pbft.cli.output import console

    columns = (TextColumn(f"{noun}s"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=console(), transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda: bar.advance(task)


def say_failure(noun: str, done: Report[Any], told: Sequence[str] = ()) -> None:
    """Say that a run failed: what happens in it, what broke, and the command that shows it again, once."""
    say(f"{noun} {done.number} failed.", "red")
    say_lines("\n".join((*told, done.failure)))
    if done.replay not in done.failure:
        say(f"replay: {done.replay}")


def say_interrupted(done: int, total: int, noun: str) -> None:
    """Say how many runs had ended when Ctrl-C came."""
    say(f"interrupted after {done} of {count(total, noun)}", "yellow")


def leave(interrupted: bool, failed: int) -> None:
    """End the command as its runs did."""
    if interrupted:
        raise typer.Exit(ExitCode.INTERRUPTED)
    if failed:
        raise typer.Exit(ExitCode.REJECTED)
