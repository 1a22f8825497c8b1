"""The dashboard as a person sees it: real processes behind a terminal, and nothing known but what the screen says."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.shell import PBFT, Shell, shell_in
from tests.processes.terminal import Terminal

pytestmark = pytest.mark.processes

ROW = re.compile(r"^(?P<selected>▸| ) *(?P<id>\d)  (?P<role>primary|backup) +(?P<view>\d+) +(?P<executed>\d+) ")


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """Give a person's folder, and stop every group in it that is left running."""
    with shell_in(tmp_path) as found:
        yield found


def open_terminal(shell: Shell, *words: str, columns: int = 100, lines: int = 30) -> Terminal:
    """Start a command of pbft on a terminal."""
    return Terminal([*PBFT, *words], shell.directory, shell.environment, columns, lines)


def launched(shell: Shell) -> Terminal:
    """Launch a group of the ledger, and wait until all its replicas are ready."""
    terminal = open_terminal(shell, "launch")
    wait_ready(terminal)
    return terminal


def wait_ready(terminal: Terminal) -> None:
    terminal.wait_for("all 4 replicas are heard from")
    terminal.wait_until(lambda: len(rows(terminal)) == 4, "has a row for each replica")


def rows(terminal: Terminal) -> dict[int, re.Match[str]]:
    """The table's rows by replica, as far as they tell of views and sequences."""
    found = (ROW.match(line) for line in terminal.lines)
    return {int(match["id"]): match for match in found if match}


def row_of(terminal: Terminal, replica: int) -> str:
    """The table's line of a replica."""
    return next((line for line in terminal.lines if re.match(rf"^[▸ ] *{replica}  \S", line)), "")


def wait_row(terminal: Terminal, replica: int, words: str) -> None:
    """Wait until the table says something of a replica."""
    terminal.wait_until(lambda: words in row_of(terminal, replica), f"says {words!r} of replica {replica}")


def ask(terminal: Terminal, line: str, answer: str) -> None:
    """Enter a line, and wait for its answer right below it."""
    terminal.enter(line)
    told = re.compile(rf"^> {re.escape(line)}\n  {answer}$", re.MULTILINE)
    terminal.wait_until(lambda: bool(told.search(terminal.text)), f"answers {line!r} by {answer!r}")


def key_of(terminal: Terminal, words: str) -> str:
    """Return the function key that the help names for something, as far as it is on the screen."""
    match = re.search(rf"(F\d+) {words}", re.sub(r"\n\s*", " ", terminal.text))
    assert match is not None, f"the help names no key that {words}:\n{terminal.text}"
    return match[1].lower()


def leave(terminal: Terminal, *keys: str) -> None:
    """Leave, and see that nothing is left of the group, and that the command is content."""
    terminal.press(*keys)
    assert terminal.exit_code() == 0, terminal.text
    terminal.wait_alone()


def test_a_new_user_gets_through_everything_by_the_help_on_screen(shell: Shell):
    """Money is made and sent, the primary killed, a view changed, a lie told and proven: each step as the help says."""
    with open_terminal(shell, "launch") as terminal:
        terminal.wait_for("alice >", "F1 help")
        # The line works before the replicas do: what is typed is kept.
        terminal.type("suppl")
        terminal.wait_match(r"^alice > suppl$")
        terminal.press("tab")
        terminal.wait_match(r"^alice > supply\b")
        terminal.press("ctrl+c")
        wait_ready(terminal)

        terminal.press("f1")
        terminal.wait_match(r"^─ Help ")
        calls = re.split(" · ", terminal.wait_match(r"1 Ask\..*?: (.+)")[1])
        verbs = [call.split()[0] for call in calls]
        assert {"mint", "transfer", "balance"} <= set(verbs), calls
        for call in calls:
            ask(terminal, call.strip(), r"\d+")

        primary = int(terminal.wait_match(r"It is replica (\d)")[1])
        assert rows(terminal)[primary]["role"] == "primary"
        assert rows(terminal)[primary]["selected"] == "▸"
        terminal.press(key_of(terminal, "kills it"))
        wait_row(terminal, primary, "killed")
        terminal.wait_for("faults 1/1 used", f"replica {primary} killed")
        ask(terminal, calls[-1], r"\d+")
        terminal.wait_for("view 1 (primary 1)")

        terminal.press(key_of(terminal, "starts it again"))
        terminal.wait_for(f"replica {primary} was restarted")
        wait_row(terminal, primary, "ok")
        terminal.press(key_of(terminal, "lets the selected replica say two things"))
        wait_row(terminal, primary, "lying: equivocate")
        terminal.wait_for("faults 1/1 used")

        evidence = key_of(terminal, "shows who is proven guilty")
        lie_until_proven(terminal, primary, calls[1])
        terminal.press(evidence)
        terminal.wait_match(r"^─ Evidence ")
        terminal.wait_match(rf"replica {primary}\b.*\b(signed|lied|two)")
        terminal.press("escape")
        terminal.wait_match(r"^─ Help |^─ Events ")
        leave(terminal, "ctrl+q")


