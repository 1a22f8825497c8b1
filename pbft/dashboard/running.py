"""Running the dashboard on this program's terminal, from its first frame to the terminal as it was.

Owns: signals, and what becomes of an error. Knows nothing of what is on the screen.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Final

from pbft.console.history import History
from pbft.console.session import Console
from pbft.dashboard.app import Dashboard
from pbft.group_file import GroupFile

_ENDING: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_LAST_SECONDS: Final = 10.0
"""How long a screen may take to end once its terminal is gone, before the process ends without it."""


def show(
    files: GroupFile, client: str, started: bool, begin: Callable[[], object] | None, leaving: threading.Event
) -> int:
    """Run the dashboard as `pbft.dashboard.run` says."""
    return asyncio.run(_show(files, client, started, begin, leaving))


async def _show(
    files: GroupFile, client: str, started: bool, begin: Callable[[], object] | None, leaving: threading.Event
) -> int:
    async with Console(files, client) as console:
        app = Dashboard(files, console, lambda: feed(files, client), History(), started, begin)
        _obey_signals(app)
        try:
            code = await app.run_async()
        finally:
            leaving.set()
    if app.failure is not None:
        raise app.failure
    return code or 0


def feed(files: GroupFile, client: str) -> AsyncGenerator[Mapping[str, Any], None]:
    """Return what there is to watch: the streams of replicas on this machine, else answers to questions."""
    if not files.lab:
        from pbft.dashboard.polling import poll

        return poll(files, client)
    from pbft.lab.listening import listen

    return listen(files)


def _obey_signals(app: Dashboard) -> None:
    """End the app at signals that ask for it, as Ctrl-Q does."""
    loop = asyncio.get_running_loop()

    def leave(number: signal.Signals) -> None:
        if number is signal.SIGHUP:
            _let_go_of_terminal()
        app.exit(0)

    for number in _ENDING:
        # Whoever had hangups ignored, as nohup does, wants them ignored.
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, leave, number)


def _let_go_of_terminal() -> None:
    """Turn to nothing what would be written to a terminal that is gone, so that no write fails or waits for ever."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (sys.__stdin__, sys.__stdout__, sys.__stderr__):
        if stream is not None:
            os.dup2(null, stream.fileno())
    last = threading.Timer(_LAST_SECONDS, os._exit, (128 + signal.SIGHUP,))
    last.daemon = True
    last.start()
