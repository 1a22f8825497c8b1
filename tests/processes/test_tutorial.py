"""README's tutorial, word for word: what a newcomer types who has pbft installed and nothing else of this project.

Each line after a `$` is run by bash, one after another, as if typed; each file that README spells out is written where
that shell stands; and what is printed is what README shows, where `…` stands for any words of a line, or, alone in a
line, for any lines, and the width of gaps is not looked at.

One line alone is not run: the one that installs. It would ask the network for what pbft depends on. In its place a
wheel is built from this tree by way of its source archive, and installed into an environment that has never heard of
the tree.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import selectors
import shlex
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.processes.shell import SECONDS, shell_in

pytestmark = pytest.mark.processes

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = ("Your own state machine in ten minutes", "Is it deterministic?")
INSTALLS = "pip install"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"# (\w+\.py)\n")
PATIENCE_SECONDS = 5 * SECONDS
"""What no line takes, the longest of them on a machine that does much else."""
DONE = "what was typed has ended with"


@dataclass(frozen=True)
class Typed:
    """A command of README's, and the lines that it shows after it."""

    line: str
    shown: str


@dataclass(frozen=True)
class Edited:
    """A file that README spells out."""

    name: str
    text: str


def steps_of(readme: str, title: str) -> list[Typed | Edited]:
    """Return what a section of README asks its reader to do."""
    section = readme.split(f"\n## {title}\n")[1].split("\n## ")[0]
    steps: list[Typed | Edited] = []
    for language, text in BLOCK.findall(section):
        named = FILE.match(text)
        if language == "python" and named:
            steps.append(Edited(named[1], text))
        elif language == "console":
            for block in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                line, _, shown = block.partition("\n")
                steps.append(Typed(line, shown))
    return steps


def pattern_of(shown: str) -> re.Pattern[str]:
    """Return what an output shown in README matches."""
    lines = []
    for line in shown.splitlines():
        words = [re.escape(word).replace("…", r"[^\n]*?") for word in line.split()]
        lines.append(r"(?:[^\n]*\n)*?" if line.strip() == "…" else r" ".join(words) + r" ?\n")
    return re.compile("".join(lines))


def without_gaps(printed: str) -> str:
    """Return what was printed with one space for each gap."""
    return "".join(" ".join(line.split()) + "\n" for line in printed.splitlines())


class Terminal:
    """A bash that is told one line after another."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=directory,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def type(self, line: str) -> tuple[str, int]:
        """Run a line in it; return what it printed, both outputs as they came, and its exit code."""
        assert self._bash.stdin is not None
        # What the line runs reads nothing of what we say to bash. The braces start no shell of their own: cd lasts.
        self._bash.stdin.write(f"{{ {line}\n}} </dev/null; printf '\\n{DONE} %d\\n' $?\n".encode())
        self._bash.stdin.flush()
        return self._read(line)

    def _read(self, line: str) -> tuple[str, int]:
        assert self._bash.stdout is not None
        printed = b""
        end = time.monotonic() + PATIENCE_SECONDS
        with selectors.DefaultSelector() as ready:
            ready.register(self._bash.stdout, selectors.EVENT_READ)
            while not (ended := re.search(rf"\n{DONE} (\d+)\n".encode(), printed)):
                assert ready.select(end - time.monotonic()), f"{line} does not end: {printed.decode()}"
                more = os.read(self._bash.stdout.fileno(), 65_536)
                assert more, f"{line} ended the shell: {printed.decode()}"
                printed += more
        return printed[: ended.start()].decode(), int(ended[1])

    def close(self) -> None:
        """End it."""
        self._bash.kill()
        self._bash.communicate()


def install(environment: Path, wheel: Path) -> None:
    """Install a wheel, and nothing else, by the installer that there is."""
    python = str(environment / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "install"]
    uv = ["uv", "pip", "install", "--python", python, "--offline"]
    installer = pip if importlib.util.find_spec("pip") else uv
    subprocess.run([*installer, "--quiet", "--no-deps", "--no-index", str(wheel)], check=True, timeout=SECONDS)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a virtual environment with pbft from a wheel, and with what it depends on from where this test runs."""
    folder = tmp_path_factory.mktemp("newcomer")
    made = folder / "env"
    subprocess.run(
        # The wheel is made of the source archive: so that holds all that is needed, too.
        [sys.executable, "-P", "-m", "build", "--no-isolation", "--outdir", str(folder / "dist"), str(ROOT)],
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=SECONDS,
    )
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(made)], check=True, timeout=SECONDS)
    (wheel,) = (folder / "dist").glob("*.whl")
    install(made, wheel)
    # A line that is a path adds the folder, and obeys none of the .pth files in it: no editable install comes along.
    (site,) = made.glob("lib/python*/site-packages")
    places = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    (site / "dependencies.pth").write_text("".join(f"{place}\n" for place in places), encoding="utf-8")
    # What an installer writes for it, had it been installed here.
    (command,) = importlib.metadata.entry_points(group="console_scripts", name="pytest")
    script = (
        f"#!{made}/bin/python\nimport sys\nfrom {command.module} import {command.attr}\nsys.exit({command.attr}())\n"
    )
    (made / "bin" / "pytest").write_text(script, encoding="utf-8")
    (made / "bin" / "pytest").chmod(0o755)
    return made


