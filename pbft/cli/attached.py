"""Running a group in the foreground: from its start to the last replica's end.

Owns: what `up` and `launch` have in common: signals, waiting, and news of faults and of replicas that end. Knows no
protocol.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pbft.cli.output import say
from pbft.console.outcome import ExitCode, Failure
from pbft.group_file import GroupFile
from pbft.lab.interrupts import Interrupts
from pbft.lab.kept import KeptGroup
from pbft.lab.starting import Interrupted
from pbft.lab.state import ReplicaState

if TYPE_CHECKING:
    # The keeper is started before anything is loaded that asks replicas.
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
    not to outlive this process are stopped when it returns. Raises what `KeptGroup.start` does when the group cannot
    start.
    """
    with Interrupts(last=True) as interrupts:
        try:
            with KeptGroup(files, lambda: interrupts.asked, lambda: interrupts.count > 1, liars) as group:
                found = group.start(client, detach)
                if ready is not None:
                    ready(files, found)
                if not detach:
                    _stay(group, interrupts)
        except Interrupted:
            # To stop before it began is how an attached group ends too, but no detached one came of it.
            if detach:
                raise KeyboardInterrupt from None


def _stay(group: KeptGroup, interrupts: Interrupts) -> None:
    """Wait for a request to stop, telling of each fault, and of each replica that ends by itself."""
    ended: dict[int, None] = {}
    while not interrupts.asked:
        # Asked first: what it told before it ended is read then.
        alive = group.alive
        for event in group.news():
            if event["event"] == "fault":
                say(f"{event['command']}: {event['said']}", "yellow")
            now = {gone.id: gone for gone in group.ended()}
            for replica, gone in now.items():
                if replica not in ended:
                    say(f"replica {replica} {_explain(gone)}", "yellow")
            ended = dict.fromkeys(now)
        if not alive:
            return _tell_end(group)
        interrupts.wait(None, group.fileno())
    say("stopping")


def _tell_end(group: KeptGroup) -> None:
    """Say how it came that nothing is left. Raises Failure where that was the keeper's doing."""
    if group.exit_code:
        words = group.last_words() or "it said nothing"
        raise Failure(f"the group's keeper {_how(group.exit_code)}: {words}", ExitCode.INTERNAL_ERROR)
    say("no replica is left")


def _explain(gone: ReplicaState) -> str:
    if gone.exit_code is None:
        return "has ended"
    if gone.exit_code == 0:
        return "was stopped"
    words = f": {gone.words or 'it said nothing'}" if gone.exit_code > 0 else ""
    return _how(gone.exit_code) + words


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    # Most real-time signals have a number only.
    names = {each.value: each.name for each in signal.Signals}
    return f"was ended by {names.get(-code, f'signal {-code}')}"
