"""States move between real processes, node by node: all of a lost one, and little of one that is nearly right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pbft.client import Client
from pbft.group_file import GroupFile
from tests.processes.kept import EVERYBODY, kept
from tests.processes.lab import PATIENT_MS, SMALL_LOG, lab, level, listening, reports, run, working

pytestmark = pytest.mark.processes

STORAGE = f"{Path(__file__).with_name('storage.py')}:Storage"
ITEMS = 20_000
ITEM_BYTES = 30
"""Less than an item with its key takes."""


async def fill(client: Client) -> None:
    for first in range(0, ITEMS, 1_000):
        assert await client.call("fill", first, 1_000) == first + 1_000


def installed(files: GroupFile, replica: int) -> list[dict[str, Any]]:
    """Return what a replica tells of the states that it took over."""
    lines = (files.data(replica) / "log.jsonl").read_text().splitlines()
    return [each for each in map(json.loads, lines) if each["event"] == "state installed"]


@pytest.mark.parametrize("liars", [{}, {1: "NodeForger"}])
def test_a_process_without_a_state_fetches_all_while_clients_go_on(tmp_path: Path, liars: dict[int, str]) -> None:
    """It is killed, started with nothing, and soon level with the others, though one of them lies in every node."""
    with lab(tmp_path / "group", liars, view_timeout_ms=PATIENT_MS, application=STORAGE) as group:

        async def story() -> None:
            async with Client.open(group.files.directory, "alice") as asking:
                await fill(asking)
                async with working(group.files) as work:
                    await work.more(2 * SMALL_LOG.log_size)
                    group.kill(3)
                    child = group.start(3)
                    await listening(group.files, child)
                    while not installed(group.files, 3):
                        await work.more(1)
                    await work.more(SMALL_LOG.log_size)
                await level(asking, *group.correct)

        run(story())
        assert sum(each["bytes"] for each in installed(group.files, 3)) > ITEMS * ITEM_BYTES
        assert group.all_live()


def test_a_process_that_was_cut_off_fetches_only_what_changed(tmp_path: Path) -> None:
    """More passes it by than the others keep; what it had it keeps: under a tenth of the state moves."""
    with kept(tmp_path / "group", view_timeout_ms=PATIENT_MS, application=STORAGE) as group:

        async def story() -> None:
            async with Client.open(group.files.directory, "alice") as asking:
                await reports(asking, *EVERYBODY)
                await fill(asking)
                await level(asking, *EVERYBODY)
                await group.fault("cut 3")
                for total in range(1, 4 * SMALL_LOG.log_size):
                    assert await asking.call("add", 1) == total
                await group.fault("heal")
                while not installed(group.files, 3):
                    await asking.call("add", 1)
                await level(asking, *EVERYBODY)

        run(story())
        assert 0 < sum(each["bytes"] for each in installed(group.files, 3)) < ITEMS * ITEM_BYTES // 10
