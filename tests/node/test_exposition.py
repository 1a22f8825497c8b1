"""Metrics over HTTP: what is told, how it is served, and that whoever asks cannot disturb a replica."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pbft.client import Client
from pbft.core.effects import Cause, Reason
from pbft.group_file import Address, GroupFile, read_group, write_group
from pbft.net.drops import Drop
from pbft.node import exposition as served
from pbft.node.assembly import StartError
from pbft.node.exposition import HEAD_BYTES, KEPT_MS, MOST_CONNECTIONS, Exposition, open_exposition
from tests.node.groups import running, until, write_files
from tests.node.processes import answering, start_replica, started
from tests.node.scraping import Page, ask, connected, scrape


def free_ports(count: int) -> int:
    """Return the first of some TCP ports in a row that nobody listens on."""
    for base in range(20_000, 30_000, count):
        try:
            for port in range(base, base + count):
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return base
    raise AssertionError("there are no free ports")


def with_metrics(directory: Path) -> GroupFile:
    """Make a group whose replicas show their metrics."""
    files = write_files(directory)
    files.path.unlink()
    write_group(replace(files, metrics=Address("127.0.0.1", free_ports(files.group.n))))
    return read_group(directory)


@contextlib.asynccontextmanager
async def serving(
    render: Callable[[], bytes], clock_ms: Callable[[], int] = lambda: 0, seconds: float = 20.0
) -> AsyncIterator[Exposition]:
    exposition = Exposition(render, clock_ms, seconds)
    await exposition.listen("127.0.0.1", 0)
    try:
        yield exposition
    finally:
        await exposition.close()


def test_a_replica_tells_where_it_stands_and_what_it_did(tmp_path: Path):
    """After calls the page shows that replica's sequences, operations by outcome, latencies, traffic and memory."""

    async def body() -> None:
        files = with_metrics(tmp_path / "group")
        async with running(files) as group, Client.open(files.directory, "alice") as alice:
            exposition = await open_exposition(files, group.drivers[0])
            assert exposition is not None
            try:
                for _ in range(6):
                    await alice.call("add", 1)
                await until(lambda: group.drivers[0].replica.status().executed == 6)
                page = await scrape(exposition.port)
            finally:
                await exposition.close()
            assert page.status == 200
            assert page.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
            assert page.headers["content-length"] == str(len(page.body.encode()))
            expect_six_calls(page, files)

    asyncio.run(body())


def expect_six_calls(page: Page, files: GroupFile) -> None:
    """Check what a primary says that executed six operations of one client, each in a batch of its own."""
    assert page.value("pbft_executed_sequence") == 6
    assert page.value("pbft_batches_total") == page.value("pbft_requests_total") == 6
    assert page.value("pbft_operations_total", outcome="ok") == 6
    assert page.value("pbft_operations_total", outcome="failed") == 0
    assert page.value("pbft_high_watermark_sequence") == files.group.limits.log_size
    assert (page.value("pbft_view"), page.value("pbft_primary"), page.value("pbft_group_faults")) == (0, 1, 1)
    assert page.value("pbft_replica_info", application="Tally", group=files.group.id.hex(), replica="0") == 1
    for phase in ("prepare", "commit", "execution"):
        assert page.value("pbft_phase_duration_seconds_count", phase=phase) == 6
        assert page.value("pbft_phase_duration_seconds_bucket", phase=phase, le="+Inf") == 6
    assert page.value("pbft_request_duration_seconds_count") == 6
    assert 0 < page.value("pbft_request_duration_seconds_sum") < 60
    for socket_name in ("replicas", "clients"):
        assert page.value("pbft_datagrams_received_total", socket=socket_name) > 0
        assert page.value("pbft_sent_bytes_total", socket=socket_name) > 0
        assert page.value("pbft_queued_messages", socket=socket_name) >= 0
        assert page.value("pbft_receive_buffer_bytes", socket=socket_name) > 0
    assert page.value("pbft_messages_received_total") > 0
    assert page.value("pbft_resident_memory_bytes") > 1_000_000


