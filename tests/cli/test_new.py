"""`pbft new`: files that work as they stand, names that are refused with a sentence, and never half a folder."""

from __future__ import annotations

import importlib.metadata
import os
import resource
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pbft.lab.processes import python_environment
from tests.cli.conftest import Run

STAGES = ("source", "worlds", "faults")
FILES = [".gitignore", "README.md", "my_shop.py", "pyproject.toml", "test_my_shop.py"]


def in_folder(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a Python module in a folder, as somebody does who types it there."""
    return subprocess.run(
        [sys.executable, "-P", "-m", *words],
        cwd=folder,
        env=python_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def listed(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_what_is_written(run: Run, tmp_path: Path) -> None:
    """A folder of five files, named after the application; and what is printed says how to go on."""
    ran = run("new", "my-shop")
    assert (ran.code, ran.err) == (0, "")
    assert listed(tmp_path) == ["my-shop"]
    assert listed(tmp_path / "my-shop") == FILES
    for words in ("made my-shop: my_shop.py, test_my_shop.py", "\n  cd my-shop\n", "\n  pbft check my_shop.py\n"):
        assert words in ran.out
    # No word of the templates is left.
    assert not any("$" in (tmp_path / "my-shop" / name).read_text(encoding="utf-8") for name in FILES)
    assert "/keys/" in (tmp_path / "my-shop" / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_it_is_where_it_was_wanted(run: Run, tmp_path: Path) -> None:
    """With --in, another folder than this one; the words to type lead there."""
    (tmp_path / "some where").mkdir()
    ran = run("new", "--in", "some where", "shop")
    assert ran.code == 0
    assert "\n  cd 'some where/shop'\n" in ran.out
    assert "class Shop(StateMachine):" in (tmp_path / "some where" / "shop" / "shop.py").read_text(encoding="utf-8")


def test_it_passes_its_own_tests(run: Run, tmp_path: Path) -> None:
    """What was written is well-formed, and its tests pass: on a group of replicas, and under the conformance kit."""
    assert run("new", "my_shop").code == 0
    folder = tmp_path / "my_shop"
    for words in (["check"], ["format", "--check"]):
        told = in_folder(folder, "ruff", *words, "--isolated", "--no-cache", "--line-length=120", ".")
        assert told.returncode == 0, told.stdout + told.stderr
    told = in_folder(folder, "pytest", "-q", "-p", "no:cacheprovider", *without_plugin_installed())
    assert "2 passed" in told.stdout, told.stdout + told.stderr


def without_plugin_installed() -> list[str]:
    """Name the plugin to pytest where no installed package does, as when the tree alone is on the path."""
    known = [each.name for each in importlib.metadata.entry_points(group="pytest11")]
    return [] if "pbft" in known else ["-p", "pbft.plugin.hooks"]


def test_it_passes_its_own_check(run: Run, tmp_path: Path) -> None:
    """And the command finds nothing in it, not even to warn of."""
    assert run("new", "shop").code == 0
    told = in_folder(tmp_path / "shop", "pbft.cli", "check", "shop.py", "--examples", "20", "--faults", "0:2")
    assert (told.returncode, told.stderr) == (0, ""), told.stdout
    said = [line for line in told.stdout.splitlines() if line.startswith(STAGES)]
    assert [line.split()[:2] for line in said] == [[stage, "ok"] for stage in STAGES]


def test_it_can_be_installed(run: Run, tmp_path: Path) -> None:
    """As a wheel, and as one that leads back to the folder: either names the application to `pbft apps`."""
    assert run("new", "my-shop").code == 0
    folder = tmp_path / "my-shop"
    for kind in ("build_wheel", "build_editable"):
        out = tmp_path / kind
        build = f"from hatchling.build import {kind}; {kind}({str(out)!r})"
        subprocess.run([sys.executable, "-c", build], cwd=folder, check=True, timeout=60)
        (wheel,) = out.glob("my_shop-0.1.0-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            entries = archive.read("my_shop-0.1.0.dist-info/entry_points.txt").decode()
            assert entries.split() == ["[pbft.apps]", "my-shop", "=", "my_shop:MyShop"]
            code = [name for name in archive.namelist() if not name.startswith("my_shop-0.1.0.dist-info")]
            if kind == "build_wheel":
                assert code == ["my_shop.py"]
            else:
                (path,) = code
                assert archive.read(path).decode().strip() == str(folder)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "a name has 1 to 40 of a-z"),
        ("Auction", '"Auction" does not fit; for instance auction'),
        ("MyShop", '"MyShop" does not fit; for instance my-shop'),
        ("my shop", "for instance my-shop"),
        ("-- -x", "a-z"),
        ("2nd", '"2nd" does not fit'),
        ("größe", '"größe" does not fit'),
        ("a--b", "for instance a-b"),
        ("a" * 41, "1 to 40"),
        ("shop\n", "for instance shop"),
        ("stalls/shop", "where it goes is said by --in DIR"),
        ("../shop", "where it goes is said by --in DIR"),
        ("class", 'the name "class" is a word of Python\'s own; choose another, as my-class'),
        ("none", "a word of Python's own"),
        ("table", "the class Table, which is there already"),
        ("state-machine", "the class StateMachine, which is there already"),
        ("exception", "the class Exception, which is there already"),
        ("json", "that of a module that Python finds already; choose another, as my-json"),
        ("sys", "that of a module that Python finds already"),
        ("pytest", "that of a module that Python finds already"),
        ("pbft-apps", "that of a module that Python finds already"),
        ("pbft", "already"),
        ("import-linter", "that of an installed package"),
        ("conftest", "one that pytest loads as its own"),
        ("setup", "one that tools run"),
        ("test-shop", "choose one without test"),
        ("shop_test", "choose one without test"),
    ],
)
def test_names_that_cannot_be(run: Run, tmp_path: Path, name: str, says: str) -> None:
    """One sentence says why and what to do, and nothing is written."""
    ran = run("new", "--", name) if name != "-- -x" else run("new", "--", "-x")
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err
    assert ran.err.count("\n") == 1
    assert listed(tmp_path) == []


def test_a_name_that_is_installed_as_an_application(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two applications of one name could not be told apart."""
    installed = tmp_path / "site" / "market-1.0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: market\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[pbft.apps]\nstall = market:Stall\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert 'the name "stall" is that of an installed application' in run("new", "stall").err
    assert 'the name "market" is that of an installed package' in run("new", "market").err


def test_a_file_of_ones_own_is_in_nobodys_way(run: Run, tmp_path: Path) -> None:
    """What lies in the working directory is found there by Python, but is not installed."""
    (tmp_path / "shop.py").write_text("")
    assert run("new", "shop").code == 0


def test_what_is_there_is_spared(run: Run, tmp_path: Path) -> None:
    """Neither a folder, nor a file, nor a link that leads nowhere is written over; and the place must be there."""
    (tmp_path / "full").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("full", "file", "link"):
        ran = run("new", name)
        assert (ran.code, ran.out) == (2, "")
        assert f"{name} is there already; choose another name" in ran.err
    for place in ("nowhere", "file"):
        assert f"there is no folder {place}; make it first" in run("new", "shop", "--in", place).err
    assert listed(tmp_path) == ["file", "full", "link"]
    assert (tmp_path / "file").read_text() == "mine"


@contextmanager
def no_room_for_files() -> Iterator[None]:
    """Let no file grow, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk(run: Run, tmp_path: Path) -> None:
    """A folder that cannot be finished is not begun."""
    with no_room_for_files():
        ran = run("new", "shop")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("pbft: shop cannot be written: ")
    assert listed(tmp_path) == []


def test_interrupted(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle ends it with 130, and without a word; the folder is whole."""
    rename = os.rename

    def rename_late(*places: Path) -> None:
        signal.raise_signal(signal.SIGINT)
        rename(*places)

    monkeypatch.setattr(os, "rename", rename_late)
    ran = run("new", "my-shop")
    assert (ran.code, ran.out, ran.err) == (130, "", "")
    assert listed(tmp_path) == ["my-shop"]
    assert listed(tmp_path / "my-shop") == FILES
