"""A replica as a process: how it starts, how it ends, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from pbft.client import Client
from pbft.core.replica import Replica
from pbft.group_file import GroupFile
from pbft.node.assembly import StartError
from pbft.node.driver import Driven
from pbft.node.marks import FILE_NAME, Mark, holder
from pbft.node.process import Occupant, Seat, run_replica
from tests.node.groups import write_files
from tests.node.processes import answering, start_replica, started


def wait_until_ready(files: GroupFile, replica: int, process: subprocess.Popen[str]) -> None:
    """Wait for the log's first line, which is written once the sockets are bound and signals are heard."""
    for _ in range(2_000):
        if (files.data(replica) / "log.jsonl").exists() and events(files, replica):
            return
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.01)
    raise AssertionError("the replica did not become ready")


def events(files: GroupFile, replica: int) -> list[dict[str, object]]:
    lines = (files.data(replica) / "log.jsonl").read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


@pytest.mark.processes
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_a_replica_cleanly(tmp_path: Path, how: signal.Signals):
    """Exit 0, nothing on standard error, its mark let go, and a log of structured lines from ready to stopped."""
    files = write_files(tmp_path / "group")
    process = start_replica(files.directory, 0)
    wait_until_ready(files, 0, process)
    assert holder(files.data(0)) == process.pid
    assert int((files.data(0) / FILE_NAME).read_text().split("\n")[0]) == process.pid

    process.send_signal(how)
    out, err = process.communicate(timeout=20)

    assert (process.returncode, out, err) == (0, "", "")
    assert holder(files.data(0)) is None
    assert (files.data(0) / FILE_NAME).read_text() == ""
    log = events(files, 0)
    assert (log[0]["event"], log[-1]["event"]) == ("ready", "stopped")
    assert all({"time", "level", "event"} <= set(line) for line in log)


@pytest.mark.processes
def test_a_replica_asked_to_ends_when_its_parent_is_gone(tmp_path: Path):
    """The end of its standard input is its own: even a parent that was killed leaves no replica behind."""
    files = write_files(tmp_path / "group")
    process = start_replica(files.directory, 0)
    wait_until_ready(files, 0, process)
    assert process.stdin is not None

    process.stdin.close()

    assert process.wait(timeout=20) == 0
    process.stdin = None
    process.communicate()


@pytest.mark.processes
def test_processes_answer_and_survive_a_killed_backup(tmp_path: Path):
    """With a backup killed, its port refusing by ICMP, calls still succeed; with two gone they time out and say who."""
    files = write_files(tmp_path / "group")

    async def body(running: dict[int, subprocess.Popen[str]]) -> None:
        async with Client.open(files.directory, "alice") as client:
            await answering(client, 4)
            assert await client.call("add", 5) == 5
            running[3].kill()
            running[3].wait()
            for total in range(6, 26):
                assert await client.call("add", 1) == total
            running[2].kill()
            running[2].wait()
            with pytest.raises(TimeoutError) as caught:
                await client.call("add", 1, timeout=2.0)
            heard = getattr(caught.value, "heard", {})
            assert [heard[2], heard[3]] == ["silent", "silent"]
            assert "silent" not in (heard[0], heard[1])

    with started(files) as running:
        asyncio.run(body(running))


@pytest.mark.processes
def test_hosts_may_have_names(tmp_path: Path):
    """Replicas and clients find each other by names as well as by numbers."""
    files = write_files(tmp_path / "group")
    files.path.write_text(files.path.read_text().replace("127.0.0.1:", "localhost:"))

    async def body() -> None:
        async with Client.open(files.directory, "alice") as client:
            await answering(client, 4)
            assert await client.call("add", 5, timeout=30.0) == 5

    with started(files):
        asyncio.run(body())