def test_names_and_labels_follow_the_conventions_and_are_all_there_from_the_start(tmp_path: Path):
    """Every cause, reason, culprit and outcome is a series at 0 already, and no name or label is any message's."""

    async def body() -> None:
        files = with_metrics(tmp_path / "group")
        async with running(files, 2) as group:
            exposition = await open_exposition(files, group.drivers[2])
            assert exposition is not None
            try:
                page = await scrape(exposition.port)
            finally:
                await exposition.close()
        families = list(page.families())
        assert all(family.name.startswith("pbft_") for family in families)
        assert all(family.documentation for family in families)
        told = page.samples()
        for family in families:
            for sample in family.samples:
                if family.type == "counter":
                    assert sample.name.endswith("_total"), sample
                assert set(sample.labels) <= {
                    *("reason", "cause", "culprit", "outcome", "phase", "le", "socket"),
                    *(("replica", "group", "application") if family.name == "pbft_replica_info" else ()),
                }
        assert {labels[0][1] for name, labels in told if name == "pbft_ignored_total"} == {
            each.value for each in (*Drop, *Reason)
        }
        assert {labels[0][1] for name, labels in told if name == "pbft_view_changes_total"} == {
            cause.name.lower() for cause in Cause
        }
        assert [told["pbft_evidence_total", (("culprit", str(each)),)] for each in range(4)] == [0, 0, 0, 0]

    asyncio.run(body())


def test_one_text_serves_all_for_a_moment():
    """However often somebody asks, the replica makes a text every so often only; then a new one."""

    async def body() -> None:
        made: list[int] = []
        now_ms = 0

        def render() -> bytes:
            made.append(now_ms)
            return f"text {len(made)}\n".encode()

        async with serving(render, lambda: now_ms) as exposition:
            bodies = [(await scrape(exposition.port)).body for _ in range(5)]
            now_ms = KEPT_MS - 1
            bodies.append((await scrape(exposition.port)).body)
            assert bodies == ["text 1\n"] * 6
            now_ms = KEPT_MS
            assert (await scrape(exposition.port)).body == "text 2\n"
            assert made == [0, KEPT_MS]

    asyncio.run(body())


def test_only_one_page_is_there_and_nothing_can_be_changed():
    """Other paths and methods get a status and a sentence; what is no HTTP too."""

    async def body() -> None:
        async with serving(lambda: b"a 1\n") as exposition:
            port = exposition.port
            missing = await scrape(port, "/")
            assert (missing.status, missing.body) == (404, "The metrics of this replica are at /metrics\n")
            refused = await scrape(port, method="POST")
            assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")
            head = await scrape(port, method="HEAD")
            assert (head.status, head.headers["content-length"], head.body) == (200, "4", "")
            assert (await scrape(port, "/metrics?name[]=x")).body == "a 1\n"
            for garbage in (b"\r\n\r\n", b"\xff\xfe\r\n\r\n", b"GET /metrics\r\n\r\n", b"GET /metrics SSH-2\r\n\r\n"):
                assert (await ask(port, garbage)).startswith(b"HTTP/1.1 400 ")
            assert await ask(port, b"A" * (HEAD_BYTES * 3)) == b""

    asyncio.run(body())


def test_who_asks_slowly_is_cut_off_and_holds_few_places():
    """Connections that say nothing take all places, one more is refused at once; when their time is up, all is well."""

    async def body() -> None:
        async with serving(lambda: b"a 1\n", seconds=0.5) as exposition, contextlib.AsyncExitStack() as silent:
            for _ in range(MOST_CONNECTIONS):
                await silent.enter_async_context(connected(exposition.port))
            await until(lambda: len(exposition._open) == MOST_CONNECTIONS)
            with pytest.raises(ConnectionError):
                await scrape(exposition.port)
            await until(lambda: not exposition._open)
            assert (await scrape(exposition.port)).body == "a 1\n"

    asyncio.run(body())


