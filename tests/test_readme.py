"""What README shows works as it stands there: a state machine, a liar, and a test of one against the other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from pbft.testing.byzantine import ADVERSARIES
from pbft.testing.faulty_clients import FAULTY_CLIENTS

README = Path(__file__).resolve().parents[1] / "README.md"
FILE = re.compile(r"```python\n# (\w+\.py)\n(.*?)```", re.DOTALL)


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


def test_breaking_it_as_readme_says(tmp_path: Path) -> None:
    """A counter, a misbehaviour of less than fifteen lines, and a test of one against the other."""
    assert copy_out(tmp_path) == ["counter.py", "liars.py", "test_counter.py"]
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
