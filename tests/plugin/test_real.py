"""The fixture `pbft_group` over UDP: processes that a test calls, hurts and judges, and that all end with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbft.group_file import read_group
from pbft.lab.processes import running
from pbft.node.marks import keeper
from tests.plugin.writing import HEAD

pytestmark = pytest.mark.processes
pytest_plugins = ["pytester"]

EVERYTHING = """
from pbft.testing.byzantine import WrongReply

class MyOwnLie(WrongReply):
    '''Lies as others do.'''

@pytest.mark.pbft(app=Auction, replicas=7, limits={"checkpoint_interval": 8, "log_size": 16}, view_timeout_ms=500,
                  byzantine={6: MyOwnLie})
def test_everything(pbft_group):
    group = pbft_group
    assert group.real is EXPECTED_REAL
    alice, bob = group.clients("alice", "bob")
    assert alice.call("bid", "lamp", 5) == 5
    with pytest.raises(Rejected, match="lamp stands at 5"):
        bob.call("bid", "lamp", amount=5)
    with pytest.raises(InvalidOperation):
        bob.call("bidd", "lamp")
    with pytest.raises(OperationFailed):
        bob.call("divide", 1, by=0)
    with pytest.raises(Misused, match="there is no replica 7"):
        group.kill(7)
    with pytest.raises(Misused, match="no client is called 'carol'"):
        group.client("carol")
    pending = [client.submit("bid", "desk", amount) for amount in (1, 2) for client in (alice, bob)]
    group.kill(0)
    with pytest.raises(Misused):
        group.kill(0)
    assert [each.submit("best", "lamp").reply().value for each in (alice, bob)] == [5, 5]
    assert sorted(each.done for each in pending) == [True] * 4
    for each in pending:
        try:
            assert each.result() in (1, 2)
        except Rejected:
            pass
    group.restart(0)
    with pytest.raises(Misused, match="replica 0 runs already"):
        group.restart(0)
    group.isolate(4)
    assert alice.call("bid", "lamp", 9) == 9
    group.heal()
    group.assert_converged()
    group.cut(1, 2)
    group.let("prepares from 2 to 3: drop")
    group.heal()
    assert group.correct == (1, 2, 3, 4, 5)
    with pytest.raises(Misused, match="one too many"):
        group.make_byzantine(1, "Silent")
    group.make_byzantine(0, MyOwnLie)
    assert alice.call("best", "lamp") == 9
    group.pause(5)
    with pytest.raises(NotConverged, match="replica 5 cannot converge while paused"):
        group.assert_converged()
    group.resume(5)
    group.run(10)
    group.assert_converged()
    assert group.check_linearizable()
"""


@pytest.mark.parametrize("real", [False, True], ids=["virtual", "real"])
def test_one_test_serves_both_kinds_of_group(pytester: pytest.Pytester, real: bool) -> None:
    """Word for word the same, with every method there is; an application and a lie of the test's own file."""
    pytester.makepyfile(HEAD + EVERYTHING.replace("EXPECTED_REAL", str(real)))
    ran = pytester.runpytest_inprocess("-p", "no:cacheprovider", *(["--pbft-real"] if real else []))
    ran.assert_outcomes(passed=1)


FAILING = """
import json, pathlib

@pytest.mark.pbft(app=Auction, real=True, parameters={}, seeds=3)
def test_fails(pbft_group):
    pathlib.Path("where").write_text(str(pbft_group.directory / "group"))
    (alice,) = pbft_group.clients("alice")
    pbft_group.cut(1, 2)
    pbft_group.heal()
    with pytest.raises(Misused, match="nobody can look into a real replica's memory"):
        pbft_group.state(0)
    with pytest.raises(Misused, match="a real group has no cluster"):
        pbft_group.cluster
    pbft_group.kill(3)
    END
"""


def ended(directory: Path) -> bool:
    """Say whether nothing of a group runs any more."""
    files = read_group(directory)
    return running(files) == {} and keeper(files.data_folder) is None