def lie_until_proven(terminal: Terminal, liar: int, call: str) -> None:
    """Ask until a correct replica holds proof; a lie needs a request that it is told about."""
    terminal.press("escape")
    terminal.wait_match(r"^─ Events ")
    proven = f"holds proof that replica {liar} lied"
    for _ in range(20):
        terminal.enter(call)
        terminal.wait_until(lambda: "waiting for an answer" not in terminal.text, "has every answer")
        if proven in terminal.text:
            return
    terminal.wait_for(proven)


def test_the_screen_at_rest(shell: Shell):
    """What an idle group of four looks like, moment and group aside: every part is in its place."""
    with launched(shell) as terminal:
        terminal.wait_for("the group runs")
        terminal.wait_for("op/s 0")
        lines = terminal.stable()
        assert re.match(r"^ Ledger  group \S+  n # f #  view # \(primary #\)  op/s #", lines[0]), lines[0]
        assert lines[1] == " faults #/# used  all # replicas are heard from"
        assert lines[2].startswith("─ id  role     view executed  stable  digest    memory  health ─")
        table = [re.sub(r"\b[0-9a-f]{8}\b +\d+ MiB", "DIGEST MEMORY", line) for line in terminal.lines[3:7]]
        assert table == [
            "▸  0  primary     0        0       0  DIGEST MEMORY  ok",
            "   1  backup      0        0       0  DIGEST MEMORY  ok",
            "   2  backup      0        0       0  DIGEST MEMORY  ok",
            "   3  backup      0        0       0  DIGEST MEMORY  ok",
        ]
        titles = [re.match(r"^─ (\w+)", line) for line in lines]
        assert [match[1] for match in titles if match] == ["id", "Messages", "Events", "Results"]
        assert lines[-3] == "alice >"
        assert "open, mint, transfer, transfer_all, balance" in lines[-2]
        assert lines[-1].startswith("F# help F# ")
        assert lines[-1].endswith(" ^Q quit")
        assert len(lines) == 30
        leave(terminal, "ctrl+q")


def test_ctrl_c_clears_a_line_and_twice_on_an_empty_one_leaves(shell: Shell):
    """One press never ends anything; the second within two seconds stops the group, and the exit code is 0."""
    with launched(shell) as terminal:
        replicas = shell.running("keys/local-ledger")
        assert set(replicas) == {0, 1, 2, 3}
        terminal.type("mint alice 5")
        terminal.wait_match(r"^alice > mint alice 5$")
        terminal.press("ctrl+c")
        terminal.wait_match(r"^alice >$")
        terminal.press("ctrl+c")
        terminal.wait_for("Ctrl-C once more stops the group and leaves")
        assert terminal.process.poll() is None
        leave(terminal, "ctrl+c")
        assert shell.running("keys/local-ledger") == {}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP], ids=["KILL", "TERM", "HUP"])
def test_no_end_of_the_dashboard_leaves_a_process(shell: Shell, number: signal.Signals):
    """Killed, asked to end, or with its terminal gone: the keeper and all replicas end too."""
    with launched(shell) as terminal:
        assert len(terminal.processes()) >= 6
        os.kill(terminal.process.pid, number)
        code = terminal.exit_code()
        assert code == -signal.SIGKILL if number is signal.SIGKILL else code in (0, 128 + number)
        terminal.wait_alone()
        assert shell.running("keys/local-ledger") == {}


def test_a_detached_group_goes_on_when_its_dashboard_is_left(shell: Shell):
    """A dashboard that did not start a group does not stop it, and says so; even killed, it takes nobody along."""
    shell.do("init", "mine")
    shell.do("up", "mine", "--detach")
    before = shell.running("mine")
    with open_terminal(shell, "dashboard", "mine") as terminal:
        wait_ready(terminal)
        ask(terminal, "supply", "0")
        assert terminal.processes() == [terminal.process.pid]
        terminal.press("ctrl+c")
        terminal.wait_for("the group goes on")
        leave(terminal, "ctrl+q")
    with open_terminal(shell, "dashboard", "mine") as terminal:
        wait_ready(terminal)
        terminal.process.kill()
        terminal.exit_code()
    assert shell.running("mine") == before
    assert shell.do("call", "supply", "--group", "mine").startswith("0\n")
    shell.do("down", "mine")


def test_a_group_that_does_not_run_is_started_and_stopped_again(shell: Shell):
    """`pbft dashboard DIR` is enough; with one that runs attached elsewhere, its owner alone stops it."""
    shell.do("init", "mine", "--client", "carol")
    with open_terminal(shell, "dashboard", "mine") as terminal:
        wait_ready(terminal)
        terminal.wait_match(r"^carol >")
        ask(terminal, "open carol", "0")
        with open_terminal(shell, "dashboard", "mine") as second:
            wait_ready(second)
            ask(second, "balance carol", "0")
            leave(second, "ctrl+q")
        ask(terminal, "supply", "0")
        leave(terminal, "ctrl+q")
    assert shell.running("mine") == {}


