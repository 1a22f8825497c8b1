"""Lying by everyday words, as `byzantine I HOW` does it to real processes: what people see of it, and who goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pbft.client import Client
from pbft.lab.faults import CENSOR, HOWS
from tests.processes.kept import EVERYBODY, Kept, kept
from tests.processes.lab import PATIENT_MS, level, reports, run, working
from tests.processes.shell import SECONDS

pytestmark = pytest.mark.processes


async def proven(group: Kept, culprit: int, *replicas: int) -> None:
    """Wait until each of some replicas can prove somebody's guilt."""
    async with asyncio.timeout(SECONDS):
        while True:
            if all(culprit in {each.culprit for each in group.evidence(replica)} for replica in replicas):
                return
            await asyncio.sleep(0.05)


def test_a_backup_lies_in_every_everyday_way(tmp_path: Path) -> None:
    """Word after word, in one place, while clients work: nobody leaves the view, and only the liar is proven guilty.

    In the end a correct replica stands there again and comes to the others' state.
    """
    with kept(tmp_path / "group", view_timeout_ms=PATIENT_MS) as group:

        async def body() -> None:
            async with Client.open(group.files.directory, "alice") as asking:
                await reports(asking, *EVERYBODY)
                async with working(group.files) as work:
                    for how in HOWS:
                        words = f"{how} bob" if how == CENSOR else how
                        assert await group.fault(f"byzantine 2 {words}") == f"replica 2 lies from now on: {words}"
                        assert (await group.control.state()).to_json()["replicas"][2]["misbehaviour"] == words
                        await work.more(20)
                        if how == "equivocate":
                            await proven(group, 2, 0, 1, 3)
                    await group.fault("restart 2")
                    await work.more(20)
                told = await level(asking, *EVERYBODY)
                assert [each["view"] for each in told] == [0, 0, 0, 0]
                assert {each.culprit for each in group.evidence(0, 1, 3)} == {2}

        run(body())


def test_a_primary_that_is_made_to_equivocate(tmp_path: Path) -> None:
    """One request is enough: it is answered under another primary, and every other replica can prove what happened."""
    with kept(tmp_path / "group") as group:

        async def body() -> None:
            async with Client.open(group.files.directory, "alice") as asking:
                await reports(asking, *EVERYBODY)
                await group.fault("byzantine 0 equivocate")
                assert (await asking.ask("add", 1, timeout=SECONDS)).value == 1
                await proven(group, 0, 1, 2, 3)
                told = await level(asking, 1, 2, 3)
                assert sum(each["view"] > 0 for each in told) >= group.files.group.quorums.weak

        run(body())


def test_a_primary_that_censors_one_client(tmp_path: Path) -> None:
    """The client that was named waits until the others complain in its name, and is served under another primary."""
    with kept(tmp_path / "group") as group:

        async def body() -> None:
            async with Client.open(group.files.directory, "alice") as alice:
                await reports(alice, *EVERYBODY)
                await group.fault("byzantine 0 censor bob")
                assert (await alice.ask("add", 1, timeout=SECONDS)).value == 1
                assert [each["view"] for each in await level(alice, 1, 2, 3)] == [0, 0, 0]
                async with Client.open(group.files.directory, "bob") as bob:
                    assert (await bob.ask("add", 1, timeout=SECONDS)).value == 2
                told = await level(alice, 1, 2, 3)
                assert sum(each["view"] > 0 for each in told) >= group.files.group.quorums.weak

        run(body())
