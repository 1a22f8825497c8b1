"""Faults on real processes: every verb does what it says and can be undone, and no end of anybody leaves one behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pbft.group_file import GroupFile, read_group
from pbft.lab.control import Control
from pbft.lab.faults import FaultError
from pbft.lab.kept import KeptGroup
from pbft.lab.making import make_group
from pbft.lab.processes import running
from pbft.lab.state import LabState, ReplicaState
from pbft.node.marks import holder, read_mark
from tests.processes.shell import SECONDS, Shell, interrupt, read_until, shell_in, wait_until

pytestmark = pytest.mark.processes

COUNTER = "pbft_apps.counter:Counter"

SPINNER = '''
"""An application that lives outside the project."""

from pbft import StateMachine, operation


class Spinner(StateMachine):
    @operation
    def spin(self) -> None:
        """Never return."""
        while True:
            pass
'''


class Group:
    """A kept group, and short ways to hurt it and look at it."""

    def __init__(self, kept: KeptGroup) -> None:
        self.kept = kept
        self.files: GroupFile = kept.files
        self.control = Control(kept.files)

    def do(self, words: str) -> str:
        """Do a fault."""
        return asyncio.run(self.control.fault(words.split()))

    def refuses(self, words: str) -> str:
        """Return why a fault cannot be."""
        with pytest.raises(FaultError) as caught:
            self.do(words)
        return str(caught.value)

    @property
    def state(self) -> LabState:
        """What the keeper tells now."""
        return asyncio.run(self.control.state())

    def replica(self, index: int) -> ReplicaState:
        """What it tells of one replica."""
        return self.state.replicas[index]


@contextmanager
def kept(directory: Path, liars: dict[int, str] | None = None) -> Iterator[Group]:
    """Make a group, start it through a keeper, and end it."""
    files = make_group(directory, COUNTER)
    with KeptGroup(files, liars=liars) as group:
        group.start("alice", note=False)
        yield Group(group)


def gone(pid: int) -> bool:
    """Say whether there is no such process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    with shell_in(tmp_path) as shell:
        shell.do("init", "g", "--app", COUNTER)
        yield shell


def test_processes_are_killed_paused_and_restarted(tmp_path: Path):
    """Each fault is seen in the state, counts against f, and is undone; what makes no sense is refused."""
    with kept(tmp_path / "group") as group:
        assert group.state.budget == (0, 1)
        pids = [each.pid for each in group.state.replicas]
        assert running(group.files) == dict(enumerate(pids))

        assert group.do("kill 3") == "replica 3 was killed"
        killed = group.replica(3)
        assert (killed.state, killed.pid, killed.exit_code) == ("killed", None, -signal.SIGKILL)
        assert holder(group.files.data(3)) is None
        assert group.state.faulty == ((3, "killed"),)
        for verb in ("kill", "pause", "resume"):
            assert group.refuses(f"{verb} 3") == "replica 3 does not run (killed); start it again: restart 3"

        assert group.do("pause 2") == "replica 2 is paused"
        assert (group.replica(2).state, group.state.budget) == ("paused", (2, 1))
        assert "is paused already" in group.refuses("pause 2")
        assert group.do("resume 2") == "replica 2 goes on"
        assert (group.replica(2).state, group.replica(2).pid) == ("running", pids[2])
        assert "is not paused" in group.refuses("resume 2")

        assert group.do("restart 3") == "replica 3 was restarted"
        again = group.replica(3)
        assert (again.state, again.restarted) == ("running", True)
        assert read_mark(group.files.data(3)) is not None
        assert running(group.files)[3] == again.pid != pids[3]
        # Its votes are forgotten with its process, as long as no store keeps them.
        assert group.state.faulty == ((3, "restarted: forgot its votes"),)

        # Running and paused ones are stopped first.
        group.do("restart 1")
        group.do("pause 0")
        group.do("restart 0")
        assert [each.state for each in group.state.replicas] == ["running"] * 4
        assert all(gone(pid) for pid in (pids[0], pids[1]) if pid is not None)
        assert "no replica 7" in group.refuses("kill 7")
    assert running(group.files) == {}


def test_a_replica_turns_byzantine_and_back(tmp_path: Path):
    """A liar takes the place under its keys, is known by its mark too, and gives it back; a wrong name does nothing."""
    with kept(tmp_path / "group", {1: "Silent"}) as group:
        assert list(group.state.faulty) == [(1, "lies: Silent")]
        before = group.replica(2).pid
        assert "no misbehaviour" in group.refuses("byzantine 2 equivocat")
        assert group.replica(2).pid == before
        assert group.do("byzantine 2 Equivocator") == "replica 2 lies from now on: Equivocator"
        assert list(group.state.faulty) == [(1, "lies: Silent"), (2, "lies: Equivocator")]
        mark = read_mark(group.files.data(2))
        assert mark is not None
        assert (mark.pid, mark.lies, mark.ready) == (group.replica(2).pid, "Equivocator", True)
        log = (group.files.data(2) / "log.jsonl").read_text().splitlines()
        colluders = [line.get("colluders") for line in map(json.loads, log) if line["event"] == "ready"]
        assert colluders == [None, [1, 2]]
        assert group.do("restart 2") == "replica 2 was restarted; it lies no more"
        assert group.replica(2).misbehaviour is None
        mark = read_mark(group.files.data(2))
        assert mark is not None
        assert mark.lies is None