def test_it_stays_usable_at_80_by_24(shell: Shell):
    """Resized while it runs: each part is there, a line is answered; smaller it says what it needs, and comes back."""
    with launched(shell) as terminal:
        terminal.resize(80, 24)
        terminal.wait_match(r"^F1.*\^Q")
        terminal.wait_until(lambda: terminal.lines[-3].startswith("alice >"), "has its input line third from below")
        terminal.enter("open alice")
        terminal.wait_match(r"^  \d+ ms · sequence 1 · view 0 · replicas \d.* matched")
        terminal.wait_until(lambda: [match["executed"] for match in rows(terminal).values()] == ["1"] * 4, "shows it")
        assert all(re.search(f"^─ {title}", terminal.text, re.MULTILINE) for title in ("Messages", "Events", "Results"))
        assert max(map(len, terminal.lines)) <= 80
        terminal.resize(60, 20)
        terminal.wait_for("The dashboard needs 80 × 24; this terminal has 60 × 20.")
        terminal.resize(120, 40)
        terminal.wait_until(lambda: terminal.lines[-3].startswith("alice >"), "has its input line third from below")
        ask(terminal, "supply", "0")
        leave(terminal, "ctrl+q")


def test_lines_that_come_faster_than_they_run_stay_apart(shell: Shell):
    """Pasted or typed ahead, each line runs once, in its order, as it was typed."""
    with launched(shell) as terminal:
        # Answers come in any order: enough room for all of them, so that none pushes the last question off the screen.
        terminal.resize(120, 60)
        for line in ("open alice", "mint alice 7", "client bob", "open bob", "client alice", "transfer alice bob 3"):
            terminal.enter(line)
        ask(terminal, "balance bob", "3")
        ask(terminal, "supply", "7")
        terminal.send(b"\x1b[200~mint bob 1\r:pause 3\rbalance bob\r:resume 3\rbalan\x1b[201~")
        terminal.wait_match(r"^alice > balan\b")
        terminal.wait_until(
            lambda: re.search(r"^> balance bob\n  4\n(.*\n)+> :resume 3\n", terminal.text, re.M) is not None,
            "runs it all",
        )
        terminal.press("ctrl+c")
        leave(terminal, "ctrl+q")


def test_what_keys_do_becomes_a_script(shell: Shell):
    """Each key prints its command; recorded, the commands hurt and heal the group again when they are run."""
    with launched(shell) as terminal:
        terminal.enter(":record played.txt")
        terminal.press("shift+down", "ctrl+down")
        terminal.wait_until(lambda: row_of(terminal, 2).startswith("▸"), "has replica 2 selected")
        terminal.press("f6")
        terminal.wait_for("> :pause 2")
        wait_row(terminal, 2, "paused")
        terminal.press("f6")
        terminal.wait_for("> :resume 2")
        wait_row(terminal, 2, "ok")
        terminal.enter(":loss 5%")
        terminal.wait_match(r"^ faults .* network: ")
        ask(terminal, "supply", "0")
        terminal.press("f9")
        terminal.wait_for("> :heal")
        terminal.wait_gone("network: ")
        terminal.enter(":record off")
        terminal.wait_for("> :record off")
        played = shell.directory / "played.txt"
        # How long somebody took between two lines is recorded too, and depends on how busy the machine is.
        terminal.wait_until(
            lambda: (
                [line for line in played.read_text().splitlines() if not line.startswith(("#", ":wait"))]
                == [":pause 2", ":resume 2", ":loss 5%", "supply", ":heal"]
            ),
            "has recorded every line",
        )
        terminal.enter(":run played.txt")
        terminal.wait_match(r"\d+ lines done")
        wait_row(terminal, 2, "ok")
        terminal.wait_gone("network: ")
        leave(terminal, "ctrl+q")


def test_load_and_panels_on_their_keys(shell: Shell):
    """F3 makes load until it is pressed again; F2, F4 and F10 show what the bar below says, and take it away again."""
    with launched(shell) as terminal:
        terminal.press("f3")
        terminal.wait_for("load 200/s")
        terminal.wait_until(lambda: min(int(row["executed"]) for row in rows(terminal).values()) > 50, "shows progress")
        assert re.search(r"op/s [1-9]", terminal.lines[0])
        for name, title in (("f2", "Diagram"), ("f4", "Why"), ("f10", "Evidence"), ("f1", "Help")):
            terminal.press(name)
            terminal.wait_match(rf"^─ {title} ")
            terminal.press(name)
            terminal.wait_match(r"^─ Messages ")
        terminal.press("f3")
        terminal.wait_gone("load 200/s")
        leave(terminal, "ctrl+q")


def test_a_memo_cannot_drive_the_terminal(shell: Shell):
    """Escapes, titles, direction marks and markup that somebody stored appear as harmless text."""
    with launched(shell) as terminal:
        ask(terminal, "open alice", "0")
        memo = "\x1b]0;owned\x07\x1b[2J\u202egnp[bold red]x[/]"
        shell.do("call", "mint", "alice", "1", memo, "--group", "keys/local-ledger")
        terminal.enter("statement alice")
        terminal.wait_for("gnp[bold red]x[/]")
        text = terminal.text
        assert "Ledger" in terminal.lines[0]
        assert "\u202e" not in text
        assert "owned" not in terminal.title
        leave(terminal, "ctrl+q")
