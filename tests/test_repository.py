"""The rules that the project keeps about itself, checked on every file of it."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

THIS_FILE = Path(__file__).resolve()
ROOT = THIS_FILE.parent.parent
FILE_LINES = 420
FUNCTION_LINES = 70

TOP_LEVEL = {
    ".ci", ".gitignore", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE", "README.md", "apps", "constraints.txt",
    "docs", "keys", "pbft", "pyproject.toml", "scripts", "tests",
}  # fmt: skip

UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
LEFT_OUT = re.compile(
    r"\bpytest\s*\.\s*(mark\s*\.\s*)?(skip|skipif|xfail|importorskip)\b|\bunittest\s*\.\s*(skip|expected)"
    r"|\bfrom\s+pytest\s+import\b.*\b(skip|xfail|importorskip)\b|\bself\s*\.\s*skipTest\b"
)


def files_of(*folders: str) -> Iterator[Path]:
    """Every text file that people wrote under these folders, in a steady order."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def modules_of(*folders: str) -> Iterator[Path]:
    return (path for path in files_of(*folders) if path.suffix == ".py")


def complaints_about_size(name: str, text: str) -> list[str]:
    """Files and functions that have grown past what one reader holds in mind."""
    lines = len(text.splitlines())
    complaints = [f"{name}: {lines} lines, {FILE_LINES} allowed"] if lines > FILE_LINES else []
    if name.endswith(".py"):
        for node in ast.walk(ast.parse(text, name)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES:
                    complaints.append(f"{name}:{node.lineno}: {node.name} has {lines} lines, {FUNCTION_LINES} allowed")
    return complaints


OTHERS_TESTS = ("pbft/plugin/giving.py", "tests/plugin/test_report.py")
"""The pytest plugin runs tests of others, who may leave out some: here is what does that, and what shows it."""


def complaints_about_work_left(name: str, text: str) -> list[str]:
    """Markers of work put off, and of tests that do not run or may fail."""
    return [
        f"{name}:{number}: {found.group()}"
        for number, line in enumerate(text.splitlines(), 1)
        for rule in ((UNFINISHED,) if name in OTHERS_TESTS else (UNFINISHED, LEFT_OUT))
        if (found := rule.search(line))
    ]


def complaints_about_docstring(name: str, text: str) -> list[str]:
    return [] if ast.get_docstring(ast.parse(text, name)) else [f"{name}: no module docstring"]


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_files_and_functions_stay_small() -> None:
    """A file of many lines, or a function of many, hides a concept that wants a name."""
    complaints = [
        complaint
        for path in files_of("pbft", "apps", "scripts")
        for complaint in complaints_about_size(named(path), path.read_text(encoding="utf-8"))
    ]
    assert not complaints, "\n".join(complaints)


def test_nothing_is_put_off() -> None:
    """No marker of unfinished work, and no test that is left out or expected to fail."""
    complaints = [
        complaint
        for path in files_of("pbft", "apps", "scripts", "tests", ".ci")
        if path != THIS_FILE  # which quotes what it forbids
        for complaint in complaints_about_work_left(named(path), path.read_text(encoding="utf-8"))
    ]
    assert not complaints, "\n".join(complaints)


def test_every_module_says_what_it_is_for() -> None:
    """A module without a docstring owns nothing that anybody could name."""
    complaints = [
        complaint
        for path in modules_of("pbft", "apps", "scripts", "tests")
        for complaint in complaints_about_docstring(named(path), path.read_text(encoding="utf-8"))
    ]
    assert not complaints, "\n".join(complaints)


def top_level_names() -> set[str]:
    """What git would hand to whoever clones, or what lies here where there is no git, as in a source archive."""
    try:
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        listed = ""
    generated = {line.strip("/") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()}
    on_disk = {path.name for path in ROOT.iterdir()} - generated - {".git", "PKG-INFO"}
    return {line.partition("/")[0] for line in listed.splitlines()} or on_disk


def test_top_level_names_are_known() -> None:
    """Whoever opens the project sees a dozen names, each with its reason to be there."""
    assert sorted(top_level_names() - TOP_LEVEL) == []


def test_no_generated_group_is_committed() -> None:
    """Under keys/, git ignores all but the two files that explain it, so no private key leaves by accident."""
    rules = (ROOT / "keys" / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert [rule for rule in rules if rule and not rule.startswith("#")] == [
        "*",
        "!/README.md",
        "!/.gitignore",
    ]


@pytest.mark.parametrize(
    "script",
    [
        "scripts/launch",
        "scripts/test",
        "scripts/bench",
        "scripts/check",
        "scripts/soak",
        "scripts/screenshot",
        ".ci/run",
    ],
)
def test_scripts_run_as_they_are(script: str) -> None:
    """A fresh clone can run each script: the mode is set, and bash can read it."""
    path = ROOT / script
    assert path.stat().st_mode & 0o111 == 0o111
    subprocess.run(["bash", "-n", str(path)], check=True)


def test_the_picture_is_written_to_no_option() -> None:
    """A wish for help makes no file of that name, and starts no group."""
    done = subprocess.run([ROOT / "scripts" / "screenshot", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Usage: ./scripts/screenshot [FILE]")
    assert not (ROOT / "--help").exists()


@pytest.mark.parametrize(
    ("python", "sentence"),
    [
        ("exit 1", "pbft needs Python 3.11 or newer, and none was found on PATH"),
        ('case "$*" in *ensurepip*) exit 1 ;; esac', "Setting up needs Python's venv module, which python3 lacks"),
    ],
    ids=["too old", "no venv"],
)
def test_setting_up_says_what_to_install(tmp_path: Path, python: str, sentence: str) -> None:
    """On a machine that lacks what setting up needs, one sentence says what that is and how to get it."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ["bash", "dirname", "readlink"]:
        tool = shutil.which(name)
        assert tool is not None
        (tools / name).symlink_to(tool)
    (tools / "python3").write_text(f"#!{tools}/bash\n{python}\n", encoding="utf-8")
    (tools / "python3").chmod(0o755)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")

    done = subprocess.run(
        [tools / "bash", tmp_path / "scripts" / "launch"],
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1
    assert "apt install" in done.stderr


def test_pins_name_no_host() -> None:
    """Whoever installs decides where packages come from: the pins hold names, versions and markers only."""
    pin = re.compile(r"[a-z0-9-]+==[0-9][0-9a-z.]*( ; [a-z_'=!<>(). 0-9A-Z]+)?")
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not pin.fullmatch(line)] == []


def test_every_dependency_is_pinned() -> None:
    """What is asked for in pyproject.toml has its version in constraints.txt, so two installs are alike."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0] for line in pins}
    names = {re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower().replace("_", "-") for requirement in asked}
    assert sorted(names - pinned) == []


@pytest.mark.parametrize(
    ("line", "complaints"),
    [
        ("# TODO: later", 1),
        ("raise NotImplementedError", 1),
        ("@pytest.mark.skipif(True, reason='')", 1),
        ("    pytest.xfail('one day')", 1),
        ("from pytest import raises, skip", 1),
        ("return NotImplemented", 0),
        ("reader.skip(4)  # the header", 0),
    ],
)
def test_rule_on_work_left_finds_it(line: str, complaints: int) -> None:
    """The rule fires on what it forbids, and not on what only looks like it."""
    assert len(complaints_about_work_left("planted.py", line)) == complaints


def test_rule_on_size_finds_it() -> None:
    """One line past the limit is a complaint, for a file and for a function; the limit itself is none."""
    function = "def long():\n" + "    pass\n" * (FUNCTION_LINES - 1)
    assert complaints_about_size("planted.py", function) == []
    assert len(complaints_about_size("planted.py", function + "    pass\n")) == 1
    assert complaints_about_size("planted", "\n" * FILE_LINES) == []
    assert len(complaints_about_size("planted", "\n" * (FILE_LINES + 1))) == 1


def test_rule_on_docstrings_finds_it() -> None:
    """A comment, or a string that is not first, is no docstring."""
    assert complaints_about_docstring("planted.py", '"""Owns x."""\n') == []
    assert len(complaints_about_docstring("planted.py", '# Owns x.\nX = 1\n"""late"""\n')) == 1
