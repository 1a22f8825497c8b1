"""`pbft shell` with real replicas: a story with calls and faults from a script, and a person at the prompt."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.shell import PBFT, SECONDS, Shell, shell_in
from tests.processes.terminal import Terminal

pytestmark = pytest.mark.processes

STORY = """
# One replica lies, another is killed and comes back; nobody who is right notices.
mint alice 100 'a \\x1b[31m memo'
:byzantine 3 wrong-reply
transfer alice bob 30
:restart 3
:wait ok
:kill 0
transfer alice bob 20
balance bob
:restart 0
:wait ok
:cut 1
balance alice
:heal
:wait ok
client bob
transfer bob alice 1
:load 50
:wait 0.5
:load off
:status
"""


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """Give a shell with a detached ledger's group in `ledger`."""
    with shell_in(tmp_path) as shell:
        shell.do("init", "ledger", "--app", "pbft_apps.ledger:Ledger")
        shell.do("up", "ledger", "--detach")
        yield shell


def pipe(shell: Shell, lines: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a shell that reads these lines from a pipe."""
    return subprocess.run(
        [*PBFT, "shell", *words],
        cwd=shell.directory,
        env=shell.environment,
        input=lines,
        capture_output=True,
        text=True,
        timeout=2 * SECONDS,
        check=False,
    )


def test_a_story(shell: Shell):
    """Calls and faults in one script: every verb does what it says, and the answers are right all along."""
    (shell.directory / "story").write_text(STORY)
    told = [json.loads(line) for line in shell.do("shell", "ledger", "--script", "story", "--json").splitlines()]
    assert {each["exit"] for each in told} == {0}, told
    results = {each["line"]: each["result"] for each in told if "result" in each}
    assert results == {
        "mint alice 100 'a \\x1b[31m memo'": 100,
        "transfer alice bob 30": 70,
        "transfer alice bob 20": 50,
        "balance bob": 50,
        "balance alice": 50,
        "transfer bob alice 1": 49,
    }
    # The view has left the primary that was killed.
    assert next(each for each in told if each["line"] == "balance bob")["view"] >= 1
    assert [each["health"] for each in told[-1]["replicas"]] == ["ok"] * 4
    assert shell.do("call", "balance", "alice") == "51\n"


def test_a_recording_plays_again(shell: Shell):
    """What one session wrote down another runs, and a script that fails ends as its line does."""
    ran = pipe(shell, ":record session\nmint alice 7\n:pause 2\nbalance alice\n:resume 2\n:wait ok\n:record off\n")
    assert (ran.returncode, ran.stderr) == (0, "")
    ran = pipe(shell, ":run session\nbalance alice\ntransfer bob alice 1\nmint alice 1\n")
    assert ran.returncode == 1
    assert ran.stdout.splitlines()[-1] == "14"
    assert ran.stderr == 'pbft: line 3: the account "bob" belongs to bob, not to alice\n'
    assert shell.do("call", "balance", "alice") == "14\n"


def test_a_liar_is_seen_to_differ(shell: Shell):
    """A backup that lies to clients is outvoted, whenever its lie comes, and whoever asks is told who it is."""
    with Terminal([*PBFT, "shell", "ledger"], shell.directory, shell.environment) as terminal:
        terminal.wait_for("alice>")
        terminal.enter("mint alice 5")
        terminal.wait_match("sequence .* matched")
        terminal.enter(":byzantine 3 wrong-reply")
        terminal.enter(":wait ok")
        # On a machine that is busy a lie may come later than the line that shows who answered.
        for number in range(1, 21):
            terminal.enter("balance alice")
            terminal.wait_match(rf"sequence {number + 1} .* matched")
            if terminal.shows("replica 3 differed"):
                break
        assert "replicas 0, 1 and 2 matched" in terminal.line_with("replica 3 differed")
        terminal.press("ctrl+d")
        assert terminal.exit_code() == 0
    told = [shell.do("call", "--explain", "balance", "alice") for _ in range(3)]
    assert any("replica 3 answered something else, and was outvoted" in each for each in told)
    assert {each.split("\n")[0] for each in told} == {"5"}


def test_a_person_at_the_prompt(shell: Shell):
    """Tab completes, Ctrl-C clears a line and ends a wait, answers say how they came, and Ctrl-D leaves."""
    (shell.directory / "patience").write_text("help supply\n:wait 1000\n")
    with Terminal([*PBFT, "shell", "ledger"], shell.directory, shell.environment) as terminal:
        terminal.wait_for("alice>")
        terminal.enter("mi\tal\t5 'first'")
        terminal.wait_for("alice> mint alice 5 'first'", "matched")
        terminal.type("transfer alice bob 99")
        terminal.wait_for("alice> transfer alice bob 99")
        terminal.press("ctrl+c")
        terminal.wait_for("^C")
        terminal.enter(":run patience")
        terminal.wait_for("all the money there is")
        terminal.press("ctrl+c")
        terminal.wait_for("nobody waits for it any more")
        terminal.enter("balance alice")
        terminal.wait_for("alice> balance alice", "sequence 2")
        # At the prompt: before it, the terminal itself would take the key.
        terminal.wait_match(r"^alice> *$")
        terminal.press("ctrl+d")
        assert terminal.exit_code() == 0
    assert shell.do("call", "balance", "alice") == "5\n"
    # What was cleared is not kept.
    assert (shell.directory / "state" / "pbft" / "history").read_text().splitlines() == [
        "mint alice 5 'first'",
        ":run patience",
        "balance alice",
    ]
