"""`pbft dashboard`: a group on a full screen.

Owns: which group and client are meant, what a terminal must be for it, and that a group which was started for a
dashboard ends with it. The screen is `pbft.dashboard`'s.
"""

from __future__ import annotations

import os
import sys
import threading

import typer

from pbft.cli.output import say
from pbft.cli.where import GroupArgument, KeyOption, find_client, find_group
from pbft.console.outcome import Failure
from pbft.group_file import GroupFile, read_group


def dashboard(
    directory: GroupArgument = None,
    key: KeyOption = None,
) -> None:
    """Watch a group, drive it and break it, on a full screen. A local group that does not run is started."""
    files = read_group(find_group(directory))
    client = find_client(files, key)
    if not has_terminal():
        raise Failure("a dashboard needs a terminal; without one there are pbft shell, pbft status and pbft events")
    raise typer.Exit(show_dashboard(files, client))


def has_terminal() -> bool:
    """Say whether there is a terminal to read keys from and to draw on."""
    # The screen is drawn on standard error, so that none of the three may be somewhere else.
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return all(each is not None and each.isatty() for each in streams) and os.environ.get("TERM", "dumb") != "dumb"


def show_dashboard(files: GroupFile, client: str) -> int:
    """Show a group until somebody leaves, and return the exit code.

    A local group of which nothing runs is started once the first frame stands, and stopped at the end. Any other is
    left as it is. Raises what ends the screen without anybody's wish.
    """
    import pbft.dashboard
    from pbft.lab.processes import running
    from pbft.node.marks import holder

    if not files.lab or running(files) or holder(files.data_folder) is not None:
        return pbft.dashboard.run(files, client, started=False)
    return _show_own(files, client)


def _show_own(files: GroupFile, client: str) -> int:
    import pbft.dashboard
    from pbft.lab.interrupts import Interrupts
    from pbft.lab.kept import KeptGroup
    from pbft.lab.starting import Interrupted

    leaving = threading.Event()
    interrupts = Interrupts(last=True)
    group = KeptGroup(files, leaving.is_set, lambda: interrupts.asked)

    def begin() -> None:
        try:
            group.start(client)
        except Interrupted:
            return

    try:
        return pbft.dashboard.run(files, client, started=True, begin=begin, leaving=leaving)
    finally:
        # Until here a Ctrl-C is a key; from here on it says that somebody will not wait.
        with interrupts:
            if group.alive:
                say("stopping")
            group.close()