def test_who_does_not_read_is_cut_off_too():
    """A text larger than every buffer between the two waits for its reader no longer than a connection may last."""

    async def body() -> None:
        text = b"a" * 64_000_000
        async with serving(lambda: text, seconds=0.5) as exposition, connected(exposition.port) as (_, writer):
            writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
            await until(lambda: len(exposition._open) == 1)
            await until(lambda: not exposition._open)

    asyncio.run(body())


def test_closing_waits_for_nobody():
    """A replica that stops does not wait for a scraper that never asks."""

    async def body() -> None:
        exposition = Exposition(lambda: b"", connection_seconds=3_600)
        await exposition.listen("127.0.0.1", 0)
        async with connected(exposition.port) as (reader, _):
            await until(lambda: len(exposition._open) == 1)
            async with asyncio.timeout(20):
                await exposition.close()
            assert await reader.read() == b""

    asyncio.run(body())


def test_a_port_in_use_is_said_in_one_sentence(tmp_path: Path):
    """Which replica, which address, and what to do."""

    async def body() -> None:
        files = with_metrics(tmp_path / "group")
        address = files.metrics_address(1)
        assert address is not None
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind((address.host, address.port))
            taken.listen()
            async with running(files, 1) as group:
                with pytest.raises(StartError) as caught:
                    await open_exposition(files, group.drivers[1])
        assert str(caught.value) == (
            f"replica 1 cannot show its metrics on {address}: address already in use; "
            "stop what uses the port, or write another base_port under [metrics] in group.toml"
        )

    asyncio.run(body())


def test_without_the_package_a_replica_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """One sentence, and no start: metrics that were asked for must not be missed on the day they are needed."""
    monkeypatch.setattr(served, "_PACKAGE", "prometheus_client_that_nobody_installed")

    async def body() -> None:
        files = with_metrics(tmp_path / "group")
        async with running(files, 0) as group:
            with pytest.raises(
                StartError, match=r"pip install 'pbft\[metrics\]', or take \[metrics\] out of .*group.toml"
            ):
                await open_exposition(files, group.drivers[0])
        plain = write_files(tmp_path / "plain")
        async with running(plain, 0) as group:
            assert await open_exposition(plain, group.drivers[0]) is None

    asyncio.run(body())


def test_nothing_of_the_package_is_loaded_unless_metrics_are_wanted():
    """It is an extra: a replica's process imports without it."""
    program = "import sys, pbft.node.process; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0


@pytest.mark.processes
def test_real_replicas_are_scraped_and_agree(tmp_path: Path):
    """Four processes, each on its own port: after calls and a checkpoint all tell of the same sequences."""
    files = with_metrics(tmp_path / "group")

    async def body() -> None:
        async with Client.open(files.directory, "alice") as alice:
            await answering(alice, 4)
            for _ in range(5):
                await alice.call("add", 1)
            assert files.metrics is not None
            pages = [await scrape(files.metrics.port + i) for i in range(4)]
            while {page.value("pbft_executed_sequence") for page in pages} != {5}:
                await asyncio.sleep(0.3)
                pages = [await scrape(files.metrics.port + i) for i in range(4)]
        assert [page.value("pbft_primary") for page in pages] == [1, 0, 0, 0]
        assert {page.value("pbft_phase_duration_seconds_count", phase="commit") for page in pages} == {5}

    with started(files) as processes:
        asyncio.run(body())
        for process in processes.values():
            process.terminate()
        assert [process.wait(timeout=20) for process in processes.values()] == [0, 0, 0, 0]


@pytest.mark.processes
def test_a_process_whose_metrics_port_is_taken_does_not_start(tmp_path: Path):
    """Exit 2 and one sentence, like every other start that fails; nothing of it stays."""
    files = with_metrics(tmp_path / "group")
    address = files.metrics_address(0)
    assert address is not None
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((address.host, address.port))
        taken.listen()
        process = start_replica(files.directory, 0)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert err.startswith(f"replica 0 cannot show its metrics on {address}: ")
    assert err.count("\n") == 1
