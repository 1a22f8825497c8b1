"""Watching a group whose replicas run elsewhere: asking each of them once a second, as `pbft status` does.

Owns: the rhythm of these questions, and their shape as events of the stream, which such a group does not offer here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

from pbft.group_file import GroupFile
from pbft.net.waiting import fine_clock_us

ASK_SECONDS: Final = 1.0
_WAIT_SECONDS: Final = 0.8


async def poll(files: GroupFile, client: str) -> AsyncGenerator[Mapping[str, Any], None]:
    """Yield each replica's report about once a second, and that one is gone when it gives none. Never ends.

    Raises what opening a client does.
    """
    # Imported here: it brings sockets and signatures along, and the first frame does not wait for them.
    from pbft.client import Client

    async with Client.open(files.directory, key=client) as asking:
        while True:
            begun = time.monotonic()
            reports = await asking.inspect(timeout=_WAIT_SECONDS)
            us = fine_clock_us()
            for replica, report in reports.items():
                if report is None:
                    yield {"event": "gone", "replica": replica, "us": us}
                else:
                    yield {"event": "counters", "replica": replica, "us": us, "report": report}
            await asyncio.sleep(max(0.0, ASK_SECONDS - (time.monotonic() - begun)))
