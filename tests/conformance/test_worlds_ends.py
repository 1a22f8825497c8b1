"""However a check ends, its processes end with it; what an application does at its import or beside does no harm."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pbft.conformance.findings import Rule
from pbft.conformance.worlds import Worlds
from pbft.lab.processes import python_environment
from tests.conformance.plants import steps_of, write_application

pytestmark = pytest.mark.processes

HANGING = """
import os, time

class Hanging(StateMachine):
    @operation
    def work(self, pipe: str) -> int:
        # Whoever reads the other end sees that it began, and, when it closes, that nothing of it is left.
        self._open = os.open(pipe, os.O_WRONLY)
        os.write(self._open, b"x")
        if os.fork() == 0:
            while True:
                time.sleep(1000)
        while True:
            pass
"""

CHECK = """
import sys
from pbft.conformance.steps import Step
from pbft.conformance.subject import Subject
from pbft.conformance.worlds import Worlds
try:
    with Worlds(Subject.of(sys.argv[1]), [], patience_s=600) as worlds:
        worlds.attempt([Step.call("alice", 1, "work", (sys.argv[2],))])
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_no_process_outlives_the_one_that_checks(number: int, code: int, tmp_path: Path):
    """Ctrl-C or sudden death, in the midst of an operation that hangs and has forked: all of it ends."""
    subject, pipe = write_application(tmp_path, HANGING), tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with subprocess.Popen(
            [sys.executable, "-c", CHECK, subject.spec, str(pipe)],
            # What a sudden death leaves behind lies in the test's own folder.
            env={**python_environment(), "TMPDIR": str(tmp_path)},
            process_group=0,
        ) as checking:
            begun = b""
            while len(begun) < 3:
                select.select([reading], [], [])
                begun += os.read(reading, 16)
            checking.send_signal(number)
            assert checking.wait() == code
        # Every process that had the pipe open is gone when reading it comes to its end.
        while True:
            select.select([reading], [], [])
            if not os.read(reading, 16):
                break
    finally:
        os.close(reading)


def test_an_application_that_prints_and_starts_threads_at_its_import_is_checked_all_the_same(tmp_path: Path):
    """With warnings as errors too, which in Python 3.12 and later a fork beside threads would be."""
    subject = write_application(
        tmp_path,
        """
        import os, sys, threading, warnings
        print("hello", flush=True)
        os.write(1, b"hello")
        threading.Thread(target=threading.Event().wait, daemon=True).start()

        class Loud(StateMachine):
            @operation
            def work(self, word: str) -> int:
                print(word, file=sys.stderr)
                sys.stdout.write("x" * 100_000)
                return len(word)
        """,
    )
    code = CHECK.replace("worlds.attempt(", "print(worlds.attempt(").replace("(sys.argv[2],))])", "(sys.argv[2],))]))")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, subject.spec, "word"],
        env={**python_environment(), "PYTHONWARNINGS": "error"},
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "finding=None" in done.stdout
    assert "starts a thread" in done.stdout
    assert "hello" not in done.stdout


def test_after_a_crash_the_next_attempt_is_like_any_other(tmp_path: Path):
    source = """
    import os

    class Fragile(StateMachine):
        @operation
        def work(self, word: str) -> int:
            if word == "crash":
                os.kill(os.getpid(), 11)
            return len(word)
    """
    well, crash = steps_of([("a", "work", "well")]), steps_of([("a", "work", "well"), ("a", "work", "crash")])
    with Worlds(write_application(tmp_path, source)) as worlds:
        attempts = [worlds.attempt(steps) for steps in (well, crash, well, crash)]

    assert [each.finding and each.finding.rule for each in attempts] == [None, Rule.ENDS_THE_PROCESS] * 2
    assert attempts[1].finding is not None
    assert attempts[1].finding.sentence == 'work("crash") ends the process by SIGSEGV'
    assert len(attempts[1].results) == 1
    assert attempts[0] == attempts[2]


def test_many_slow_operations_are_not_taken_for_one_that_does_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them take longer than anybody waits for a process that says nothing, and each of them far less."""
    subject = write_application(
        tmp_path,
        """
        import time

        class Slow(StateMachine):
            @operation
            def work(self) -> int:
                time.sleep(0.25)
                return 0
        """,
    )
    monkeypatch.setattr("pbft.conformance.worlds._MARGIN_S", -8.0)
    with Worlds(subject) as worlds:
        came = worlds.attempt(steps_of([("alice", "work")] * 10))

    assert came.finding is None
    assert len(came.results) == 10
