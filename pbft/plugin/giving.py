"""Giving a test its group, and taking it back.

Owns: which kind of group a test gets and under which seed, what is judged at a test's end, and when a report tells of
the group.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from pbft.plugin.group import SECTION, Group, Misused, refuse
from pbft.plugin.hooks import arguments
from pbft.plugin.report import command
from pbft.plugin.wanted import EXAMPLE, VIRTUAL_ONLY, Wanted, usual_seed

__tracebackhide__ = True

_UNSEEN: Final = (
    "an oracle of the simulator saw this, and the test passed over it; beyond=True in the mark is for that:"
)


class Given:
    """A group that a test has in hand."""

    def __init__(self, group: Any, head: str, again: str) -> None:
        self._group = group
        self._head = head
        self._again = again
        self._passed = False

    @property
    def group(self) -> Group:
        """The group itself."""
        group: Group = self._group
        return group

    @classmethod
    @contextmanager
    def to(cls, request: pytest.FixtureRequest) -> Iterator[Given]:
        """Make the group that a test's marks ask for, and end it afterwards. What is wrong with them fails the test."""
        made: tuple[Wanted, Given] | str
        try:
            wanted = _read(request)
            seed = _seed(request, wanted)
            made = wanted, (cls._real if wanted.real else cls._simulated)(request, wanted, seed)
        except Misused as error:
            made = str(error)
        if isinstance(made, str):
            # Only here, so that nothing but the sentence is shown.
            pytest.fail(made, pytrace=False)
        wanted, given = made
        try:
            yield given
        finally:
            given._group.close()
        broken = None if wanted.real or wanted.beyond else given._group.broken
        if broken is not None and given._passed:
            pytest.fail(f"{_UNSEEN}\n{broken.oracle}: {broken.sentence}", pytrace=False)

    @classmethod
    def _simulated(cls, request: pytest.FixtureRequest, wanted: Wanted, seed: int) -> Given:
        from pbft.plugin.simulated import SimulatedGroup

        head = f"seed {seed}: {_names(wanted)} on virtual time"
        return cls(SimulatedGroup(wanted, seed), head, _command(request, seed))

    @classmethod
    def _real(cls, request: pytest.FixtureRequest, wanted: Wanted, seed: int) -> Given:
        from pbft.plugin.real import RealGroup

        factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
        # Short: what lies in it are sockets, too, whose paths have a limit.
        by_option = request.config.getoption("--pbft-real")
        group = RealGroup(wanted, seed, factory.mktemp("pbft"), pytest.skip if by_option else refuse)
        head = f"{_names(wanted)} over UDP on 127.0.0.1, in {group.directory}"
        return cls(group, head, f"{_command(request, None)} (real time: never quite the same run)")

    def note(self, report: pytest.TestReport, call: pytest.CallInfo[None]) -> None:
        """Learn how a phase of the test went, and add the group's section where it failed."""
        if report.when == "call":
            self._passed = report.passed
        if report.failed and call.excinfo is not None:
            try:
                told = self._group.told()
            except Exception as error:
                told = f"nothing more can be told of the group: {type(error).__name__}: {error}"
            report.sections.append((SECTION, f"{self._head}\n{told}\nsee it again: {self._again}"))


def _read(request: pytest.FixtureRequest) -> Wanted:
    item = request.node
    marks = list(item.iter_markers("pbft"))
    if not marks:
        raise Misused(f"pbft_group needs to know which application to run; write {EXAMPLE} above the test")
    for mark in marks:
        if mark.args:
            raise Misused(f"the mark pbft takes its arguments by name, as in {EXAMPLE}, not {mark.args[0]!r}")
    said = arguments(item)
    by_option = bool(request.config.getoption("--pbft-real"))
    wanted = Wanted.read({**said, "real": True} if by_option else said)
    strange = [name for name in VIRTUAL_ONLY if said.get(name)]
    if wanted.real and strange:
        sentence = f"{strange[0]} means something on virtual time only, and this group is to be real"
        if by_option:
            pytest.skip(sentence)
        raise Misused(f"{sentence}; leave one of the two out")
    return wanted


def _seed(request: pytest.FixtureRequest, wanted: Wanted) -> int:
    """Return the test's seed: the command line's, or that of this run of several, or the mark's, or its name's."""
    option: str | None = request.config.getoption("--pbft-seed")
    if option is not None:
        return int(option)
    drawn = getattr(request, "param", None)
    if drawn is not None:
        return int(drawn)
    if wanted.seeds is not None and not wanted.real:
        raise Misused("seeds belongs into a mark of the test, its class or its module, not of a parameter")
    nodeid: str = request.node.nodeid
    return usual_seed(nodeid) if wanted.seed is None else wanted.seed


def _names(wanted: Wanted) -> str:
    return f"{wanted.replicas} replicas run {wanted.app.__name__} for {', '.join(wanted.clients)}"


def _command(request: pytest.FixtureRequest, seed: int | None) -> str:
    item = request.node
    return command(item.nodeid, item.path, request.config.invocation_params.dir, seed)
