"""Scripts that a console runs, and sessions that it writes down."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

from pbft.console.outcome import ExitCode
from pbft.console.said import Said
from pbft.console.session import Console
from tests.console.groups import at_board, board_files


def codes(*said: Said) -> list[ExitCode]:
    return [each.code for each in said]


def test_a_script_ends_at_the_first_line_that_fails(tmp_path: Path):
    """With that line's code, and the line's number; what stands behind it is not run."""
    script = tmp_path / "script"
    script.write_text("# a story\npin alice 5\n\npin alice -1 x\npin alice 7 late\n")

    async def body() -> None:
        async with at_board(tmp_path) as (_, console):
            steps = [said async for said in console.steps(f":run {script}")]
            assert [said.line for said in steps] == ["pin alice 5", "pin alice -1 x", f":run {script}"]
            assert codes(*steps) == [ExitCode.FINE, ExitCode.REJECTED, ExitCode.REJECTED]
            assert steps[-1].lines == (f"{script}: line 4 failed",)
            assert (await console.submit("read")).lines[0] == ""
            merged = await console.submit(f":run {script}")
            assert merged.code is ExitCode.REJECTED
            assert merged.lines[0] == "5"
            assert merged.lines[-1] == f"{script}: line 4 failed"

    asyncio.run(body())


def test_a_script_that_goes_on(tmp_path: Path):
    """It ends with the code of the first line that failed."""
    script = tmp_path / "script"
    script.write_text("pim\npin alice -1\npin alice 7 late\n")

    async def body() -> None:
        async with at_board(tmp_path, keep_going=True) as (_, console):
            said = await console.submit(f":run {script}")
            assert said.code is ExitCode.USAGE
            assert said.lines[-1] == f"{script}: 2 lines, line 1 the first of them, failed"
            assert (await console.submit("read")).lines[0] == "late"

    asyncio.run(body())


def test_scripts_that_run_scripts(tmp_path: Path):
    """They may, but not without end: neither themselves, by whatever name, nor very deep."""
    loop, chain = tmp_path / "loop", [tmp_path / f"chain-{i}" for i in range(10)]
    loop.write_text(f":run {tmp_path}/./other\n")
    (tmp_path / "other").write_text(f":run {loop}\n")
    for one, other in itertools.pairwise(chain):
        one.write_text(f":run {other}\n")
    chain[-1].write_text("help\n")

    async def body() -> None:
        async with Console(board_files(tmp_path / "group"), "alice") as console:
            said = await console.submit(f":run {loop}")
            assert said.code is ExitCode.USAGE
            assert said.lines[0] == f"{loop} is running already; a script cannot run itself"
            said = await console.submit(f":run {chain[0]}")
            assert said.lines[0] == "scripts run each other at most 8 deep"
            assert (await console.submit(f":run {chain[2]}")).code is ExitCode.FINE

    asyncio.run(body())


def test_a_script_that_quits(tmp_path: Path):
    """Whoever ran it is to leave, and its other lines are not run."""
    script = tmp_path / "script"
    script.write_text("help\n:quit\nhelp nosuch\n")

    async def body() -> None:
        async with Console(board_files(tmp_path / "group"), "alice") as console:
            said = await console.submit(f":run {script}")
            assert (said.wish, said.code) == ("quit", ExitCode.FINE)

    asyncio.run(body())


def test_a_session_becomes_a_script(tmp_path: Path):
    """What was entered is written down: not what was never understood, nor what is for the screen only."""
    path = tmp_path / "session"

    async def body() -> None:
        async with at_board(tmp_path) as (_, console):
            assert (await console.submit(f":record {path}")).code is ExitCode.FINE
            assert str(console.recording) == str(path)
            for line in ("pin alice 5 'two words'", "pim", "help", ":clear", "pin alice -5", ":kill 9", "client bob"):
                await console.submit(line)
            (tmp_path / "other").write_text("pin alice 9 other\n")
            await console.submit(f":run {tmp_path}/other")
            assert (await console.submit(f":record {path}")).code is ExitCode.USAGE
            assert str(console.recording) == str(path)
            said = await console.submit(":record off")
            assert said.lines == (f"{path} has 4 lines; run it with :run {path}",)
            assert console.recording is None
            assert path.read_text().splitlines()[1:] == [
                "pin alice 5 'two words'",
                "pin alice -5",
                "client bob",
                f":run {tmp_path}/other",
            ]
            assert (await console.submit(":record off")).lines == ("nothing is being recorded",)
            # A rejection ends a script as it was entered.
            assert (await console.submit(f":run {path}")).code is ExitCode.REJECTED

    asyncio.run(body())