def test_a_restart_that_fails(tmp_path: Path):
    """What hinders the new process is the refusal's sentence; with that out of the way it starts."""
    with kept(tmp_path / "group") as group:
        key = group.files.replica_key(2)
        key.rename(key.with_suffix(".away"))
        assert "replica 2 did not start: there is no key file" in group.refuses("restart 2")
        assert (group.replica(2).state, group.replica(2).exit_code) == ("ended", 2)
        key.with_suffix(".away").rename(key)
        assert group.do("restart 2") == "replica 2 was restarted"


def test_a_replica_by_hand_in_a_killed_ones_place(shell: Shell):
    """It is known by its mark, hurt like any other, and replaced by a restart."""
    control = Control(read_group(shell.directory / "g"))
    shell.do("up", "g", "--detach")
    asyncio.run(control.fault(["kill", "2"]))
    with shell.start("replica", "g", "2") as guest:
        read_until(guest, "answers clients")
        now = asyncio.run(control.state()).replicas[2]
        assert (now.pid, now.state, now.restarted) == (guest.pid, "running", True)
        asyncio.run(control.fault(["pause", "2"]))
        assert asyncio.run(control.state()).replicas[2].state == "paused"
        asyncio.run(control.fault(["resume", "2"]))
        assert asyncio.run(control.state()).replicas[2].state == "running"
        asyncio.run(control.fault(["restart", "2"]))
        assert guest.wait(SECONDS) == 0
        now = asyncio.run(control.state()).replicas[2]
        assert (now.pid not in (None, guest.pid), now.state) == (True, "running")
        asyncio.run(control.fault(["kill", "2"]))
    with shell.start("liar", "g", "2", "Silent") as guest:
        read_until(guest, "answers clients")
        assert asyncio.run(control.state()).faulty == ((2, "lies: Silent"),)
        asyncio.run(control.fault(["kill", "2"]))
        assert guest.wait(SECONDS) == -signal.SIGKILL
    assert asyncio.run(control.state()).faulty == ((2, "killed"),)


def test_nothing_outlives_a_killed_keeper(tmp_path: Path):
    """Neither replicas that run nor one that stands still; and the group can be started again at once."""
    with kept(tmp_path / "group") as group:
        group.do("pause 2")
        group.do("loss 10%")
        keeper, pids = holder(group.files.directory / "data"), list(running(group.files).values())
        assert (keeper is not None, len(pids)) == (True, 4)
        os.kill(keeper or 0, signal.SIGKILL)
        wait_until(lambda: all(gone(pid) for pid in pids))
        assert "start the group with pbft up" in group.refuses("heal")
    with KeptGroup(group.files) as again:
        again.start("alice", note=False)
        assert asyncio.run(Control(group.files).state()).links.calm
    assert running(group.files) == {}


def test_nothing_outlives_a_killed_keeper_even_where_an_operation_never_ends(shell: Shell):
    """Replicas that hang in an application's code hear nobody, and end all the same."""
    (shell.directory / "mine.py").write_text(SPINNER)
    shell.do("init", "spinning", "--app", "./mine.py")
    shell.do("up", "spinning", "--detach")
    pids = list(shell.running("spinning").values())
    assert shell.run("call", "spin", "--group", "spinning", "--timeout", "1").returncode == 3
    os.kill(holder(shell.directory / "spinning" / "data") or 0, signal.SIGKILL)
    wait_until(lambda: all(gone(pid) for pid in pids))


def test_nothing_outlives_a_killed_launcher(shell: Shell):
    """SIGKILL for an attached `up`: its keeper ends, and ends all it started, a paused and a restarted one too."""
    with shell.start("up", "g") as up:
        read_until(up, "run and answer")
        shell.do("fault", "pause", "1", "g")
        shell.do("fault", "restart", "3", "g")
        told = read_until(up, "restart 3")
        assert "pause 1: replica 1 is paused" in told
        keeper = holder(shell.directory / "g" / "data")
        pids = [*shell.running("g").values(), keeper or 0]
        up.kill()
        up.communicate(timeout=SECONDS)
    assert len(pids) == 5
    wait_until(lambda: all(gone(pid) for pid in pids))
    assert shell.running("g") == {}


def test_a_start_that_is_killed_leaves_nothing(shell: Shell):
    """Even a detached group ends when whoever starts it is gone before it was ready."""
    with shell.start("up", "g", "--detach") as up:
        wait_until(lambda: len(shell.running("g")) == 4)
        up.kill()
        up.communicate(timeout=SECONDS)
    wait_until(lambda: shell.running("g") == {} and holder(shell.directory / "g" / "data") is None)


