"""What a failure's section says: everything to understand and repeat it, bounded, and nothing where nothing failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pbft import StateMachine, Table, operation
from pbft.plugin.differing import first_difference
from pbft.plugin.group import Misused, spell_call
from pbft.plugin.places import place_of
from pbft.plugin.report import Diary, command, told_of_faults
from tests.plugin.writing import HEAD

pytest_plugins = ["pytester"]


class Box(StateMachine):
    size: int = 0
    names: Table[str, int]

    class Inner(StateMachine):
        size: int = 0

    @operation
    def put(self, name: str) -> int:
        self.names[name] = len(self.names)
        self.size += 1
        return self.size


SECTION = """\
seed 11: 4 replicas run Auction for alice, bob on virtual time
what the test did, and what its clients were told:
         0 ms  replica 3 is byzantine: Silent
         0 ms  isolate 2
         0 ms  alice calls bid('lamp', 5)
      2000 ms  alice.bid('lamp', 5) got no answer in time
      2000 ms  heal
      2000 ms  pause 1
      2000 ms  kill 0
the message flow, its last 40 lines:
*r2 -> r0 * lost: STATUS*
the replicas at 2000 ms:
  r0  *; killed
  r1  *; paused
  r2  *
  r3  *; byzantine: Silent*
see it again: pytest test_auction.py::test_fails --pbft-seed=11"""


def test_a_failure_tells_all_of_its_group(pytester: pytest.Pytester) -> None:
    """Seed, what was done when, the flow of messages, where each replica stands, and the command."""
    pytester.makepyfile(
        test_auction=HEAD
        + """
@pytest.mark.pbft(app=Auction, seed=11, byzantine={3: "Silent"})
def test_fails(pbft_group):
    (alice,) = pbft_group.clients("alice")
    pbft_group.isolate(2)
    with pytest.raises(Timeout):
        alice.call("bid", "lamp", 5, timeout=2)
    pbft_group.heal()
    pbft_group.pause(1)
    pbft_group.kill(0)
    assert False, "as was planned"
"""
    )
    ran = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(["*as was planned", "*- pbft group -*", *SECTION.splitlines()])


def test_nothing_is_told_of_what_did_not_fail(pytester: pytest.Pytester) -> None:
    """Passed, skipped, expected to fail: no section; a fixture that fails after the group came has one."""
    pytester.makepyfile(
        HEAD
        + """
pytestmark = pytest.mark.pbft(app=Auction)

def test_passes(pbft_group):
    pass

def test_skips(pbft_group):
    pytest.skip("no reason")

@pytest.mark.xfail(strict=True)
def test_was_expected(pbft_group):
    assert False

@pytest.fixture
def broken(pbft_group):
    raise LookupError("not there")

def test_setup(broken):
    pass
"""
    )
    ran = pytester.runpytest_inprocess("-rA")
    ran.assert_outcomes(passed=1, skipped=1, xfailed=1, errors=1)
    assert sum("- pbft group -" in line for line in ran.outlines) == 1
    ran.stdout.fnmatch_lines(["E * LookupError: not there", "*pbft group*", "the test did nothing to the group yet"])


def test_a_diary_is_bounded() -> None:
    """The last lines are kept, and how many came before is said."""
    diary = Diary()
    assert diary.told() == ["the test did nothing to the group yet"]
    for at in range(100):
        diary.note(at, f"line {at}")
    head, left_out, *lines = diary.told()
    assert head == "what the test did, and what its clients were told:"
    assert left_out == "  … 40 earlier lines left out"
    assert [lines[0].split(), lines[-1].split()] == [["40", "ms", "line", "40"], ["99", "ms", "line", "99"]]


@pytest.mark.parametrize(
    ("nodeid", "seed", "expected"),
    [
        ("a/test_x.py::test_y", 7, "pytest a/test_x.py::test_y --pbft-seed=7"),
        ("a/test_x.py::test_y[seed=7]", 7, "pytest a/test_x.py::test_y --pbft-seed=7"),
        ("a/test_x.py::T::test_y[seed=7-a b]", 7, "pytest 'a/test_x.py::T::test_y[a b]' --pbft-seed=7"),
        ("a/test_x.py::test_y[p-seed=7-q]", 7, "pytest 'a/test_x.py::test_y[p-q]' --pbft-seed=7"),
        ("a/test_x.py::test_y[p-seed=17]", 17, "pytest 'a/test_x.py::test_y[p]' --pbft-seed=17"),
        ("a/test_x.py::test_y[p]", None, "pytest 'a/test_x.py::test_y[p]' --pbft-real"),
    ],
)
def test_commands_name_the_test_without_its_seed(nodeid: str, seed: int | None, expected: str) -> None:
    """The option says the seed, and the rest of the test's id stays; a shell takes it as it is."""
    root = Path("/somewhere")
    assert command(nodeid, root / "a" / "test_x.py", root, seed) == expected


def test_commands_are_told_from_where_pytest_was_called() -> None:
    """From below the root, and from elsewhere."""
    path = Path("/somewhere/a/test_x.py")
    assert command("a/test_x.py::t", path, Path("/somewhere/a"), 1) == "pytest test_x.py::t --pbft-seed=1"
    assert command("a/test_x.py::t", path, Path("/other"), 1) == "pytest /somewhere/a/test_x.py::t --pbft-seed=1"


def test_the_first_difference_is_named() -> None:
    """A field, or a key of a Table, in the order of names; values are shortened."""
    one, other = Box(), Box()
    assert first_difference(one, other) == "their digests differ, and no field does"
    other.size = 3
    assert first_difference(one, other) == "the field size is 3 there and 0 here"
    other.names["b"] = other.names["c"] = 1
    one.names["c"] = 2
    assert first_difference(one, other) == "the key 'b' of names is 1 there and missing here"
    del other.names["b"]
    assert first_difference(one, other) == "the key 'c' of names is 1 there and 2 here"
    assert first_difference(object(), one) == "their digests differ"


def test_calls_and_faults_are_spelt() -> None:
    """As Python writes them, shortened; nothing where there is nothing to say."""
    assert spell_call("bid", ("lamp", 5), {"by": b"x"}) == "bid('lamp', 5, by=b'x')"
    assert len(spell_call("bid", ("x" * 500,), {})) == 161
    assert told_of_faults([]) == ""
    assert told_of_faults(["a", "b"]) == "; a, b: heal() first where they are to converge"


def test_a_class_of_a_test_is_found_again_by_another_process() -> None:
    """By its file, or by its module where that has a package; what cannot be found says so in one sentence."""

    class Local(StateMachine):
        size: int = 0

    here = Path(__file__).resolve()
    by_file, by_module = (f"{here}:Box", None), (f"{__name__}:Box", here.parents[2])
    assert place_of(Box, "application") in (by_file, by_module)
    found, folder = place_of(Table, "application")
    assert found == "pbft.table:Table"
    assert folder is None or (folder / "pbft").is_dir()
    hidden: Any = type("Hidden", (StateMachine,), {"__module__": __name__})
    for cls, sentence in [
        (Local, "defined inside a function; move it to the top of its file, or beside the test"),
        (Box.Inner, "defined inside Box; move it to the top"),
        (hidden, "no module has it under this name; define it with class Hidden in a file"),
    ]:
        with pytest.raises(Misused, match=sentence):
            place_of(cls, "application")
