"""Watching a group whose replicas publish nothing on this machine."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

from pbft.dashboard.polling import poll
from pbft.dashboard.running import feed
from pbft.group_file import GroupFile


def test_whoever_gives_no_answer_is_told_to_be_gone(ledger: GroupFile) -> None:
    """Each round tells of every replica; of those that do not run it says so, again and again."""

    async def story() -> list[tuple[object, object]]:
        async with contextlib.aclosing(poll(ledger, "alice")) as events:
            heard = [await anext(events) for _ in range(5)]
        return [(event["event"], event["replica"]) for event in heard]

    assert asyncio.run(story()) == [("gone", 0), ("gone", 1), ("gone", 2), ("gone", 3), ("gone", 0)]


def test_only_a_lab_has_streams(ledger: GroupFile) -> None:
    """A group of one machine is listened to, any other is asked."""
    assert feed(replace(ledger, lab=False), "alice").__qualname__ == "poll"  # type: ignore[attr-defined]
    assert feed(ledger, "alice").__qualname__ == "listen"  # type: ignore[attr-defined]
