"""The whole check: what is honest passes with every operation seen, each plant is named, and the report says it all."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pbft.conformance import CheckError, HookError, Report, Rule, check
from pbft.conformance.aspects import Aspect
from pbft.conformance.plans import WORLDS
from pbft.conformance.telling import NO_PROOF
from pbft.loading import AppError
from tests.conformance.plants import write_application

pytestmark = pytest.mark.processes

COUNTER, LEDGER, KV = "pbft_apps.counter:Counter", "pbft_apps.ledger:Ledger", "pbft_apps.kv:KV"

FRAME = """
{imports}
{before}

class Shop(StateMachine):
    last: str = ""
    total: int = 0
    sold: Table[str, int]
    names: Table[str, list[str]]

    @operation
    def sell(self, item: str, amount: int, context: Context) -> int:
        if amount < 1:
            raise Rejected("sell something")
        self.sold[item] = self.sold.get(item, 0) + amount
        self.names["all"] = [*self.names.get("all", []), item]
        return amount

    @operation
    def take_back(self, item: str) -> int:
        if item not in self.sold:
            raise Rejected("it was not sold")
        return self.sold.pop(item)

    @operation
    def close(self, word: str, context: Context) -> int:
        {close}

    @query
    def count(self) -> int:
        return len(self.sold)
"""


def shop(close: str, before: str = "", imports: str = "") -> str:
    body = "\n        ".join(close.strip().splitlines())
    return FRAME.format(close=body, before=before, imports=imports)


@dataclass(frozen=True)
class Planted:
    """A mistake of the issue's list, as `close` makes it, and what must be said of it."""

    name: str
    close: str
    rule: Rule
    enough: Aspect | None = None
    where: str = ""
    before: str = ""
    imports: str = ""
    steps: int = 1
    """How many operations the least sequence has at most."""


PLANTED = (
    Planted(
        "set order",
        "items = set(self.names.get('all', []))\nself.last = next(iter(items), '')\nreturn len(items)",
        Rule.STATE_DIFFERS,
        Aspect.HASH_SEED,
        "the field last",
        steps=3,
    ),
    Planted(
        "wall clock",
        "self.total = int(time.time())\nreturn 0",
        Rule.STATE_DIFFERS,
        Aspect.CLOCK,
        "the field total",
        imports="import time",
    ),
    Planted("random", "return random.randrange(10**6)", Rule.ANSWER_DIFFERS, Aspect.RANDOM, imports="import random"),
    Planted(
        "a module-level counter",
        "global CLOSED\nCLOSED += 1\nself.total = CLOSED\nreturn 0",
        Rule.STATE_DIFFERS,
        where="the field total",
        before="CLOSED = 0",
    ),
    Planted(
        "a float sum over a set",
        # Not sum(), which makes up for what is rounded off since Python 3.12.
        "total = 0.0\nfor part in {str(n / 7 + 10.0 ** (n % 17)) for n in range(40)}:\n    total += float(part)\n"
        "self.last = str(total)\nreturn 0",
        Rule.STATE_DIFFERS,
        Aspect.HASH_SEED,
        "the field last",
    ),
    Planted(
        "a cache kept through __dict__",
        "cache = type(self).__dict__['CACHE']\nreturn cache.setdefault(word, len(cache))",
        Rule.OUTSIDE_CHANGED,
        where="class attribute Shop.CACHE",
        before="from typing import ClassVar",
    ),
    Planted(
        "a mutable default",
        "self.total = len(note(word))\nreturn 0",
        Rule.STATE_DIFFERS,
        where="the field total",
        before="def note(word, seen=[]):\n    seen.append(word)\n    return seen\n",
    ),
    Planted(
        "dicts built in different orders",
        "by_name = {name: len(name) for name in {'ann', 'bob', 'eve', 'joe', 'sue'}}\n"
        "for name in by_name:\n    self.last = self.last[:8] + name\nreturn 0",
        Rule.STATE_DIFFERS,
        Aspect.HASH_SEED,
        "the field last",
    ),
    Planted(
        "state changed before Rejected",
        "SEEN.append(word)\nraise Rejected('closed')",
        Rule.OUTSIDE_CHANGED,
        where="module variable SEEN",
        before="SEEN = []",
    ),
)


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_a_plant_is_named_at_the_first_operation_that_differs(planted: Planted, tmp_path: Path):
    source = shop(planted.close, planted.before, planted.imports)
    if planted.name.startswith("a cache"):
        source = source.replace('    last: str = ""', '    CACHE: ClassVar[dict[str, int]] = {}\n    last: str = ""')

    report = check(write_application(tmp_path, source).spec, only=["worlds"], examples=10, longest=12)

    assert report.found is not None
    case = report.found.case
    assert case.finding.rule is planted.rule
    assert case.finding.where.startswith(planted.where)
    assert case.finding.step is not None
    assert case.finding.step.told.startswith("close(")
    assert len(case.steps) <= planted.steps
    assert planted.enough is None or report.found.enough == (planted.enough,)
    assert planted.rule is not Rule.OUTSIDE_CHANGED or report.found.enough is None


@pytest.mark.parametrize(("application", "examples"), [(COUNTER, 10), (LEDGER, 60), (KV, 40)])
def test_the_applications_that_come_with_pbft_pass_and_are_seen(application: str, examples: int):
    """Not an operation of theirs that the drawing does not get through to."""
    report = check(application, examples=examples, only=["source", "worlds"])

    assert report.ok, report.lines
    assert report.worlds is not None
    assert all(each.accepted >= 5 for each in report.worlds.tallies.values()), report.worlds.tallies
    assert not [line for line in report.lines if "so little was seen" in line]
    assert report.lines[-1] == NO_PROOF
    assert f"{WORLDS} processes" in "\n".join(report.lines)


