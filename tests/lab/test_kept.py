"""Starting a group through a keeper: what hinders it is a sentence, and nothing is left running."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from pbft.group_file import GroupFile
from pbft.lab.kept import KeptGroup
from pbft.lab.making import make_group
from pbft.lab.processes import Child, running
from pbft.lab.starting import GroupStartError, Interrupted
from pbft.node.marks import holder, read_mark
from tests.processes.shell import wait_until


@pytest.fixture
def files(tmp_path: Path) -> GroupFile:
    return make_group(tmp_path / "group", "pbft_apps.counter:Counter")


def refusal(files: GroupFile) -> str:
    """Return why a group does not start, after which nothing of it runs."""
    with KeptGroup(files) as group, pytest.raises(GroupStartError) as caught:
        group.start("alice", note=False)
    wait_until(lambda: running(files) == {} and holder(files.directory / "data") is None)
    return str(caught.value)


def test_a_group_that_is_no_labs(files: GroupFile):
    """No keeper is started for it."""
    assert "is not one machine's to start" in refusal(replace(files, lab=False))
    assert not (files.directory / "data").exists()


@pytest.mark.processes
def test_what_hinders_a_start(files: GroupFile):
    """A port in use, a replica that cannot start, a folder that cannot be written."""
    address = files.client_addresses[2]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((address.host, address.port))
        assert f"port {address.port} on 127.0.0.1 is in use by another program" in refusal(files)
    files.replica_key(1).chmod(0o644)
    assert "replica 1 did not start: the key file" in refusal(files)
    (files.directory / "data").rename(files.directory / "away")
    (files.directory / "data").write_text("in the way")
    assert "nothing can be written to" in refusal(files)


@pytest.mark.processes
def test_a_start_that_is_interrupted(files: GroupFile):
    """Before its keeper has said a word, or while replicas come up: nothing is left."""
    with KeptGroup(files, interrupted=lambda: True) as group, pytest.raises(Interrupted):
        group.start("alice", note=False)
    assert running(files) == {}
    asked = False
    with KeptGroup(files, interrupted=lambda: asked) as group:
        group.spawn()
        asked = True
        with pytest.raises(Interrupted):
            asyncio.run(group.wait_ready("alice"))
    assert (running(files), holder(files.directory / "data")) == ({}, None)


@pytest.mark.processes
def test_news_of_a_group(files: GroupFile):
    """Whoever started it reads what its keeper tells: who has ended, and how; and that the keeper has, at the end."""
    with KeptGroup(files) as group:
        group.start("alice", note=False)
        group.news()
        assert group.state is not None
        assert [each.state for each in group.state.replicas] == ["running"] * 4
        assert (group.ended(), group.alive, group.exit_code) == ([], True, None)
        held = read_mark(files.directory / "data")
        assert held is not None
        assert held.keeps
        pids = running(files)
        os.kill(pids[1], signal.SIGTERM)
        os.kill(pids[2], signal.SIGKILL)
        wait_until(lambda: group.news() is not None and len(group.ended()) == 2)
        assert [(gone.id, gone.exit_code) for gone in group.ended()] == [(1, 0), (2, -signal.SIGKILL)]
        os.kill(pids[0], signal.SIGKILL)
        os.kill(pids[3], signal.SIGKILL)
        wait_until(lambda: not group.alive)
        assert group.exit_code == 0
        wait_until(lambda: group.news() is not None and group.fileno() is None)
        assert len(group.ended()) == 4


@pytest.mark.processes
def test_a_child_that_stands_still_holds_up_nobody(files: GroupFile):
    """Lines for it wait where its pipe is full, the newest only; once it goes on it reads them, and lives."""
    child = Child(files, 0)
    try:
        wait_until(lambda: (held := read_mark(files.data(0))) is not None and held.ready)
        child.send(signal.SIGSTOP)
        for _ in range(300):
            child.tell(b'{"routes": {}}' + b" " * 1_000 + b"\n")
        assert child.unsaid
        child.send(signal.SIGCONT)

        def said() -> bool:
            child.go_on_telling()
            return not child.unsaid

        wait_until(said)
        assert child.exit_code is None
        child.let_go()
        wait_until(lambda: child.exit_code == 0)
    finally:
        child.send(signal.SIGKILL)
        child.let_go()
        wait_until(lambda: child.exit_code is not None)


@pytest.mark.processes
def test_the_last_words_of_one_that_never_stopped_talking(files: GroupFile):
    """Only the end of its output is read, however much an application wrote there before."""
    child = Child(files, 0)
    child.send(signal.SIGKILL)
    wait_until(lambda: child.exit_code is not None)
    child.let_go()
    with (files.data(0) / "stderr").open("r+b") as output:
        # More than any machine could read at once; hardly any of it lies on the disk.
        output.seek(2**40)
        output.write(b"\nits last words\n\n")
    assert child.last_words() == "its last words"