def test_a_failure_tells_of_processes_and_leaves_none(pytester: pytest.Pytester) -> None:
    """What was done, what `pbft explain` says, each replica's last words, and the command; once, whatever seeds say."""
    pytester.makepyfile(test_auction=HEAD + FAILING.replace("END", 'assert alice.call("bid", "lamp", 5) == 6'))
    ran = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(
        [
            "E * assert 5 == 6",
            "*- pbft group -*",
            "4 replicas run Auction for alice, bob over UDP on 127.0.0.1, in *",
            "* ms  cut 1 2",
            "* ms  kill 3",
            "* ms  alice calls bid('lamp', 5)",
            "* ms  alice is told 5 for bid",
            "what pbft explain says:",
            "*1 of 1 faults are used, and no further one may fail: replica 3 (killed)*",
            "the replicas:",
            "  r0  ok, view 0, *",
            "  r3  not running*",
            "  last words of r0:",
            "    *ready*address 127.0.0.1:*",
            "see it again: pytest test_auction.py::test_fails --pbft-real (real time*",
        ]
    )
    assert ended(Path((pytester.path / "where").read_text()))


def test_ctrl_c_in_a_test_leaves_no_process(pytester: pytest.Pytester) -> None:
    """While a call waits for an answer that cannot come; and pytest ends as it always does then."""
    pause = 'pbft_group.pause(0); pbft_group.pause(1); os.kill(os.getpid(), signal.SIGINT); alice.call("best", "x")'
    pytester.makepyfile(test_auction=HEAD + "\nimport os, signal\n" + FAILING.replace("END", pause))
    ran = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    assert ran.ret == pytest.ExitCode.INTERRUPTED
    assert ended(Path((pytester.path / "where").read_text()))


def test_a_group_that_cannot_start_is_one_sentence(pytester: pytest.Pytester) -> None:
    """A class inside a function, a package's module by its name, values that group.toml cannot tell."""
    package = pytester.mkpydir("house")
    (package / "words.py").write_text("LAMP = 'lamp'\n")
    (package / "room.py").write_text(
        "from house.words import LAMP\nfrom pbft import StateMachine, query\n"
        "class Room(StateMachine):\n    @query\n    def what(self) -> str:\n        return LAMP\n"
    )
    pytester.syspathinsert()
    pytester.makepyfile(
        HEAD
        + """
from house.room import Room

def make():
    class Hidden(StateMachine):
        size: int = 0
    return Hidden

class Shelf(StateMachine):
    size: int = 0
    owner: str = ""
    def __init__(self, size: int | str, owner: bytes = b"") -> None:
        self.owner = str(size) + owner.hex()

pytestmark = pytest.mark.pbft(real=True, clients=("carol",))

@pytest.mark.pbft(app=make())
def test_hidden(pbft_group):
    pass

@pytest.mark.pbft(app=Shelf, parameters={"size": "5"})
def test_parameter(pbft_group):
    pass

@pytest.mark.pbft(app=Room, loss=0.1)
def test_room(pbft_group):
    assert pbft_group.client("carol").call("what") == "lamp"
"""
    )
    ran = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    ran.assert_outcomes(passed=1, errors=2)
    ran.stdout.fnmatch_lines(
        [
            'the application "Hidden" cannot run in a process of its own, since it is defined inside a function; *',
            "the parameter size has a value that group.toml cannot tell to a real group: '5'",
        ]
    )


def test_what_only_virtual_time_has_is_skipped_where_an_option_asks_for_processes(pytester: pytest.Pytester) -> None:
    """A whole suite runs under --pbft-real, and says which tests could not."""
    pytester.makepyfile(
        HEAD
        + """
@pytest.mark.pbft(app=Auction, reorder=0.1)
def test_mark(pbft_group):
    pass

@pytest.mark.pbft(app=Auction)
def test_state(pbft_group):
    assert pbft_group.state(0).rounds == 1
"""
    )
    ran = pytester.runpytest_inprocess("--pbft-real", "-rs")
    ran.assert_outcomes(skipped=2)
    ran.stdout.fnmatch_lines(["*reorder means something on virtual time only, and this group is to be real"])
    ran.stdout.fnmatch_lines(["*nobody can look into a real replica's memory; *"])
