"""`pbft soak`: it goes on where it ended, keeps what fails, and ends on time."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pbft.cli import main
from pbft.testing import swarm


@pytest.fixture(autouse=True)
def _same_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


def soaked(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> tuple[int, str, str]:
    """Soak in a folder, and return the exit code and what was printed."""
    where = ("--save", str(folder / "corpus"), "--state", str(folder / "kept" / "next-seed"), "--jobs", "1")
    code = main(["soak", *where, *words])
    told = capsys.readouterr()
    return code, told.out, told.err


def next_seed(folder: Path) -> int:
    """Return where the next soak goes on."""
    return int((folder / "kept" / "next-seed").read_text(encoding="ascii"))


def test_a_soak_goes_on_where_the_last_one_ended(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """With no time at all none runs; with a little at least one does, and the next begins after the last."""
    code, out, err = soaked(capsys, tmp_path, "--minutes", "0")
    assert (code, err) == (0, "")
    assert next_seed(tmp_path) == 0
    code, out, _ = soaked(capsys, tmp_path, "--minutes", "0.001")
    first = next_seed(tmp_path)
    assert code == 0
    assert first >= 1
    assert out.splitlines()[-1].startswith(f"{first} seed")
    code, out, _ = soaked(capsys, tmp_path, "--minutes", "0.001")
    assert out.startswith(f"soaking from seed {first} on\n")
    assert next_seed(tmp_path) > first
    code, out, _ = soaked(capsys, tmp_path, "--minutes", "0.001", "--from", "7000")
    assert out.startswith("soaking from seed 7000 on\n")
    assert next_seed(tmp_path) > 7_000
    assert not (tmp_path / "corpus").exists()


def test_what_fails_is_kept_and_makes_it_end_with_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every failing seed leaves a shrunk plan in the corpus, beside what is there."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError("broken")

    monkeypatch.setattr("pbft.testing.station.Station.perform", broken)
    for name in ("seed-5-ZeroDivisionError.json", "seed-5-ZeroDivisionError-2.json"):
        code, out, _ = soaked(capsys, tmp_path, "--minutes", "0.001", "--from", "5")
        assert code == 1
        path = tmp_path / "corpus" / name
        assert f"kept: {path}" in out.splitlines()
        plan = swarm.read_plan(path)
        assert (plan.seed, plan.n, plan.faults) == (5, 4, ())
        assert " failed; " in out.splitlines()[-1]


def test_ctrl_c_ends_it_with_a_summary(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever interrupts a soak ends it as it would have ended; what it found decides the code."""
    seen: list[int] = []

    def interrupted(self: swarm.Pool, seeds: object, *_: object) -> object:
        for seed in range(40, 42):
            seen.append(seed)
            yield swarm.report(seed)
        raise KeyboardInterrupt

    monkeypatch.setattr(swarm.Pool, "reports", interrupted)
    code, out, err = soaked(capsys, tmp_path, "--from", "40")
    assert (code, err) == (0, "")
    assert "interrupted" in out.splitlines()
    assert out.splitlines()[-1].startswith("2 seeds from 40 on, 0 failed; ")
    assert next_seed(tmp_path) == 42


def test_mutants_are_hunted_between_seeds(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After so many seeds every mutant is planted; one that survives is told, and ends it with 1."""
    from pbft.testing.mutants import catalogue, hunt

    known = catalogue()
    few = {name: known[name] for name in ("prepared", "committed")}
    monkeypatch.setattr("pbft.testing.mutants.catalogue", lambda: few)
    code, out, _ = soaked(capsys, tmp_path, "--minutes", "0.05", "--from", "40", "--mutants-every", "1")
    assert code == 0
    assert "hunting 2 mutants before seed 41" in out.splitlines()

    monkeypatch.setattr(hunt, "report", lambda seed, mutant=None, staged=None: swarm.report(seed, staged=staged))
    monkeypatch.setattr("pbft.cli.soak._HUNTED_SEEDS", 1)
    code, out, _ = soaked(capsys, tmp_path, "--minutes", "0.05", "--from", "40", "--mutants-every", "1")
    assert code == 1
    assert "survived: prepared" in out.splitlines()


def test_a_state_that_is_damaged_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    state = tmp_path / "kept" / "next-seed"
    for text in ("x", "-1", "9" * 30):
        state.write_text(text, encoding="ascii")
        code, out, err = soaked(capsys, tmp_path, "--minutes", "0")
        assert (code, out) == (2, "")
        assert err == f'pbft: {state} holds no seed but "{text}": remove it, or say --from SEED\n'
