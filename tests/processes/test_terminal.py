"""The pseudo-terminal that other tests sit at, tried with tiny programs: it shows what a terminal would show."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.processes.terminal import Terminal, View, key

pytestmark = pytest.mark.processes

# Says its size when it changes, and the bytes of each key; "q" ends it.
ECHO = """
import os, signal, sys, tty
def told(*_):
    size = os.get_terminal_size(0)
    os.write(1, f"\\x1b[2J\\x1b[Hsize {size.columns}x{size.lines}\\r\\n".encode())
tty.setraw(0)
signal.signal(signal.SIGWINCH, told)
told()
while (data := os.read(0, 64)) != b"q":
    os.write(1, ascii(data).encode() + b"\\r\\n")
"""

# Starts a child in a session of its own, which ignores hangups, and waits for a line.
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
    "print('child is up', flush=True); time.sleep(600)"], start_new_session=True)
print("child", child.pid, flush=True)
sys.stdin.readline()
if len(sys.argv) > 1:
    child.kill()
    child.wait()
"""


def sit(program: str, tmp_path: Path, *words: str, columns: int = 100, lines: int = 30) -> Terminal:
    return Terminal([sys.executable, "-c", program, *words], tmp_path, os.environ, columns, lines)


def test_the_screen_is_what_a_terminal_would_show(tmp_path: Path):
    """Cursor movements, erasures and colours are obeyed, not shown; wide and drawn characters have their cells."""
    drawn = r"\x1b[2J\x1b[3;5Hhere\x1b[1;1H\x1b[31mred\x1b[0m │ ▁▂█\x1b[2;1Hgone\x1b[2K\x1b[5;1H"
    program = f"print('{drawn}', end='', flush=True); input()"
    with sit(program, tmp_path) as terminal:
        terminal.wait_for("here", "red")
        assert terminal.size == (100, 30)
        assert terminal.lines[:3] == ["red │ ▁▂█", "", "    here"]
        assert terminal.stable()[0] == "red │ ~"
        assert terminal.line_with("here") == "    here"
        terminal.press("enter")
        assert terminal.exit_code() == 0
        terminal.wait_alone()


def test_what_the_emulator_does_not_know_is_not_shown():
    """Private sequences about keyboards, mice, modes and strings leave nothing behind, wherever they are cut."""
    written = (
        b"\x1b[>1u\x1b[?1049h\x1b[?2026$p\x1b[<u\x1b[?1003h\x1b[?u\x1b[22;0t\x1b[2 q"
        b"\x1bP+q54\x1b\\\x1b_Gi=1;x\x1b\\\x1b]2;a title\x07\x1b[4;9H\xe2\x94\x82done"
    )
    for size in (1, 2, 3, len(written)):
        view = View(20, 5)
        for start in range(0, len(written), size):
            view.feed(written[start : start + size])
        assert [line.rstrip() for line in view.display] == ["", "", "", "        │done", ""], size


def test_keys_reach_the_program_as_xterm_sends_them(tmp_path: Path):
    """Letters, Enter, control and function keys, arrows with and without a modifier; a long text too."""
    with sit(ECHO, tmp_path) as terminal:
        terminal.wait_for("size 100x30")
        for name, sent in (
            ("f1", r"b'\x1bOP'"),
            ("f5", r"b'\x1b[15~'"),
            ("f10", r"b'\x1b[21~'"),
            ("ctrl+c", r"b'\x03'"),
            ("ctrl+q", r"b'\x11'"),
            ("enter", r"b'\r'"),
            ("shift+up", r"b'\x1b[1;2A'"),
            ("down", r"b'\x1b[B'"),
            ("pageup", r"b'\x1b[5~'"),
            ("alt+2", r"b'\x1b2'"),
            ("x", "b'x'"),
        ):
            terminal.press(name)
            terminal.wait_for(sent)
        terminal.press("q")
        assert terminal.exit_code() == 0
    with pytest.raises(KeyError):
        key("hyper+x")


def test_a_new_size_reaches_the_program_and_the_screen(tmp_path: Path):
    """It is told as by any terminal, and the screen has the new size."""
    with sit(ECHO, tmp_path, columns=90, lines=20) as terminal:
        terminal.wait_for("size 90x20")
        terminal.resize(80, 24)
        terminal.wait_for("size 80x24")
        assert terminal.size == (80, 24)
        assert len(terminal.lines) == 24


def test_ctrl_c_is_a_signal_where_the_program_left_it_one(tmp_path: Path):
    """The terminal is the command's own, as a person's shell gives it one."""
    program = "import time\ntry: print('ready', flush=True); time.sleep(600)\nexcept KeyboardInterrupt: print('heard')"
    with sit(program, tmp_path) as terminal:
        terminal.wait_for("ready")
        terminal.press("ctrl+c")
        terminal.wait_for("heard")
        assert terminal.exit_code() == 0


def test_a_wait_that_fails_shows_the_screen(tmp_path: Path):
    """What was wanted, and what was there instead; a command that ended is told at once."""
    with sit("print('something else', flush=True); input()", tmp_path) as terminal:
        terminal.wait_for("something else")
        with pytest.raises(AssertionError, match=r"never the screen shows 'the words':\nsomething else"):
            terminal.wait_for("the words", seconds=0.1)
        with pytest.raises(AssertionError, match="no line shows"):
            terminal.line_with("the words")
        terminal.press("enter")
        with pytest.raises(AssertionError, match="the command ended with 0 before the screen shows 'the words'"):
            terminal.wait_for("the words")


def test_waiting_for_a_match_and_for_words_to_go(tmp_path: Path):
    """A regular expression gives what it found, and a text may be waited away."""
    program = "print('number 17', flush=True); input(); print('\\x1b[2J', end='', flush=True); input()"
    with sit(program, tmp_path) as terminal:
        assert terminal.wait_match(r"number (\d+)")[1] == "17"
        assert terminal.stable()[0] == "number #"
        terminal.press("enter")
        terminal.wait_gone("number")


def test_every_process_that_a_command_leaves_is_found(tmp_path: Path):
    """One in a session of its own, too, that outlives its parent's death; and it does not outlive the test."""
    with sit(PARENT, tmp_path) as terminal:
        child = int(terminal.wait_match(r"child (\d+)")[1])
        terminal.wait_for("child is up")
        assert terminal.processes() == sorted([child, terminal.process.pid])
        os.kill(terminal.process.pid, signal.SIGKILL)
        assert terminal.exit_code() == -signal.SIGKILL
        terminal.wait_left([child])
        with pytest.raises(AssertionError, match=rf"\[{child}\] live, where \[\] should"):
            terminal.wait_alone(seconds=0.1)
    assert terminal.processes() == []


def test_a_command_that_cleans_up_is_alone(tmp_path: Path):
    """Nothing is left where the command saw to its child itself."""
    with sit(PARENT, tmp_path, "clean") as terminal:
        terminal.wait_for("child is up")
        terminal.press("enter")
        assert terminal.exit_code() == 0
        terminal.wait_alone()