def test_a_port_in_use_is_a_sentence_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The address is named, and what to do; nothing was logged, and the mark is free again."""
    files = write_files(tmp_path / "group")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", files.client_addresses[1].port))

        assert run_replica(files.directory, 1) == 2

    said = capsys.readouterr().err
    assert said == (
        f"replica 1 cannot listen on {files.client_addresses[1]}: address already in use; "
        "stop what uses the port, or give the replica another address in group.toml\n"
    )
    assert not (files.data(1) / "log.jsonl").exists()
    assert holder(files.data(1)) is None


def _no_group(files: GroupFile) -> None:
    files.path.unlink()


def _no_key(files: GroupFile) -> None:
    files.replica_key(0).unlink()


def _open_key(files: GroupFile) -> None:
    files.replica_key(0).chmod(0o644)


def _anothers_key(files: GroupFile) -> None:
    files.replica_key(1).replace(files.replica_key(0))


def _no_application(files: GroupFile) -> None:
    files.path.write_text(files.path.read_text().replace("tally.py:Tally", "tally.py:Tolly"))


def _another_application(files: GroupFile) -> None:
    other = files.directory / "other.py"
    other.write_text(Path(__file__).with_name("tally.py").read_text().replace("class Tally", "class Other"))
    files.path.write_text(files.path.read_text().replace(files.application, f"{other}:Other"))


def _unwritable(files: GroupFile) -> None:
    (files.directory / "data").write_text("in the way")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_no_group, "there is no group in"),
        (_no_key, "there is no key file"),
        (_open_key, "chmod 600"),
        (_anothers_key, "is not the key of replica 0"),
        (_no_application, "Tolly"),
        (_another_application, "but the group agreed on Tally"),
        (_unwritable, "cannot write to"),
    ],
)
def test_what_hinders_a_start_is_one_sentence(tmp_path, capsys, spoil, words):
    """No traceback, one line on standard error, exit code 2."""
    files = write_files(tmp_path / "group")
    spoil(files)

    assert run_replica(files.directory, 0) == 2

    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_a_number_beyond_the_group_is_a_sentence(tmp_path, capsys):
    """There is no replica 4 of four."""
    files = write_files(tmp_path / "group")

    assert run_replica(files.directory, 4) == 2
    assert "its replicas are 0 to 3" in capsys.readouterr().err


def test_a_replica_runs_once(tmp_path, capsys):
    """However the other was started, one that runs already is not started again."""
    files = write_files(tmp_path / "group")
    mark = Mark.take(files.data(2))
    assert mark is not None

    assert run_replica(files.directory, 2) == 2

    said = capsys.readouterr().err
    assert said == f"replica 2 of {files.directory} is running already; stop it: pbft down {files.directory}\n"
    assert holder(files.data(2)) is not None
    mark.release()


def test_whoever_takes_the_seat_of_a_replica(tmp_path, capsys):
    """It gets the core, and may make others of the same replica, each on a machine of its own; or it cannot start."""
    files = write_files(tmp_path / "group")
    seen: list[tuple[Replica, Seat]] = []

    def take(replica: Replica, seat: Seat) -> Driven:
        seen.append((replica, seat))
        raise StartError("the seat is taken")

    assert run_replica(files.directory, 2, occupant=Occupant("nobody", take)) == 2

    assert capsys.readouterr().err == "the seat is taken\n"
    ((replica, seat),) = seen
    others = [seat.another(), seat.another()]
    assert {each.me for each in (replica, *others)} == {seat.me} == {2}
    assert len({id(each) for each in (replica, *others)}) == 3
    assert seat.key.public_key == files.group.members[2].public_key
    assert holder(files.data(2)) is None


def test_the_first_line_of_the_log_tells_who_took_the_seat(tmp_path):
    """An occupant's notes stand in the line that says that it is ready; a replica itself has none."""
    files = write_files(tmp_path / "group")

    def stop(_: str) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    assert run_replica(files.directory, 0, ready=stop, occupant=Occupant("somebody", notes={"lies": True})) == 0
    assert run_replica(files.directory, 0, ready=stop) == 0
    assert [line.get("lies") for line in events(files, 0) if line["event"] == "ready"] == [True, None]


def test_a_bug_ends_the_process_with_70_and_leaves_its_traceback_in_the_log(tmp_path, capsys, monkeypatch):
    """An error that no rule foresees stops the replica at once, and says where to look."""
    files = write_files(tmp_path / "group")

    def broken(self: Replica, now: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Replica, "tick", broken)

    assert run_replica(files.directory, 0) == 70

    assert capsys.readouterr().err == f"replica 0 stopped on an internal error; see {files.data(0) / 'log.jsonl'}\n"
    last = events(files, 0)[-1]
    assert (last["level"], last["event"]) == ("error", "failed")
    assert "ZeroDivisionError: a bug" in str(last["traceback"])
    assert holder(files.data(0)) is None
