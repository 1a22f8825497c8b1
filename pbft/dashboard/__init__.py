"""The dashboard: a full screen on a terminal from which a group is watched, driven and broken.

Owns: one function, imported without the framework that draws. The screen is `pbft.dashboard.app`, and what it knows of
the group `pbft.dashboard.model`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from pbft.group_file import GroupFile


def run(
    files: GroupFile,
    client: str,
    started: bool,
    begin: Callable[[], object] | None = None,
    leaving: threading.Event | None = None,
) -> int:
    """Show the dashboard of a group until somebody leaves it, and return the exit code.

    `client` is the name of who calls. `started` says whether the group is this program's own: it is only told to the
    user, and whoever started it stops it afterwards. `begin` is called in a thread of its own once the first frame is
    drawn: what waits, such as for replicas to answer, belongs there, and an error of this project's that it raises
    becomes a line on the screen. `leaving` is set when nothing of that is wanted any more: `begin` should return then.
    Raises what ended the screen, if that was an error; the terminal is as it was by then.
    """
    from pbft.dashboard.running import show

    return show(files, client, started, begin, leaving or threading.Event())
