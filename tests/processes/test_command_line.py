"""The command line with real replicas: the story of a group, as a person at a terminal lives it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pbft.group_file import read_group
from tests.processes.shell import SECONDS, Shell, interrupt, read_until, shell_in, wait_until

pytestmark = pytest.mark.processes

LEDGER = "pbft_apps.ledger:Ledger"
COUNTER = "pbft_apps.counter:Counter"

MINE = '''
"""Applications that live outside the project."""

import os

from pbft import StateMachine, operation, query


class Auction(StateMachine):
    highest: int = 0

    @operation
    def bid(self, amount: int) -> bool:
        """Bid; say whether it is the highest."""
        if amount <= self.highest:
            return False
        self.highest = amount
        return True

    @operation
    def drift(self) -> str:
        """Break the first rule: every replica comes to a state of its own."""
        self.highest = os.getpid()
        return "drifted"

    @query
    def shout(self) -> str:
        return "\\x1b[2J[red]gone[/red]"
'''


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """Give a shell with a detached ledger's group in `ledger`, where alice owns 100."""
    with shell_in(tmp_path_factory.mktemp("shell")) as shell:
        shell.do("init", "ledger", "--app", LEDGER)
        shell.do("up", "ledger", "--detach")
        assert shell.do("call", "mint", "alice", "100") == "100\n"
        yield shell


@pytest.fixture
def lone(tmp_path: Path) -> Iterator[Shell]:
    """Give a shell with applications in `mine.py`, and no group."""
    with shell_in(tmp_path) as shell:
        (tmp_path / "mine.py").write_text(MINE)
        yield shell


def refused(ran: subprocess.CompletedProcess[str], code: int, says: str) -> None:
    """One sentence on standard error, no traceback, nothing on standard output."""
    assert ran.returncode == code, ran
    assert says in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert ran.stdout == ""


def test_an_answer_in_json(shell: Shell):
    """A program reads the result, its place in the order, and who stands behind it."""
    answer = shell.ask("call", "balance", "bob")
    assert list(answer) == ["result", "view", "sequence", "timestamp", "matching", "needed", "ms"]
    assert (answer["result"], answer["view"], answer["timestamp"], answer["needed"]) == (0, 0, 1, 2)
    assert len(answer["matching"]) >= 2
    assert answer["sequence"] > 1


def test_an_explanation_in_words(shell: Shell):
    """A person reads the result first, then who answered, how many were needed, and who was late."""
    told = shell.do("call", "--explain", "balance", "bob").split("\n")
    assert told[0] == "0"
    assert "gave this answer" in told[1]
    assert re.search(r"2 equal ones, here after \d+ ms, are enough", told[2])


def test_the_status_of_all(shell: Shell):
    """Everybody answers, agrees on the state, and tells its process; --wait has nothing to wait for."""
    told = shell.ask("status", "ledger", "--wait")
    assert told["group"] == read_group(shell.directory / "ledger").group.id.hex()
    assert {each["id"]: each["pid"] for each in told["replicas"]} == shell.running("ledger")
    assert [each["role"] for each in told["replicas"]] == ["primary", "backup", "backup", "backup"]
    assert {each["health"] for each in told["replicas"]} == {"ok"}
    assert {each["stable_checkpoint"] for each in told["replicas"]} == {0}
    assert all(each["rss_bytes"] > 0 and type(each["ignored"]) is dict for each in told["replicas"])
    shown = shell.do("status")
    assert "4 of 4 answer; 3 are enough." in shown
    assert "Votes and state of replicas 0, 1, 2 and 3 are kept in memory only" in shown


def test_a_rejection(shell: Shell):
    """The application's own words, and a code of its own; the reason is one a program can read."""
    refused(shell.run("call", "transfer", "bob", "alice", "5"), 1, 'the account "bob" belongs to bob, not to alice')
    ran = shell.run("call", "mint", "--json", "alice", "-5")
    assert ran.returncode == 1
    assert '"outcome": "rejected"' in ran.stdout
    assert "an amount is at least 1, not -5" in ran.stdout