def test_a_detached_group_goes_on(shell: Shell):
    """Whatever signals the terminal sends: its keeper and replicas are in a session that nobody there can reach."""
    with shell.start("up", "g", "--detach") as up:
        assert up.wait(SECONDS) == 0
        pids = [*shell.running("g").values(), holder(shell.directory / "g" / "data") or 0]
        assert len(pids) == 5
        assert all(os.getsid(pid) not in (os.getsid(0), up.pid) for pid in pids)
    assert shell.do("call", "add", "5", "--group", "g") == "5\n"
    assert shell.ask("fault", "pause", "1", "g")["said"] == "replica 1 is paused"
    assert shell.do("down", "g") == "stopped replicas 0, 1, 2 and 3\n"
    assert shell.running("g") == {}
    wait_until(lambda: all(gone(pid) for pid in pids))
    assert "no replica" in shell.do("down", "g")


def test_a_keeper_ends_when_nothing_is_left_to_keep(shell: Shell):
    """When all replicas were killed from outside; not when its own faults killed them."""
    shell.do("up", "g", "--detach")
    keeper = holder(shell.directory / "g" / "data") or 0
    control = Control(read_group(shell.directory / "g"))
    for replica in range(4):
        asyncio.run(control.fault(["kill", str(replica)]))
    assert asyncio.run(control.state()).budget == (4, 1)
    ran = shell.run("up", "g")
    assert (ran.returncode, "its keeper does, though no replica at this moment" in ran.stderr) == (2, True)
    # Without a folder the group is meant all the same.
    assert shell.do("fault", "restart", "0") == "replica 0 was restarted\n"
    for replica in range(1, 4):
        asyncio.run(control.fault(["restart", str(replica)]))
    assert shell.do("call", "value", "--group", "g") == "0\n"
    for pid in shell.running("g").values():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: gone(keeper))


def test_a_group_that_hangs_is_stopped_all_the_same(shell: Shell):
    """`down` asks a keeper that stands still, and then does without it."""
    shell.do("up", "g", "--detach")
    keeper = holder(shell.directory / "g" / "data") or 0
    os.kill(keeper, signal.SIGSTOP)
    assert shell.do("down", "g") == "stopped replicas 0, 1, 2 and 3\n"
    wait_until(lambda: gone(keeper))


def test_an_attached_group_that_is_stopped_from_elsewhere(shell: Shell):
    """`up` tells it, and ends with 0; when its keeper is killed it says so, and that was nobody's wish."""
    with shell.start("up", "g") as up:
        read_until(up, "run and answer")
        shell.do("down", "g")
        out, err = up.communicate(timeout=SECONDS)
    assert (up.returncode, err) == (0, "")
    assert out.endswith("no replica is left\n")
    with shell.start("up", "g") as up:
        read_until(up, "run and answer")
        os.kill(holder(shell.directory / "g" / "data") or 0, signal.SIGKILL)
        out, err = up.communicate(timeout=SECONDS)
    assert (up.returncode, "keeper was ended by SIGKILL" in err) == (70, True)
    wait_until(lambda: shell.running("g") == {})


def test_faults_at_the_command_line(shell: Shell):
    """Words, the group after them or by option, JSON; wrong ones are a sentence and exit code 2."""
    ran = shell.run("fault", "kill", "2", "g")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "no keeper looks after the group in" in ran.stderr
    with shell.start("up", "g") as up:
        read_until(up, "run and answer")
        assert shell.do("fault", "kill", "2", "g") == "replica 2 was killed\n"
        shown = shell.do("fault", "pause", "1", "--group", "g").splitlines()
        assert shown[0] == "replica 1 is paused"
        assert shown[1].startswith("2 are faulty, and the group survives 1: answers stay right, but")
        assert shell.do("fault", "resume", "1") == "replica 1 goes on\n"
        told = shell.ask("fault", "loss", "5%", "g")
        assert (told["fault"], told["state"]["links"]["loss"]) == ("loss 5%", [["*", "*", 5]])
        for words, says in (
            (("fault",), "say what is to fail"),
            (("fault", "kil", "2"), "there is no fault"),
            (("fault", "kill", "2", "nowhere"), "kill is written"),
        ):
            ran = shell.run(*words)
            assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1)
            assert says in ran.stderr
        (shell.directory / "mine.py").write_text(
            "from pbft.testing.byzantine import Adversary\nclass Mine(Adversary): pass\n"
        )
        other = shell.directory / "elsewhere"
        other.mkdir()
        (shell.directory / "mine.py").rename(other / "mine.py")
        here, shell.directory = shell.directory, other
        assert "lies from now on" in shell.do("fault", "byzantine", "2", "mine.py", "--group", str(here / "g"))
        shell.directory = here
        interrupt(up, signal.SIGINT)
        assert up.wait(SECONDS) == 0
    assert shell.running("g") == {}
    listed = shell.ask("fault", "--list")
    assert [each["fault"] for each in listed][:4] == ["kill", "pause", "resume", "restart"]
    assert "byzantine I HOW" in shell.do("fault", "--list")
