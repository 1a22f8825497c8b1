"""A load on a group: how it goes, that it is bounded, and which operation it sends when nobody says which."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pbft.console.load import everyday_operation
from pbft.console.outcome import ExitCode, Failure
from pbft.machine import OperationSpec, StateMachine, describe, operation, query
from tests.console.groups import at_board
from tests.node.groups import until


class Shop(StateMachine):
    @operation
    def buy(self, account: str, amount: int, note: str = "") -> int:
        return amount

    @query
    def find(self, where: dict[str, int]) -> int:
        return len(where)

    @query
    def price(self, kind: str | None, count: int | None) -> int:
        return 0


SPECS = {spec.name: spec for spec in describe(Shop)}


def only(*names: str) -> dict[str, OperationSpec]:
    return {name: SPECS[name] for name in names}


def test_a_query_that_can_be_filled():
    """It changes nothing; texts become the client's name, numbers 1, and what may be left out is."""
    assert everyday_operation(SPECS, "alice") == ("price", "alice", "1")


def test_an_operation_where_no_query_will_do():
    """Something is to be seen also of an application that has no such query."""
    assert everyday_operation(only("buy", "find"), "alice") == ("buy", "alice", "1")


def test_nothing_will_do():
    """Then somebody must say."""
    for specs in (only("find"), {}):
        with pytest.raises(Failure, match="say which operation to send"):
            everyday_operation(specs, "alice")


def test_a_load_runs_beside_the_lines(tmp_path: Path):
    """It is sent under a session of its own until it is ended, and tells how it goes."""

    async def body() -> None:
        async with at_board(tmp_path) as (group, console):
            said = await console.submit(":load 500")
            assert said.lines == ("500 times a second from now on, as alice: read; :load off ends it",)
            await until(lambda: console.load is not None and console.load.answered >= 20)
            assert (await console.submit("read")).code is ExitCode.FINE
            load = console.load
            assert load is not None
            assert (load.rate, load.line, load.failed, load.rejected, load.trouble) == (500, "read", 0, 0, "")
            assert load.sent >= load.answered
            assert load.p50_ms is not None
            assert load.p99_ms is not None
            assert 0 < load.p50_ms <= load.p99_ms
            ended = await console.submit(":load off")
            assert "the load has ended" in ended.lines[0]
            assert console.load is None
            assert (await console.submit(":load off")).lines == ("there is no load",)
            assert max(group.executed()) >= 1

    asyncio.run(body())


def test_a_load_of_refusals_and_another_in_its_place(tmp_path: Path):
    """An answer that says no is an answer; the next load takes the place of the last."""

    async def body() -> None:
        async with at_board(tmp_path) as (_, console):
            await console.submit(":load 200 pin alice -1 'no money'")
            await until(lambda: console.load is not None and console.load.rejected >= 2)
            assert console.load is not None
            assert console.load.line == "pin alice -1 'no money'"
            await console.submit(":load 100 pin alice 1")
            await until(lambda: console.load is not None and console.load.answered >= 1)
            assert console.load.rejected == 0

    asyncio.run(body())


def test_a_load_without_answers_fails_and_does_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where nobody answers, as many as may be are on their way, and the others are counted and never sent."""
    monkeypatch.setattr("pbft.console.load.MAX_IN_FLIGHT", 8)

    async def body() -> None:
        async with at_board(tmp_path, 0, timeout=0.2) as (_, console):
            await console.submit(":load 1000 read")
            await until(lambda: console.load is not None and console.load.late > 0 and console.load.failed > 0)
            load = console.load
            assert load is not None
            assert load.in_flight <= 8
            assert load.answered == 0
            assert load.p50_ms is None
            assert "no 2 equal answers" in load.trouble
            ended = await console.submit(":load off")
            assert "too late to be sent" in ended.lines[1]

    asyncio.run(body())