def test_replicas_judge_what_this_machine_cannot(shell: Shell):
    """Without the application's code here, words are taken for what they look like, and the group answers."""
    copy = shell.directory / "copy"
    text = (shell.directory / "ledger" / "group.toml").read_text()
    copy.mkdir(mode=0o700)
    (copy / "group.toml").write_text(text.replace(f'"{LEDGER}"', '"nosuchmodule:Ledger"').replace("lab = true", ""))
    (copy / "clients").mkdir(mode=0o700)
    (copy / "clients" / "bob.key").write_bytes((shell.directory / "ledger" / "clients" / "bob.key").read_bytes())
    (copy / "clients" / "bob.key").chmod(0o600)
    assert shell.do("call", "owner", "alice", "--group", "copy") == "alice\n"
    refused(
        shell.run("call", "ownr", "alice", "--group", "copy"), 2, 'no operation "ownr"; there are accounts, balance'
    )
    refused(shell.run("call", "owner", "5", "--group", "copy"), 2, "owner() needs account: str, got 5 (int)")
    refused(shell.run("up", "copy"), 2, "is not one machine's to start; run each replica where its key is")


def test_a_receipt_convinces_strangers(shell: Shell):
    """Whoever has group.toml checks it without asking anybody; another result, or another group, is not proven."""
    shell.do("call", "balance", "alice", "--receipt", "receipt.cbor", "--key", "bob")
    (shell.directory / "stranger").mkdir()
    public = shell.directory / "stranger" / "group.toml"
    public.write_bytes((shell.directory / "ledger" / "group.toml").read_bytes())
    told = shell.ask("verify", "receipt.cbor", "--group", "stranger")
    assert (told["valid"], told["client"], len(told["signers"])) == (True, "bob", 2)
    assert told["operations"][0]["operation"] == 'balance("alice")'
    assert "replicas" in shell.do("verify", "receipt.cbor", "--group", "stranger")
    content = bytearray((shell.directory / "receipt.cbor").read_bytes())
    content[-1] ^= 1
    (shell.directory / "bent.cbor").write_bytes(content)
    refused(shell.run("verify", "bent.cbor", "--group", "stranger"), 1, "only 1 of the 2 replicas it takes")
    shell.do("init", "other", "--app", LEDGER)
    refused(shell.run("verify", "receipt.cbor", "--group", "other"), 1, "the receipt belongs to another group")


def test_two_programs_with_one_key(shell: Shell):
    """Both get their own answers, in some order, and nothing is lost (design 4.2)."""
    shell.do("call", "open", "purse", "--key", "bob")
    before = shell.ask("call", "balance", "alice")["result"]
    words = ("call", "transfer", "alice", "purse", "5")
    with shell.start(*words) as one, shell.start(*words) as other:
        ended = [process.communicate(timeout=SECONDS) for process in (one, other)]
    assert (one.returncode, other.returncode) == (0, 0)
    assert sorted(int(out) for out, _ in ended) == [before - 10, before - 5]
    assert shell.do("call", "balance", "purse") == "10\n"


def test_a_group_runs_once(shell: Shell):
    """Neither a second `up`, nor a replica by hand, disturbs a group that runs."""
    before = shell.running("ledger")
    refused(shell.run("up", "ledger"), 2, "is running already (replicas 0, 1, 2, 3); stop it first: pbft down")
    refused(shell.run("replica", "ledger", "0"), 2, "replica 0 of ledger is running already")
    assert shell.running("ledger") == before


