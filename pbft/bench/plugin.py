"""What the pytest plugin costs a run of pytest that does not use it.

Owns: such runs, each in a process of its own, with the plugin and without it by turns; which modules it adds, and the
time.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from pbft.errors import PbftError
from pbft.lab.processes import python_environment

ALLOWED_MODULES: Final = ("pbft", "pbft.plugin", "pbft.plugin.hooks")
"""All that a run which does not use the plugin may load because of it."""

ROUNDS: Final = 11
MOST_ROUNDS: Final = 1_000

_WITHOUT: Final = ("-p", "no:pbft")
_EMPTY: Final = "def test_nothing():\n    pass\n"
_TELLING: Final = """
import json, pathlib, sys

def test_tells():
    pathlib.Path("modules").write_text(json.dumps(sorted(sys.modules)))
"""


class PluginNotMeasured(PbftError):
    """A measurement that cannot be; the message says what to do."""


@dataclass(frozen=True)
class PluginCost:
    """What the plugin adds to a run of one empty test."""

    modules: tuple[str, ...]
    """Modules that are loaded with it, and not without it."""
    rounds: int
    with_ms: float
    """The median of the processor's time that a run takes with it, all of the process."""
    without_ms: float

    @property
    def added_ms(self) -> float:
        """What it adds; below what runs differ by among themselves this says nothing, and may be negative."""
        return self.with_ms - self.without_ms

    @property
    def held(self) -> bool:
        """Whether nothing but the allowed modules is loaded. No bound is on time, which is a machine's own."""
        return self.modules == ALLOWED_MODULES


def measure_plugin(rounds: int = ROUNDS) -> PluginCost:
    """Return what the plugin costs, by so many runs with it and as many without. Raises PluginNotMeasured."""
    if importlib.util.find_spec("pytest") is None:
        raise PluginNotMeasured(
            "pytest is not installed; install it with what the plugin needs: pip install 'pbft[test]'"
        )
    with tempfile.TemporaryDirectory(prefix="pbft-") as folder:
        directory = Path(folder)
        (directory / "test_modules.py").write_text(_TELLING)
        (directory / "test_empty.py").write_text(_EMPTY)
        loaded = _modules(directory)
        spared = dict.fromkeys(_modules(directory, *_WITHOUT))
        added = tuple(name for name in loaded if name not in spared)
        if ALLOWED_MODULES[-1] not in added:
            raise PluginNotMeasured("pytest does not find the plugin of pbft; install pbft, as by pip install -e .")
        # By turns, so that a machine that grows busy does not tell against either.
        times = [(_run(directory, "test_empty.py"), _run(directory, "test_empty.py", *_WITHOUT)) for _ in range(rounds)]
    return PluginCost(added, rounds, median(each for each, _ in times), median(each for _, each in times))


def _modules(directory: Path, *options: str) -> Sequence[str]:
    _run(directory, "test_modules.py", *options)
    return [str(name) for name in json.loads((directory / "modules").read_text())]


def _run(directory: Path, file: str, *options: str) -> float:
    """Run pytest on one file, and return the processor's time that it took, in milliseconds."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, file],
        cwd=directory,
        env={**python_environment(), "PYTEST_ADDOPTS": ""},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    with process.stdout:
        said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise PluginNotMeasured(f"pytest failed on an empty test:\n{said.decode('utf-8', 'replace')}")
    return 1_000 * (usage.ru_utime + usage.ru_stime)