def test_all_stages_run_in_their_order():
    heard: list[str] = []
    report = check(COUNTER, examples=10, faults=range(2), told=lambda lines: heard.extend(lines))

    assert [line.split()[0] for line in heard if not line.startswith(" ")] == ["source", "worlds", "faults"]
    assert report.lines == [*heard, NO_PROOF]
    assert report.faults is not None
    assert report.faults.groups == 2
    report.raise_for_findings()
    told = json.loads(json.dumps(report.to_json()))
    assert told["ok"] is True
    assert told["worlds"]["tried"]["add"]["accepted"] > 10


def test_groups_run_alone_with_operations_that_a_rehearsal_found():
    report = check(LEDGER, only=["faults"], faults=range(1))

    assert report.worlds is None
    assert report.faults is not None
    assert report.faults.operations > 0
    assert report.ok


def test_a_finding_is_told_whole_and_groups_are_not_run(tmp_path: Path):
    """Which operations, what differs, what it takes, where to look in the source, and the script, which is written."""
    source = shop("self.total = int(time.time())\nreturn 0", imports="import time")
    subject = write_application(tmp_path, source)

    report = check(subject.spec, examples=10, longest=12, save=tmp_path / "found")

    told = "\n".join(report.lines)
    assert not report.ok
    assert "worlds    the state differs, at operation 1 of 1" in told
    assert '  close("a")' in told
    assert "  it takes another clock: use the context's time_ms" in told
    assert "  see " in told
    assert f"python {tmp_path}/found/check_app.py shows it again" in told
    assert "faults    not run" in told
    assert NO_PROOF not in told
    assert report.saved is not None
    assert "close" in report.saved.read_text()
    finding = json.loads(json.dumps(report.to_json()))["worlds"]["finding"]
    assert (finding["rule"], finding["where"], finding["takes"]) == ("state_differs", "the field total", ["clock"])


def test_a_test_of_a_user_fails_with_all_that_the_command_prints(tmp_path: Path):
    report = check(
        write_application(tmp_path, shop("return hash(word)")).spec, examples=10, longest=12, only=["worlds"]
    )

    with pytest.raises(AssertionError) as failed:
        report.raise_for_findings()

    told = str(failed.value)
    assert all(line in told for line in report.lines)
    assert "from pbft.conformance import Step, replay" in told


def test_a_folder_that_cannot_be_written_does_not_hide_the_finding(tmp_path: Path):
    (tmp_path / "file").write_text("")
    subject = write_application(tmp_path, shop("return hash(word)"))

    report = check(subject.spec, examples=10, longest=12, only=["worlds"], save=tmp_path / "file" / "below")

    assert report.found is not None
    assert any(line.startswith("  no script was written: ") for line in report.lines)


def test_what_is_hardly_accepted_is_said_and_the_author_can_help(tmp_path: Path):
    """A check digit that no drawing guesses: the check says how little it saw, until values are named."""
    source = """
    class Library(StateMachine):
        books: Table[str, str]

        @operation
        def put(self, isbn: str, context: Context) -> None:
            if len(isbn) != 10 or sum(map(ord, isbn)) % 97 != 11:
                raise Rejected("that is no ISBN")
            self.books[isbn] = context.client
    """
    hook = """
        @classmethod
        def check_values(cls):
            return {"isbn": [f"{n:010}" for n in range(5_000) if sum(map(ord, f"{n:010}")) % 97 == 11]}
    """

    def said(text: str) -> tuple[Report, list[str]]:
        report = check(write_application(tmp_path, text).spec, examples=10, longest=20, only=["worlds"])
        return report, [line for line in report.lines if "was accepted in" in line]

    alone, warned = said(source)
    helped, quiet = said(source + hook)

    assert alone.ok
    assert helped.ok
    assert len(warned) == 1
    assert "put was accepted in 0 of " in warned[0]
    assert "check_values" in warned[0]
    assert quiet == []


class Inner:
    """Holds a class that no other process finds."""

    from pbft_apps.counter import Counter

    class Hidden(Counter):
        """Not at the top of a file."""


@pytest.mark.parametrize(
    ("ask", "error", "says"),
    [
        (lambda folder: check("nowhere.py"), AppError, r"there is no file .*nowhere\.py"),
        (lambda folder: check(Inner.Hidden), AppError, "define it at the top of its file"),
        (lambda folder: check(LEDGER, {"issuer": 5}), AppError, "issuer"),
        (lambda folder: check(COUNTER, {"total": 5}), AppError, "takes no parameters"),
        (lambda folder: check(COUNTER, clients=()), CheckError, "one client"),
        (
            lambda folder: check(
                write_application(folder, shop("return 0") + "\n    check_values = classmethod(lambda cls: 5)\n").spec,
                only=["worlds"],
            ),
            HookError,
            "returns a dict of values",
        ),
    ],
)
def test_what_cannot_be_checked_is_refused_in_a_sentence(
    ask: Callable[[Path], Any], error: type[Exception], says: str, tmp_path: Path
):
    with pytest.raises(error, match=says):
        ask(tmp_path)


@pytest.mark.parametrize("missing", ["hypothesis", "time_machine"])
def test_without_the_extra_it_says_what_to_install(missing: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, missing, None)

    with pytest.raises(CheckError, match=r"pip install 'pbft\[test\]'"):
        check(COUNTER)
