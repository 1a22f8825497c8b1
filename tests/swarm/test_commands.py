"""`pbft swarm` and `pbft sim`: what they print, for people and for programs, and how they end."""

from __future__ import annotations

import json
import sys

import pytest

from pbft.cli import main
from pbft.testing import swarm


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
    assert (code, err, len(lines)) == (0, "", 4)
    assert [line.partition(":")[0] for line in lines[:3]] == ["seed 2", "seed 3", "seed 4"]
    assert lines[3].startswith("3 seeds agreed and finished: ")
    assert "simulated hours a minute" in lines[3]


def test_swarm_as_json_ends_with_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """One object a seed, then one of counts that are their sums."""
    code, out, _ = ran(capsys, "swarm", "--seeds", "2:4", "--replicas", "4", "--json")
    *seeds, counts = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [(each["seed"], each["ok"], each["n"]) for each in seeds] == [(2, True, 4), (3, True, 4)]
    assert (counts["seeds"], counts["failed"]) == (2, 0)
    for name in ("deliveries", "virtual_ms", "view_changes", "checkpoints", "transfers"):
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
    code, out, _ = ran(capsys, "swarm", "--seeds", "0:2", "--plant", "committed")
    assert code == 1
    for seed in (0, 1):
        assert f"seed {seed} failed.\nO6: " in out
        assert f"\nreplay: pbft sim --seed {seed} --trace --plant committed\n" in out
    assert out.splitlines()[-1].startswith("2 of 2 seeds failed: ")

    code, out, _ = ran(capsys, "swarm", "--seeds", "0:2", "--plant", "committed", "--json")
    first, second, counts = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert first["failure"].startswith("O6: ")
    assert second["replay"] == "pbft sim --seed 1 --trace --plant committed"
    assert (counts["seeds"], counts["failed"]) == (2, 2)


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
    code, out, _ = ran(capsys, "swarm", "--seeds", "1:3", "--jobs", "1")
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
        (["sim"], "seed"),
    ],
)
def test_bad_arguments_get_one_sentence(capsys: pytest.CaptureFixture[str], words: list[str], sentence: str) -> None:
    code, out, err = ran(capsys, *words)
    assert (code, out) == (2, "")
    assert err.startswith("pbft: ")
    assert sentence in err
    assert err.count("\n") == 1