@pytest.fixture
def terminal(environment: Path, tmp_path: Path) -> Iterator[Terminal]:
    """Give a terminal in a fresh folder, without settings of anybody's; stop each group that is left running there."""
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    settings = {"HOME": str(tmp_path), "LANG": "C.UTF-8", "PATH": os.environ["PATH"], "TERM": "dumb"}
    with shell_in(tmp_path):
        terminal = Terminal(fresh, settings)
        try:
            said, code = terminal.type(f"source {shlex.quote(str(environment / 'bin' / 'activate'))}")
            assert (said, code) == ("", 0)
            yield terminal
        finally:
            terminal.close()


def test_nothing_comes_from_this_tree(environment: Path, terminal: Terminal) -> None:
    """All of pbft lies in that environment, and its commands, applications and plugin are found once, from there."""
    told, code = terminal.type(
        "python -c 'import pbft, pbft.cli.new, pbft_apps, sys\n"
        "from importlib.metadata import entry_points\n"
        "for module in (pbft, pbft.cli.new, pbft_apps): print(module.__file__)\n"
        'for group in ("console_scripts", "pbft.apps", "pytest11"):\n'
        "    for each in entry_points(group=group):\n"
        '        if each.value.startswith("pbft"): print(each.dist.locate_file(""), each.name)\n'
        'print(*sys.path, sep="\\n")\'; command -v pbft pytest'
    )
    assert code == 0, told
    (*modules,) = [line for line in told.splitlines() if line.endswith(".py")]
    assert len(modules) == 3
    assert all(line.startswith(str(environment)) for line in modules), told
    assert [line.split()[1] for line in told.splitlines() if " " in line] == ["pbft", "counter", "kv", "ledger", "pbft"]
    assert all(line.startswith(str(environment)) for line in told.splitlines() if " " in line), told
    assert str(ROOT) not in told.splitlines()
    assert told.splitlines()[-2:] == [str(environment / "bin" / "pbft"), str(environment / "bin" / "pytest")]


@pytest.mark.parametrize("title", SECTIONS)
def test_readme_word_for_word(terminal: Terminal, title: str) -> None:
    """Every command prints what README shows."""
    steps = steps_of((ROOT / "README.md").read_text(encoding="utf-8"), title)
    assert len(steps) > 2
    for step in steps:
        if isinstance(step, Edited):
            here = Path(terminal.type("pwd")[0].strip())
            (here / step.name).write_text(step.text, encoding="utf-8")
        elif INSTALLS not in step.line:
            printed, code = terminal.type(step.line)
            assert pattern_of(step.shown).fullmatch(without_gaps(printed)), f"$ {step.line}\n{printed}[{code}]"


def test_one_line_alone_is_not_run() -> None:
    """The first one, which installs: so that nothing else of the tutorial can slip by unread."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    typed = [step.line for title in SECTIONS for step in steps_of(readme, title) if isinstance(step, Typed)]
    assert [place for place, line in enumerate(typed) if INSTALLS in line] == [0]


def test_what_readme_shows_is_compared() -> None:
    """A word less, a line more, or another number is another output; what stands for anything is not."""
    shown = "made auction: …\n  5   of …\n…\ndone\n"
    assert pattern_of(shown).fullmatch(without_gaps("made auction: a, b\n  5 of 7\none\ntwo\ndone\n"))
    assert pattern_of(shown).fullmatch(without_gaps("made auction: a\n5 of 8\ndone\n"))
    for other in (
        "made auction: a\n6 of 8\ndone\n",
        "made auction: a\n5 of 8\n",
        "made auction: a\n5 of 8\ndone\nmore\n",
    ):
        assert not pattern_of(shown).fullmatch(without_gaps(other))
