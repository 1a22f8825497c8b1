"""Running a group in the foreground: from its start to the last replica's end.

Owns: what `up` and `launch` have in common: signals, waiting, and news of replicas that end. Knows no protocol.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping

from pbft.cli.output import say
from pbft.group_file import GroupFile
from pbft.lab.interrupts import Interrupts
from pbft.lab.local import Interrupted, LocalGroup
from pbft.lab.processes import Child
from pbft.lab.survey import Survey


def run_attached(
    files: GroupFile,
    client: str,
    detach: bool = False,
    ready: Callable[[GroupFile, Survey], None] | None = None,
    liars: Mapping[int, str] | None = None,
) -> None:
    """Start a group and, unless it is to be left alone, stay with it until somebody asks to stop or all have ended.

    `ready` is called once every replica answers, and `liars` says who lies and how. Whatever happens, replicas that are
    not to outlive this process are stopped when it returns. Raises what `LocalGroup.start` does when the group cannot
    start.
    """
    with Interrupts(last=True) as interrupts:
        try:
            with LocalGroup(files, lambda: interrupts.asked, lambda: interrupts.count > 1, liars) as group:
                found = group.start(client, detach)
                if ready is not None:
                    ready(files, found)
                if not detach:
                    _stay(group, interrupts)
        except Interrupted:
            # To stop before it began is how an attached group ends too, but no detached one came of it.
            if detach:
                raise KeyboardInterrupt from None


def _stay(group: LocalGroup, interrupts: Interrupts) -> None:
    """Wait for a request to stop, telling of each replica that ends before."""
    told: dict[int, None] = {}
    while not interrupts.asked:
        for child in group.ended():
            if child.replica not in told:
                told[child.replica] = None
                say(f"replica {child.replica} {_explain(child)}", "yellow")
        if len(told) == len(group.children):
            say("no replica is left")
            return
        interrupts.wait()
    say("stopping")


def _explain(child: Child) -> str:
    code = child.exit_code or 0
    if code == 0:
        return "was stopped"
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with code {code}: {child.last_words() or 'it said nothing'}"
