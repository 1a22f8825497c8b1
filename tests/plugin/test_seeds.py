"""Which seed a test runs under, and that a report's command brings it back."""

from __future__ import annotations

import re
import shlex

import pytest

from pbft.plugin.wanted import draw_seeds, usual_seed
from tests.plugin.writing import HEAD

pytest_plugins = ["pytester"]

TESTS = """
import pathlib

def keep(pbft_group, request):
    with pathlib.Path("seeds").open("a") as seeds:
        seeds.write(f"{request.node.name} {pbft_group.seed} {pbft_group.random.random()}\\n")

@pytest.mark.pbft(app=Auction)
def test_plain(pbft_group, request):
    keep(pbft_group, request)

@pytest.mark.pbft(app=Auction, seed=7, seeds=3)
@pytest.mark.parametrize("lot", ["x", "y"])
def test_several(pbft_group, request, lot):
    keep(pbft_group, request)
"""


def seeds(pytester: pytest.Pytester, *options: str) -> list[tuple[str, int]]:
    """Run the tests and return each one's name and seed."""
    (pytester.path / "seeds").write_text("")
    assert pytester.runpytest_inprocess("-p", "no:cacheprovider", *options).ret == 0
    words = [line.split() for line in (pytester.path / "seeds").read_text().splitlines()]
    chance = {(name, seed): drawn for name, seed, drawn in words}
    assert len(set(chance.values())) == len({seed for _, seed in chance})
    return [(name, int(seed)) for name, seed, _ in words]


def test_seeds_come_from_names_marks_and_options(pytester: pytest.Pytester) -> None:
    """Alike on every run; the command line has the last word; marks may ask for several, which follow each other."""
    pytester.makepyfile(test_it=HEAD + TESTS)
    usual = usual_seed("test_it.py::test_plain")
    several = [(f"test_several[seed={seed}-{lot}]", seed) for seed in (7, 8, 9) for lot in "xy"]
    found = seeds(pytester)
    assert found[0] == ("test_plain", usual)
    assert sorted(found[1:]) == sorted(several)
    assert seeds(pytester) == found
    assert seeds(pytester, "--pbft-seed=42") == [(n, 42) for n in ("test_plain", "test_several[x]", "test_several[y]")]
    first, second, *rest = seeds(pytester, "--pbft-seeds=2")
    assert [first, second] == [(f"test_plain[seed={seed}]", seed) for seed in (usual, usual + 1)]
    assert sorted(seed for _, seed in rest) == [7, 7, 8, 8]


def test_seeds_follow_from_names_alone() -> None:
    """Known numbers: another machine, another run and another Python draw the same ones."""
    assert usual_seed("tests/test_auction.py::test_bids") == 7824
    assert draw_seeds("a.py::b", 3, None) == [usual_seed("a.py::b") + i for i in range(3)]
    assert draw_seeds("a.py::b", 2, 5) == [5, 6]
    assert draw_seeds("a.py::b", 0, 5) == draw_seeds("a.py::b", None, 5) == draw_seeds("a.py::b", True, 5) == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--pbft-seed=x"], "*--pbft-seed takes a whole number of at least 0, not 'x'"),
        (["--pbft-seeds=0"], "*--pbft-seeds takes a whole number of at least 1, not '0'"),
        (["--pbft-seed=1", "--pbft-seeds=2"], "*leave one of them out"),
    ],
)
def test_wrong_options_are_refused(pytester: pytest.Pytester, options: list[str], sentence: str) -> None:
    """One sentence, before anything runs."""
    ran = pytester.runpytest_inprocess(*options)
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    ran.stderr.fnmatch_lines([sentence])


def test_seeds_on_a_parameter_are_refused(pytester: pytest.Pytester) -> None:
    """Where they would be overlooked, they are not."""
    pytester.makepyfile(
        HEAD
        + """
@pytest.mark.parametrize("n", [pytest.param(4, marks=pytest.mark.pbft(app=Auction, seeds=3))])
def test_it(pbft_group, n):
    pass
"""
    )
    ran = pytester.runpytest_inprocess()
    ran.assert_outcomes(errors=1)
    ran.stdout.fnmatch_lines(["seeds belongs into a mark of the test, its class or its module, not of a parameter"])


FAILING = """
@pytest.mark.pbft(app=Auction, replicas=4, seeds=4, loss=0.2)
@pytest.mark.parametrize("lot", ["it's", "a b"])
class TestLots:
    def test_fails(self, pbft_group, lot):
        alice, bob = pbft_group.clients("alice", "bob")
        alice.call("bid", lot, 5)
        pbft_group.make_byzantine(pbft_group.random.randrange(4), "WrongReply")
        bob.call("bid", lot, 6)
        assert pbft_group.now_ms == 0
"""


def test_a_reports_command_shows_the_failure_again(pytester: pytest.Pytester) -> None:
    """Run word for word, from a folder below the root: the same section to the last line, and one test."""
    pytester.makeini("[pytest]\n")
    folder = pytester.mkdir("below")
    (folder / "test_auction.py").write_text(HEAD + FAILING)
    pytester.chdir()
    import os

    os.chdir(folder)
    ran = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    ran.assert_outcomes(failed=8)
    sections = sections_of(ran.outlines)
    assert len(set(sections)) == 8
    chosen = sections[5]
    command = shlex.split(chosen.splitlines()[-1].partition("see it again: ")[2])
    assert command[0] == "pytest"
    again = pytester.runpytest_inprocess("-p", "no:cacheprovider", *command[1:])
    again.assert_outcomes(failed=1)
    assert sections_of(again.outlines) == [chosen]


def sections_of(lines: list[str]) -> list[str]:
    """Return what failures said of their groups."""
    found: list[list[str]] = []
    inside = False
    for line in lines:
        if re.fullmatch(r"-+ pbft group -+", line):
            inside = True
            found.append([])
        elif (inside and line.startswith("____")) or line.startswith("===="):
            inside = False
        elif inside:
            found[-1].append(line)
    return ["\n".join(each) for each in found]
