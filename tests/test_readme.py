"""What README shows works as it stands there: a state machine, a liar, and a test of one against the other.

Its tutorial is run word for word by `tests/processes/test_tutorial.py`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from pbft.cli.commands import app
from pbft.testing.byzantine import ADVERSARIES
from pbft.testing.faulty_clients import FAULTY_CLIENTS

README = Path(__file__).resolve().parents[1] / "README.md"
FILE = re.compile(r"```python\n# (\w+\.py)\n(.*?)```", re.DOTALL)
FILES = ["counter.py", "auction.py", "test_auction.py", "raffle.py", "liars.py", "test_counter.py"]
WORDS = 2_200
"""What is read in ten minutes, code aside."""


def copy_out(folder: Path) -> list[str]:
    """Write each file that README spells out, and return their names."""
    files = FILE.findall(README.read_text(encoding="utf-8"))
    for name, text in files:
        (folder / name).write_text(text, encoding="utf-8")
    return [name for name, _ in files]


def test_it_counts_right() -> None:
    """As many misbehaviours as README says, of replicas and of clients."""
    text = README.read_text(encoding="utf-8")
    assert f"- {len(ADVERSARIES)} misbehaviours of replicas" in text
    assert f"; {len(FAULTY_CLIENTS)} of clients" in text


def test_it_names_every_command() -> None:
    """Whoever looks for what there is finds it."""
    text = README.read_text(encoding="utf-8")
    names = [each.name for each in app.registered_commands if not each.hidden]
    names += [each.name for each in app.registered_groups]
    assert len(names) > 20
    assert [name for name in names if f"`pbft {name}" not in text] == []


def test_it_names_every_application() -> None:
    """Each that comes along, as a model to copy."""
    text = README.read_text(encoding="utf-8")
    project = tomllib.loads((README.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = list(project["entry-points"]["pbft.apps"])
    assert len(names) > 2
    assert [name for name in names if f"\n| `{name}` | " not in text] == []


def test_it_is_read_in_ten_minutes() -> None:
    """What grows longer belongs where it is looked up: in a docstring, or in a command's help."""
    prose = re.sub(r"```.*?```", "", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(prose.split()) <= WORDS


def test_breaking_it_as_readme_says(tmp_path: Path) -> None:
    """A counter, a misbehaviour of less than fifteen lines, and a test of one against the other."""
    assert copy_out(tmp_path) == FILES
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "test_counter.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(README.parent)))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "1 passed" in told.stdout, told.stdout + told.stderr
    liar = (tmp_path / "liars.py").read_text(encoding="utf-8")
    assert len(liar[liar.index("class ") :].strip().splitlines()) <= 15