def test_a_replica_by_hand(lone: Shell):
    """Whoever starts replicas one by one sees them in `status`, and stops them with `down`, like any others."""
    lone.do("init", "g", "--app", COUNTER)
    with lone.start("replica", "g", "2") as process:
        wait_until(lambda: lone.running("g") == {2: process.pid})
        wait_until(lambda: '"health": "ok"' in lone.run("status", "g", "--json").stdout)
        ran = lone.run("up", "g", "--detach")
        refused(ran, 2, "is running already (replicas 2); start what is missing by itself: pbft replica")
        assert lone.do("down", "g") == "stopped replica 2\n"
        out, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, err) == (0, "")
    assert out.startswith("replica 2 answers clients at 127.0.0.1:")
    assert lone.running("g") == {}


def test_output_that_nobody_can_read(shell: Shell):
    """A locale without the letters, or a reader that has left, is no reason for a traceback."""
    ran = shell.run("status", "ledger", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert (ran.returncode, ran.stderr) == (0, "")
    with shell.start("apps", LEDGER) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode in (0, 141)


def test_killed_replicas(lone: Shell):
    """One of four may die at any time; two are one too many, and the call says who was silent."""
    lone.do("init", "g", "--app", COUNTER)
    lone.do("up", "g", "--detach")
    assert lone.ask("call", "add", "-5")["result"] == -5
    pids = lone.running("g")

    os.kill(pids[3], signal.SIGKILL)
    assert lone.ask("call", "add", "6")["result"] == 1
    told = lone.ask("status", "--wait")["replicas"]
    assert [each["health"] for each in told] == ["ok", "ok", "ok", "not running"]

    os.kill(pids[2], signal.SIGKILL)
    ran = lone.run("call", "add", "1", "--timeout", "2")
    refused(ran, 3, "replica 2: silent, replica 3: silent")
    # Too few were left to greet, so the request never left.
    assert "nothing was sent, so it is safe to try again" in ran.stderr
    assert lone.run("status").returncode == 3
    ran = lone.run("call", "add", "1", "--timeout", "2", "--json")
    assert (ran.returncode, '"2": "silent"' in ran.stdout, ran.stderr) == (3, True, "")

    assert "stopped replicas 0 and 1" in lone.do("down")
    assert lone.running("g") == {}
    assert "no replica" in lone.do("down", "g")


def test_a_call_that_is_interrupted(lone: Shell):
    """Ctrl-C ends a call that waits for ever, without a word."""
    lone.do("init", "g", "--app", COUNTER)
    public = lone.directory / "g" / "group.toml"
    public.write_text(public.read_text().replace("lab = true", "lab = false"))
    address = read_group(public.parent).client_addresses[0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((address.host, address.port))
        silent.settimeout(SECONDS)
        with lone.start("call", "value", "--group", "g", "--timeout", str(SECONDS)) as waiting:
            assert silent.recv(65_535)
            interrupt(waiting, signal.SIGINT)
            out, err = waiting.communicate(timeout=SECONDS)
    assert (waiting.returncode, out, err) == (130, "", "")


def test_an_application_from_outside(lone: Shell):
    """Whoever has a file of their own runs it attached, sees it diverge when it breaks the rules, and stops it."""
    lone.do("init", "g", "--app", "./mine.py:Auction")
    with lone.start("up", "g") as up:
        read_until(up, "replicas 0, 1, 2 and 3 run and answer")
        refused(lone.run("up", "g"), 2, "is running already")
        assert lone.do("call", "bid", "7") == "true\n"
        assert lone.do("call", "bid", "7") == "false\n"
        assert lone.do("call", "shout") == "\\u001b[2J[red]gone[/red]\n"
        refused(lone.run("call", "bid", "high"), 2, 'bid() needs amount: int, got "high"')
        assert lone.do("call", "drift") == "drifted\n"
        told = lone.run("status", "--wait")
        assert told.returncode == 4
        assert "report different states" in told.stdout
        assert re.search(r"pbft doctor \S+/g\n", told.stdout)
        os.kill(lone.running("g")[1], signal.SIGKILL)
        read_until(up, "replica 1 was ended by SIGKILL")
        interrupt(up, signal.SIGINT)
        interrupt(up, signal.SIGINT)
        out, err = up.communicate(timeout=SECONDS)
    assert (up.returncode, out, err) == (0, "stopping\n", "")
    assert lone.running("g") == {}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_replicas_end_with_whoever_started_them(lone: Shell, number: signal.Signals):
    """However an attached `up` ends, by a polite signal, a closed terminal or SIGKILL, no replica outlives it."""
    lone.do("init", "g", "--app", "./mine.py")
    with lone.start("up", "g") as up:
        read_until(up, "run and answer")
        assert len(lone.running("g")) == 4
        os.kill(up.pid, number)
        up.communicate(timeout=SECONDS)
    assert up.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    wait_until(lambda: lone.running("g") == {})


def test_starts_that_fail(lone: Shell):
    """A port in use, and an application that no longer imports: one sentence each, and nothing left running."""
    lone.do("init", "g", "--app", "./mine.py:Auction")
    address = read_group(lone.directory / "g").client_addresses[2]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((address.host, address.port))
        refused(lone.run("up", "g", "--detach"), 2, f"port {address.port} on 127.0.0.1 is in use by another program")
    (lone.directory / "mine.py").write_text("import nosuchmodule")
    refused(lone.run("up", "g"), 2, "did not start: mine.py does not import: ModuleNotFoundError")
    (lone.directory / "g" / "replica-1.key").chmod(0o644)
    (lone.directory / "mine.py").write_text(MINE)
    refused(lone.run("up", "g", "--detach"), 2, "replica 1 did not start: the key file")
    assert lone.running("g") == {}


def test_launch(lone: Shell):
    """A group is made where there is none; the banner's commands work when copied; Ctrl-C ends all of it with 0."""
    with lone.start("launch", COUNTER) as launched:
        banner = read_until(launched, "Ctrl-C stops all of it.")
        refused(lone.run("launch", COUNTER), 2, "is running already")
        commands = [line.strip() for line in banner.split("\n") if " call " in line or line.endswith(" status")]
        assert len(commands) == 4
        for line in commands:
            ran = subprocess.run(
                line,
                shell=True,
                cwd="/",
                env=lone.environment,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
            assert (ran.returncode, ran.stderr) == (0, ""), line
        interrupt(launched, signal.SIGINT)
        _, err = launched.communicate(timeout=SECONDS)
    assert (launched.returncode, err) == (0, "")
    assert lone.running("keys/local-counter") == {}
    members = read_group(lone.directory / "keys" / "local-counter").group.members
    assert all(member.public_key.hex()[:16] in banner for member in members)


def test_tour(lone: Shell):
    """It needs no terminal, tells every step in a line, and leaves no process and no file behind."""
    (lone.directory / "tmp").mkdir()
    ran = lone.run("launch", "--tour", TMPDIR=str(lone.directory / "tmp"))
    assert (ran.returncode, ran.stderr) == (0, "")
    for words in ("counter: 4 replicas", "ledger: 4 replicas", "rejected:", "SIGKILL", "verified offline", "2 needed"):
        assert words in ran.stdout
    assert list((lone.directory / "tmp").iterdir()) == []


def test_tour_interrupted(lone: Shell):
    """Ctrl-C in the middle of it ends it at once, with 130, and leaves nothing behind either."""
    lone.environment["TMPDIR"] = str(lone.directory / "tmp")
    (lone.directory / "tmp").mkdir()
    with lone.start("launch", "--tour") as tour:
        read_until(tour, "1. ")
        (group,) = (path.parent for path in (lone.directory / "tmp").rglob("group.toml"))
        pids = lone.running(str(group))
        interrupt(tour, signal.SIGINT)
        _, err = tour.communicate(timeout=SECONDS)
    assert (tour.returncode, err, len(pids)) == (130, "", 4)
    for pid in pids.values():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert list((lone.directory / "tmp").iterdir()) == []
