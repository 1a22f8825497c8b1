"""Where a lab leads what replicas say to each other: orders that are well formed, to this machine only."""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from pbft.group_file import Address
from pbft.net.transport import SocketAddress
from pbft.node.marks import Mark
from pbft.node.routes import Routes, detours_in_force, read_order, spell_order, write_detours
from tests.node.groups import write_files

WANTED = [Address("127.0.0.1", port) for port in (4000, 4001, 4002, 4003)]


def order(routes: object) -> bytes:
    return json.dumps({"routes": routes}).encode()


def test_an_order_is_what_was_spelled():
    """Both families, and the order to go back to the real addresses."""
    detours = {1: ("127.0.0.1", 40001), 3: ("::1", 40003, 0, 0)}
    line = spell_order(detours)
    assert line.endswith(b"\n")
    assert read_order(line, 4) == detours
    assert read_order(spell_order({}), 4) == {}


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"[]",
        b"\xff",
        b"{}",
        order(None),
        order([1]),
        order({"4": ["127.0.0.1", 4001]}),
        order({"-1": ["127.0.0.1", 4001]}),
        order({"x": ["127.0.0.1", 4001]}),
        order({"²": ["127.0.0.1", 4001]}),
        order({"9" * 5_000: ["127.0.0.1", 4001]}),
        order({"1": ["192.0.2.1", 4001]}),
        order({"1": ["localhost", 4001]}),
        order({"1": ["127.0.0.1", 0]}),
        order({"1": ["127.0.0.1", 65_536]}),
        order({"1": ["127.0.0.1", True]}),
        order({"1": ["127.0.0.1"]}),
        order({"1": ["127.0.0.1", 4001], "2": None}),
    ],
)
def test_what_is_no_order(line: bytes):
    """It changes nothing: not even what is right in it counts."""
    assert read_order(line, 4) is None


def test_detours_and_the_way_back():
    """A driver's own list follows: detours where there are some, the real addresses elsewhere and afterwards."""

    async def body() -> None:
        real: list[SocketAddress | None] = [("127.0.0.1", each.port) for each in WANTED]
        addresses = list(real)
        routes = Routes(WANTED, addresses, socket.AF_INET)
        routes.lead({})
        routes.lead({1: ("127.0.0.1", 5), 2: ("127.0.0.1", 6)})
        assert addresses == [real[0], ("127.0.0.1", 5), ("127.0.0.1", 6), real[3]]
        routes.lead({2: ("127.0.0.1", 7)})
        assert addresses == [real[0], real[1], ("127.0.0.1", 7), real[3]]
        routes.lead({})
        assert addresses == real
        routes.stop()

    asyncio.run(body())


def test_a_name_that_is_found_ends_no_detour():
    """Names are looked up again once the detours are over, and not before."""

    async def body() -> None:
        wanted = [WANTED[0], Address("localhost", 4001)]
        addresses: list[SocketAddress | None] = [("127.0.0.1", 4000), None]
        routes = Routes(wanted, addresses, socket.AF_INET)
        routes.lead({1: ("127.0.0.1", 5)})
        await asyncio.sleep(0)
        assert addresses[1] == ("127.0.0.1", 5)
        routes.lead({})
        for _ in range(3_000):
            await asyncio.sleep(0.01)
            if addresses[1] is not None:
                break
        routes.lead({0: ("127.0.0.1", 6)})
        assert addresses == [("127.0.0.1", 6), ("127.0.0.1", 4001)]
        routes.stop()

    asyncio.run(body())


def test_who_starts_later_reads_what_a_living_keeper_wrote(tmp_path: Path):
    """Without a keeper, or with what is damaged, a replica goes by the group's file."""
    files = replace(write_files(tmp_path / "group"), lab=True)
    folder = files.directory / "data"
    mark = Mark.take(folder)
    assert mark is not None
    write_detours(files, {0: {1: ("127.0.0.1", 5)}})
    assert detours_in_force(files, 0) == {}
    mark.note(keeps=True)
    assert detours_in_force(files, 0) == {1: ("127.0.0.1", 5)}
    assert detours_in_force(replace(files, lab=False), 0) == {}
    assert detours_in_force(files, 1) == {}
    for damage in ("{", "[]", "[" * 50_000, '{"0": {"1": ["192.0.2.1", 5]}}'):
        files.detours.write_text(damage)
        assert detours_in_force(files, 0) == {}
    write_detours(files, {})
    assert list(folder.glob("routes*")) == []
    mark.release()
    assert detours_in_force(files, 0) == {}


def test_who_has_no_keeper_for_a_parent_follows_what_one_writes(tmp_path: Path):
    """A replica by hand is led elsewhere and back while it runs."""

    async def body() -> None:
        files = replace(write_files(tmp_path / "group"), lab=True)
        mark = Mark.take(files.directory / "data")
        assert mark is not None
        mark.note(keeps=True)
        addresses: list[SocketAddress | None] = [("127.0.0.1", each.port) for each in WANTED]
        real = list(addresses)
        routes = Routes(WANTED, addresses, socket.AF_INET)
        routes.watch(files, 0)

        async def comes(wanted: list[SocketAddress | None]) -> None:
            for _ in range(3_000):
                if addresses == wanted:
                    return
                await asyncio.sleep(0.01)
            raise AssertionError(addresses)

        await asyncio.sleep(0)
        write_detours(files, {0: {1: ("127.0.0.1", 5)}})
        await comes([real[0], ("127.0.0.1", 5), *real[2:]])
        # A keeper that dies takes its detours with it, whatever it has written.
        mark.release()
        await comes(real)
        routes.stop()

    asyncio.run(body())
