"""The mark `pbft`: what its arguments may be, how marks add up, and what a wrong one says."""

from __future__ import annotations

import pytest

from tests.plugin.writing import HEAD

pytest_plugins = ["pytester"]

WRONG = [
    ("aap=Auction", '*the mark pbft has no argument "aap"; did you mean "app"?'),
    ("", "*does not say which application to run; write @pytest.mark.pbft(app=Counter, replicas=4)"),
    ("app=3", "*app is a class derived from pbft.StateMachine, as in @pytest.mark.pbft(app=Counter*, not 3"),
    ("app=StateMachine", "*app is a class of your own, derived from pbft.StateMachine*"),
    ("app='auktion.py:Auction'", "*there is no file auktion.py"),
    ("app=Auction, replicas=3", "*a group has 4 to 1000 replicas, not 3: 3f + 1 of them survive f faults"),
    ("app=Auction, replicas='4'", "*replicas is a whole number, not '4'"),
    ("app=Auction, clients='alice'", "*clients are names, as in clients=('alice', 'bob'), not 'alice'"),
    ("app=Auction, clients=['a', 'a']", '*clients names "a" twice;*'),
    ("app=Auction, clients=['a b']", "*a client's name has 1 to 64 of *; 'a b' does not fit"),
    (
        "app=Auction, byzantine={3: 'Equivocater'}",
        '*there is no misbehaviour "Equivocater"*did you mean "Equivocator"?',
    ),
    ("app=Auction, byzantine={4: 'Silent'}", "*byzantine names replica 4, and they are 0 to 3"),
    ("app=Auction, byzantine=3", "*byzantine says which replica lies and how, as in byzantine={3: 'Equivocator'}*"),
    (
        "app=Auction, byzantine={2: 'Silent', 3: 'Silent'}",
        "*4 replicas survive 1 faulty, and byzantine names replicas 2 and 3; take replicas=7, or say beyond=True*",
    ),
    ("app=Auction, byzantine={3: 'censor carol'}", '*no client is called "carol"*'),
    ("app=Auction, seeds='many'", "*seeds says how often the test runs*: 1 to 100000, not 'many'"),
    ("app=Auction, seeds=0", "*seeds says how often the test runs*"),
    ("app=Auction, seed=-1", "*seed is a whole number of at least 0, not -1"),
    ("app=Auction, loss=20", "*loss is a share of the messages, from 0 up to but not including 1, not 20"),
    ("app=Auction, delay_ms=5", "*delay_ms goes from at least 1 ms up to no less, as in delay_ms=(1, 10), not 5"),
    ("app=Auction, limits={'logsize': 4}", '*there is no limit "logsize"; did you mean "log_size"?'),
    ("app=Auction, limits={'log_size': 4}", "*limits: log_size (L) must be at least twice checkpoint_interval (K)"),
    ("app=Auction, parameters={'first': 1}", '*Auction takes no parameters, but "first" was given'),
    ("app=Auction, invariant=3", "*invariant is a function of the application*, not 3"),
    ("app=Auction, real='yes'", "*real is True or False, not 'yes'"),
    ("app=Auction, view_timeout_ms=0", "*view_timeout_ms is a whole number of milliseconds, not 0"),
    ("app=Auction, real=True, reorder=0.1", "*reorder means something on virtual time only*; leave one of the two out"),
    ("Auction, replicas=4", "*the mark pbft takes its arguments by name, as in *"),
]


@pytest.mark.parametrize(("said", "sentence"), WRONG, ids=[said for said, _ in WRONG])
def test_a_wrong_argument_is_one_sentence(pytester: pytest.Pytester, said: str, sentence: str) -> None:
    """An error of the test, without a traceback through our code, and the sentence is all that is shown."""
    pytester.makepyfile(HEAD + f"\n@pytest.mark.pbft({said})\ndef test_it(pbft_group):\n    pass\n")
    ran = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    ran.assert_outcomes(errors=1)
    lines = ran.stdout.lines
    shown = lines[next(i for i, line in enumerate(lines) if "ERROR at setup of test_it" in line) + 1 :]
    assert shown[1].startswith("===="), shown
    ran.stdout.fnmatch_lines([sentence])


def test_without_a_mark_the_fixture_says_what_to_write(pytester: pytest.Pytester) -> None:
    """The first thing that anybody forgets."""
    pytester.makepyfile("def test_it(pbft_group): pass")
    ran = pytester.runpytest_inprocess()
    ran.assert_outcomes(errors=1)
    ran.stdout.fnmatch_lines(
        ["pbft_group needs to know which application to run; write @pytest.mark.pbft(app=Counter, replicas=4) above*"]
    )


def test_the_nearest_mark_has_the_word_on_each_argument(pytester: pytest.Pytester) -> None:
    """Marks of module, class, test and parameter add up, one argument at a time."""
    pytester.makepyfile(
        HEAD
        + """
pytestmark = pytest.mark.pbft(app=Auction, clients=("carol",), seed=1)

def test_module(pbft_group):
    assert (pbft_group.n, pbft_group.seed, pbft_group.clients()[0].name) == (4, 1, "carol")

@pytest.mark.pbft(replicas=7, seed=2)
class TestSeven:
    def test_class(self, pbft_group):
        assert (pbft_group.n, pbft_group.faults, pbft_group.seed) == (7, 2, 2)

    @pytest.mark.pbft(seed=3, byzantine={1: "Silent", 2: "Silent"})
    def test_own(self, pbft_group):
        assert (pbft_group.n, pbft_group.seed, pbft_group.correct) == (7, 3, (0, 3, 4, 5, 6))

    @pytest.mark.parametrize("n", [pytest.param(n, marks=pytest.mark.pbft(replicas=n)) for n in (4, 5)])
    def test_parameter(self, pbft_group, n):
        assert pbft_group.n == n
"""
    )
    pytester.runpytest_inprocess("--strict-markers").assert_outcomes(passed=5)


def test_parameters_are_filled_in_as_for_a_group_of_people(pytester: pytest.Pytester) -> None:
    """The first client issues and `clients` are all of them, as `pbft init` does it; registered names work as app."""
    pytester.makepyfile(
        HEAD
        + """
class Club(StateMachine):
    first: str = ""
    size: int = 0
    dues: int = 0

    def __init__(self, issuer: str, clients: tuple[str, ...], dues: int = 1) -> None:
        self.first, self.size, self.dues = issuer, len(clients), dues

@pytest.mark.pbft(app=Club, clients=("x", "y", "z"), parameters={"dues": 7})
def test_club(pbft_group):
    seen = pbft_group.state(0)
    assert (seen.first, seen.size, seen.dues) == ("x", 3, 7)

@pytest.mark.pbft(app="counter")
def test_named(pbft_group):
    assert pbft_group.client("alice").call("add", 5) == 5
"""
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=2)


def test_the_mark_is_told_by_pytest(pytester: pytest.Pytester) -> None:
    """`pytest --markers` and `pytest --fixtures` name what there is, and `-p no:pbft` takes it away."""
    pytester.runpytest_inprocess("--markers").stdout.fnmatch_lines(["@pytest.mark.pbft(app, replicas=4, *"])
    pytester.runpytest_inprocess("--fixtures", "-v").stdout.fnmatch_lines(
        ["pbft_group*", "*A group of replicas*", "*`pydoc pbft.plugin.group.Group` has all."]
    )
    pytester.makepyfile(HEAD + "\ndef test_it(pbft_group): pass")
    ran = pytester.runpytest_inprocess("-p", "no:pbft")
    ran.assert_outcomes(errors=1)
    ran.stdout.fnmatch_lines(["*fixture 'pbft_group' not found"])
