"""Hosts that are given by name.

Owns: looking names up again and again, off the way of everything else. Knows nothing of what is sent there.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from pbft.group_file import Address
from pbft.net.transport import SocketAddress, is_number, resolve


async def follow_names(
    wanted: Sequence[Address],
    found: list[SocketAddress | None],
    family: socket.AddressFamily,
    interval_seconds: float = 10.0,
) -> None:
    """Resolve names again and again into `found`: a host may move, or be known only later. Runs until cancelled.

    Returns at once when all addresses are numbers.
    """
    named = [place for place, each in enumerate(wanted) if not is_number(each.host)]

    async def look_up(place: int) -> None:
        address = await resolve(wanted[place].host, wanted[place].port, family)
        if address is not None:
            found[place] = address

    while named:
        await asyncio.gather(*(look_up(place) for place in named))
        await asyncio.sleep(interval_seconds)
