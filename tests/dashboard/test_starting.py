"""A group that this program starts itself, as long as none of its replicas was heard."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator

from pbft.console.history import History
from pbft.console.session import Console
from pbft.dashboard.app import Dashboard
from pbft.dashboard.widgets.header import HeaderPane
from pbft.dashboard.widgets.table import ReplicaTable
from pbft.errors import PbftError
from pbft.group_file import GroupFile
from tests.dashboard.screens import Event, finish


def test_before_a_replica_is_heard_the_group_that_is_started_is_starting(ledger: GroupFile) -> None:
    """Nobody who has only just been started is called silent; once the start has failed, all are."""

    async def story() -> None:
        ready = threading.Event()

        def begin() -> None:
            ready.wait()
            raise PbftError("port 4711 is taken; choose another")

        async def silence() -> AsyncGenerator[Event, None]:
            await asyncio.Event().wait()
            yield {}

        async with Console(ledger, "alice") as console:
            app = Dashboard(ledger, console, silence, History(ledger.directory / "none"), True, begin)
            async with app.run_test(size=(100, 30)) as pilot:
                try:
                    app.draw()
                    assert "faults 0/1 used  starting" in app.query_one(HeaderPane).shown
                    assert app.query_one(ReplicaTable).shown.count("starting") == 4
                finally:
                    ready.set()
                await finish(app, pilot)
                app.draw()
                assert "0 of 4 replicas are heard from" in app.query_one(HeaderPane).shown
                assert app.query_one(ReplicaTable).shown.count("no answer") == 4

    asyncio.run(story())
