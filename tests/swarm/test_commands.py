"""`pbft swarm` and `pbft sim`: what they print, for people and for programs, and how they end."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import pytest

from pbft.cli import main
from pbft.testing import swarm
from pbft.testing.rare_paths import RarePath


@pytest.fixture(autouse=True)
def _same_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


def ran(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run a command and return its exit code and what it printed."""
    code = main(list(words))
    told = capsys.readouterr()
    return code, told.out, told.err


def test_swarm_tells_a_line_a_seed_and_a_sum(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ran(capsys, "swarm", "--seeds", "2:5")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert [line.partition(":")[0] for line in lines[:3]] == ["seed 2", "seed 3", "seed 4"]
    assert lines[-1].startswith("3 seeds agreed and finished: ")
    assert "simulated hours a minute" in lines[-1]


def test_swarm_tells_the_rare_paths_that_were_gone(capsys: pytest.CaptureFixture[str]) -> None:
    """How often, by how many seeds, and which never; as JSON every one of them, with zeros."""
    outcomes = [swarm.run(seed) for seed in (2, 3, 4)]
    times: Counter[str] = Counter()
    for outcome in outcomes:
        times.update(outcome.rare_paths)
    assert times
    code, out, _ = ran(capsys, "swarm", "--seeds", "2:5")
    for name in times:
        runs = sum(1 for outcome in outcomes if name in outcome.rare_paths)
        assert f"{times[name]:>8} in {runs:>5} seeds: {name}" in out.splitlines()
    assert "   never: " in out
    code, out, _ = ran(capsys, "swarm", "--seeds", "2:5", "--json")
    told = json.loads(out.splitlines()[-1])["rare_paths"]
    assert told == {path.value: times[path.value] for path in RarePath}
    assert code == 0


def test_swarm_as_json_ends_with_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """One object a seed, then one of counts that are their sums."""
    code, out, _ = ran(capsys, "swarm", "--seeds", "2:4", "--replicas", "4", "--json")
    *seeds, counts = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [(each["seed"], each["ok"], each["n"]) for each in seeds] == [(2, True, 4), (3, True, 4)]
    assert (counts["seeds"], counts["failed"]) == (2, 0)
    for name in ("deliveries", "virtual_ms", "view_changes", "checkpoints", "transfers", "undecided"):
        assert counts[name] == sum(each[name] for each in seeds)
    assert counts["seconds"] > 0
    assert counts["deliveries_per_second"] > 0


def test_swarm_on_several_processors_tells_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """Seeds are told in order, with the same traces, however many processes share them."""
    alone = ran(capsys, "swarm", "--seeds", "0:6", "--jobs", "1")[1].splitlines()
    shared = ran(capsys, "swarm", "--seeds", "0:6", "--jobs", "2")[1].splitlines()
    assert shared[:6] == alone[:6]


def test_swarm_tells_which_seeds_break_and_how_to_see_them(capsys: pytest.CaptureFixture[str]) -> None:
    """A planted bug: the seed, the broken invariant, the last lines of the trace and one command; the code is 1."""
    code, out, _ = ran(capsys, "swarm", "--seeds", "0:2", "--plant", "committed", "--no-shrink")
    assert code == 1
    for seed in (0, 1):
        assert f"seed {seed} failed.\nO6: " in out
        assert f"\nreplay: pbft sim --seed {seed} --trace --plant committed\n" in out
    assert out.splitlines()[-1].startswith("2 of 2 seeds failed: ")

    code, out, _ = ran(capsys, "swarm", "--seeds", "0:2", "--plant", "committed", "--no-shrink", "--json")
    first, second, counts = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert first["failure"].startswith("O6: ")
    assert second["replay"] == "pbft sim --seed 1 --trace --plant committed"
    assert (counts["seeds"], counts["failed"]) == (2, 2)
    assert first["oracle"] == second["oracle"] == "O6"
    assert counts["deliveries"] == first["deliveries"] + second["deliveries"] > 0, "failed runs count too"


def test_swarm_shrinks_what_fails_to_a_file_that_replays(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The first seed of each oracle, cut down; nothing is overwritten; the printed command shows it again."""
    replay = ""
    words = ("swarm", "--seeds", "0:2", "--plant", "committed", "--save", str(tmp_path))
    for name in ("seed-0-O6-committed.json", "seed-0-O6-committed-2.json"):
        code, out, _ = ran(capsys, *words)
        lines = out.splitlines()
        replay = f"replay: pbft sim --plan {tmp_path / name} --trace --plant committed"
        assert code == 1
        assert replay in lines
        assert lines[lines.index(replay) - 1].endswith(" to n=4, no faults, no liars, 1 program, 1 call")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["seed-0-O6-committed.json", "seed-0-O6-committed-2.json"]
    )
    code, out, _ = ran(capsys, *replay.removeprefix("replay: pbft ").split())
    assert code == 1
    assert "the plan failed.\nO6: " in out
    assert out.endswith(f"{replay}\n")

    code, out, _ = ran(capsys, *words, "--json")
    shrunk = json.loads(out.splitlines()[-2])
    assert (shrunk["shrunk"], shrunk["oracle"]) == (0, "O6")
    assert Path(shrunk["file"]).name == "seed-0-O6-committed-3.json"
    assert shrunk["replay"] == f"pbft sim --plan {shrunk['file']} --trace --plant committed"


def test_sim_tells_the_plan_and_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ran(capsys, "sim", "--seed", "3")
    plan = swarm.Plan.draw(3).told()
    lines = out.splitlines()
    assert code == 0
    assert lines[: len(plan)] == plan
    assert lines[len(plan) :] == [lines[-1]]
    assert lines[-1].startswith("seed 3: n=")


def test_sim_traces_every_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    swarm.run(3, echo=lines.append)
    code, out, _ = ran(capsys, "sim", "--seed", "3", "--trace")
    plan = swarm.Plan.draw(3).told()
    assert code == 0
    assert out.splitlines()[len(plan) : -1] == lines


def test_sim_traces_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Every line an object with its moment, and the end of the run last."""
    lines: list[str] = []
    swarm.run(3, echo=lines.append)
    code, out, _ = ran(capsys, "sim", "--seed", "3", "--trace", "--json")
    *told, end = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [f"{each['at_ms']:>6} {each['trace']}" for each in told] == lines
    assert (end["seed"], end["ok"]) == (3, True)


def test_sim_writes_a_plan_and_reads_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What one seed draws, saved and replayed, comes to the same; a file that is there is left alone."""
    path = tmp_path / "plan.json"
    code, drawn, _ = ran(capsys, "sim", "--seed", "3", "--replicas", "4", "--save", str(path))
    assert code == 0
    assert swarm.read_plan(path) == swarm.Plan.draw(3, 4)
    code, read, _ = ran(capsys, "sim", "--plan", str(path))
    assert (code, read) == (0, drawn)
    code, out, err = ran(capsys, "sim", "--seed", "4", "--save", str(path))
    assert (code, out, err) == (2, "", f"pbft: {path}: file exists\n")
    assert swarm.read_plan(path) == swarm.Plan.draw(3, 4)


def test_sim_as_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ran(capsys, "sim", "--seed", "3", "--replicas", "4", "--json")
    told = json.loads(out)
    assert code == 0
    assert (told["seed"], told["ok"], told["n"]) == (3, True, 4)
    assert told["plan"] == swarm.Plan.draw(3, 4).told()


def test_a_bug_that_raises_is_a_failed_seed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception within a run is told with its traceback and the way to see it again, and the others go on."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError("broken")

    monkeypatch.setattr("pbft.testing.station.Station.perform", broken)
    code, out, _ = ran(capsys, "swarm", "--seeds", "1:3", "--jobs", "1", "--no-shrink")
    assert code == 1
    assert "ZeroDivisionError: broken" in out
    assert "replay: pbft sim --seed 1 --trace" in out
    assert out.splitlines()[-1].startswith("2 of 2 seeds failed: ")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["swarm"], "seeds"),
        (["swarm", "--seeds", "12"], '--seeds takes a first seed and the one after the last, as in 0:100, not "12"'),
        (["swarm", "--seeds", "5:5"], "--seeds takes a first seed and the one after the last"),
        (["swarm", "--seeds", "a:b"], "--seeds takes a first seed and the one after the last"),
        (["swarm", "--seeds", "0:2", "--replicas", "3"], "a simulated group has 4 to 31 replicas, not 3"),
        (["sim", "--seed", "1", "--replicas", "99"], "a simulated group has 4 to 31 replicas, not 99"),
        (
            ["sim", "--seed", "1", "--plant", "comitted"],
            'there is no bug "comitted" to plant; did you mean "committed"?',
        ),
        (["sim", "--seed", "one"], "--seed"),
        (["sim"], "say which run, by --seed S or by --plan FILE"),
        (["sim", "--seed", "1", "--plan", "x"], "say which run, by --seed S or by --plan FILE, not by both"),
        (["sim", "--plan", "x", "--replicas", "4"], "a plan says how many replicas it has: leave out --replicas"),
        (["sim", "--plan", "/nowhere/plan.json"], "/nowhere/plan.json: no such file or directory"),
        (["sim", "--plan", __file__], "test_commands.py holds no plan, at line 1: it is no JSON"),
        (["soak", "--minutes", "-1"], "--minutes"),
    ],
)
def test_bad_arguments_get_one_sentence(capsys: pytest.CaptureFixture[str], words: list[str], sentence: str) -> None:
    code, out, err = ran(capsys, *words)
    assert (code, out) == (2, "")
    assert err.startswith("pbft: ")
    assert sentence in err
    assert err.count("\n") == 1
