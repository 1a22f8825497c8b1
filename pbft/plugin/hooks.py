"""What pytest calls. Loaded in every run of pytest where pbft is installed, so it imports nothing of pbft.

Owns: the mark, the options, the fixture `pbft_group`, a test's runs by seed, and the section that a failure gets. What
a group is, and what is wrong with a mark, is known to modules that are loaded when a test first asks for a group.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pbft.plugin.giving import Given
    from pbft.plugin.group import Group

__tracebackhide__ = True

GIVEN: pytest.StashKey[Given] = pytest.StashKey()
"""On a test's item: the group that it was given."""

_MARK = (
    "pbft(app, replicas=4, clients=('alice', 'bob'), byzantine={3: 'Equivocator'}, seed=7, seeds=20, loss=0.1, "
    "real=True, …): the group of replicas that the fixture pbft_group gives to a test; `pydoc pbft.plugin.wanted` has "
    "all arguments."
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that choose seeds, and real groups."""
    group = parser.getgroup("pbft", "groups of replicas (fixture pbft_group)")
    group.addoption("--pbft-seed", metavar="N", help="Run each simulated group under this seed, whatever marks say.")
    group.addoption("--pbft-seeds", metavar="N", help="Run each test of a simulated group N times, under N seeds.")
    group.addoption("--pbft-real", action="store_true", help="Run groups as real processes over UDP on 127.0.0.1.")


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known, and refuse options that say nothing."""
    config.addinivalue_line("markers", _MARK)
    for name in ("--pbft-seed", "--pbft-seeds"):
        said = config.getoption(name)
        least = int(name == "--pbft-seeds")
        if said is not None and not (said.isascii() and said.isdecimal() and len(said) <= 18 and int(said) >= least):
            raise pytest.UsageError(f"{name} takes a whole number of at least {least}, not {said!r}")
    if config.getoption("--pbft-seed") is not None and config.getoption("--pbft-seeds") is not None:
        raise pytest.UsageError("--pbft-seed runs one seed and --pbft-seeds many; leave one of them out")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let a test run once a seed where its marks, or the command line, ask for several."""
    if "pbft_group" not in metafunc.fixturenames or metafunc.config.getoption("--pbft-seed") is not None:
        return
    said = arguments(metafunc.definition)
    option = metafunc.config.getoption("--pbft-seeds")
    several = said.get("seeds") if option is None else int(option)
    real = metafunc.config.getoption("--pbft-real") or said.get("real")
    if several is None or real:
        return
    from pbft.plugin.wanted import draw_seeds

    # What is wrong with the mark is said when the test wants its group.
    seeds = draw_seeds(metafunc.definition.nodeid, several, said.get("seed"))
    if seeds:
        metafunc.parametrize("pbft_group", seeds, indirect=True, ids=[f"seed={seed}" for seed in seeds])


@pytest.fixture
def pbft_group(request: pytest.FixtureRequest) -> Iterator[Group]:
    """A group of replicas of the application that the mark names: @pytest.mark.pbft(app=Counter, replicas=4).

    It has clients("alice", "bob"), kill(0), restart(0), cut(1, 2), make_byzantine(3, "Equivocator"), heal(),
    assert_converged() and more: `pydoc pbft.plugin.group.Group` has all.
    """
    from pbft.plugin.giving import Given

    with Given.to(request) as given:
        request.node.stash[GIVEN] = given
        yield given.group


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what there is to know of the group to the report of a failure."""
    report = yield
    given = item.stash.get(GIVEN, None)
    if given is not None:
        given.note(report, call)
    return report


def arguments(node: pytest.Item | Any) -> dict[str, Any]:
    """Return what the marks of a test, its class and its module say together; the nearest has the word on each."""
    said: dict[str, Any] = {}
    for mark in reversed(list(node.iter_markers("pbft"))):
        said.update(mark.kwargs)
    return said
