"""The same operations in processes that differ: what is honest passes, and a mistake is named where it shows first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pbft.application import Outcome
from pbft.conformance.aspects import Aspect
from pbft.conformance.findings import Attempt, Rule
from pbft.conformance.steps import Step
from pbft.conformance.subject import Subject
from pbft.conformance.worlds import Worlds
from pbft.loading import AppError
from pbft.machine import Context, StateMachine, operation
from pbft.table import Table
from tests.conformance.honest import LIKE_A_LIAR
from tests.conformance.plants import PLANTS, USES, USING, Plant, Use, steps_of, write_application

pytestmark = pytest.mark.processes

PATIENCE_S = 3.0
"""An operation of these takes some microseconds, or for ever."""


def attempt(subject: Subject, steps: list[Step], restores: tuple[int, ...] = (), **options: object) -> Attempt:
    with Worlds(subject, patience_s=PATIENCE_S, **options) as worlds:  # type: ignore[arg-type]
        return worlds.attempt(steps, restores)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_a_mistake_is_named_at_the_first_operation_that_shows_it(plant: Plant, tmp_path: Path):
    finding = attempt(plant.subject(tmp_path), plant.steps(), plant.restores).finding

    assert finding is not None
    assert finding.rule is plant.rule
    assert plant.place in (None, finding.place)
    assert finding.where.startswith(plant.where)
    assert any(plant.cause in cause for cause in (finding.sentence, *finding.causes))


@pytest.fixture(scope="module")
def using(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    with Worlds(write_application(tmp_path_factory.mktemp("using"), USING), patience_s=PATIENCE_S) as worlds:
        yield worlds


@pytest.mark.parametrize("use", USES, ids=lambda use: use.name)
def test_what_differs_between_hosts_shows_in_the_field_that_took_it(use: Use, using: Worlds):
    finding = using.attempt(steps_of([("alice", use.name, "lamp")])).finding

    assert finding is not None
    assert (finding.rule, finding.place, finding.where) == (Rule.STATE_DIFFERS, 0, "the field last")
    assert finding.here != finding.there
    assert use.cause == "" or any(use.cause in cause for cause in finding.causes)


@pytest.mark.parametrize("use", [use for use in USES if use.name != "id"], ids=lambda use: use.name)
def test_an_attempt_repeated_gives_the_same(use: Use, using: Worlds):
    """All but addresses follow from the world: hypothesis would call anything else flaky."""
    steps = steps_of([("alice", use.name, "lamp"), ("bob", use.name, "chair")])

    assert using.attempt(steps, [1]) == using.attempt(steps, [1])


@pytest.mark.parametrize(
    ("aspect", "names"),
    [
        (Aspect.HASH_SEED, ["hash", "set_order", "dict_from_a_set", "float_sum"]),
        (Aspect.CLOCK, ["time", "time_by_name", "datetime_now", "today", "strftime", "monotonic", "perf_counter"]),
        (Aspect.RANDOM, ["random", "generator_without_a_seed", "system_random", "uuid4", "secrets", "urandom"]),
        (Aspect.TIME_ZONE, ["time_zone"]),
        (Aspect.PLACE, ["environment", "working_directory", "locale"]),
    ],
    ids=lambda each: each.value if isinstance(each, Aspect) else "",
)
def test_an_aspect_alone_shows_what_depends_on_it_and_nothing_else(aspect: Aspect, names: list[str], tmp_path: Path):
    with Worlds(write_application(tmp_path, USING), [aspect]) as worlds:
        for use in USES:
            finding = worlds.attempt(steps_of([("alice", use.name, "lamp")])).finding
            if use.name in names:
                assert finding is not None, use.name
            elif use.name not in ("id", "clock_gettime", "duration", "today", "strftime", "datetime_now"):
                assert finding is None, use.name


def test_when_memory_is_cleared_shows_by_itself_at_the_second_operation(tmp_path: Path):
    """What the first one left behind is gone by then in one process, and is there in another."""
    subject = write_application(
        tmp_path,
        """
        import string, weakref

        # In a module of somebody else's, where nobody looks for changes.
        string.alive = weakref.WeakSet()

        class Visitor:
            def __init__(self):
                self.me = self
                string.alive.add(self)

        class Door(StateMachine):
            @operation
            def enter(self) -> int:
                Visitor()
                return len(string.alive)
        """,
    )
    with Worlds(subject, [Aspect.MEMORY]) as worlds:
        finding = worlds.attempt(steps_of([("alice", "enter"), ("alice", "enter")])).finding

    assert finding is not None
    assert (finding.rule, finding.place, finding.here, finding.there) == (Rule.ANSWER_DIFFERS, 1, "1", "2")


class Echo(StateMachine):
    """An application in a test's own file, with a parameter and each kind of field."""

    size: int
    last: tuple[str, int] | None = None
    seen: Table[str, int]

    def __init__(self, size: int = 3) -> None:
        self.size = size

    @operation
    def say(self, word: str, context: Context) -> str:
        self.seen[word] = self.seen.get(word, 0) + 1
        self.last = (context.client, context.time_ms)
        return word * self.size


HONEST: list[tuple[str, object, list[tuple[object, ...]]]] = [
    ("counter", "counter", [("alice", "add", 5), ("bob", "add", -7), ("bob", "value"), ("eve", "add", "x")]),
    (
        "ledger",
        "ledger",
        [
            ("alice", "open", "a"),
            ("bob", "open", "b"),
            ("alice", "mint", "a", 10),
            ("alice", "transfer", "a", "b", 5),
            ("alice", "statement", "a"),
            ("bob", "balance", "nobody"),
        ],
    ),
    ("a test's own class", Echo, [("alice", "say", "hello"), ("bob", "say", "hello"), ("bob", "say", "bye")]),
]


@pytest.mark.parametrize(("name", "application", "calls"), HONEST, ids=[name for name, *_ in HONEST])
def test_an_honest_application_gives_no_finding_and_no_warning(
    name: str, application: object, calls: list[tuple[object, ...]]
):
    parameters = {"issuer": "alice", "clients": ("alice", "bob")} if name == "ledger" else {}
    steps = [*steps_of(calls), Step("eve", 1, b"garbage"), Step("eve", 2, b"")]

    found = attempt(Subject.of(application, parameters), steps, tuple(range(len(steps) + 1)))

    assert (found.finding, found.warnings) == (None, ())
    assert [result.outcome for result in found.results][-2:] == [Outcome.INVALID] * 2


def test_what_is_made_when_first_needed_is_told_and_no_finding(tmp_path: Path):
    """A pattern compiled late, and functools.cache over arguments alone: right, and worth a word."""
    subject = write_application(tmp_path, LIKE_A_LIAR)
    words = ["lamp", "chair", "lamp", "!", "table"]
    steps = steps_of([("alice", name, word) for word in words for name in ("sell", "look")])

    found = attempt(subject, steps, (2, 5))

    assert found.finding is None
    assert {(warning.rule, warning.where) for warning in found.warnings} == {
        (Rule.REMEMBERED_OUTSIDE, "module variable HIDDEN"),
        (Rule.REMEMBERED_OUTSIDE, "the cache of double()"),
    }


def test_an_operation_that_fails_or_forgets_to_write_back_is_told(tmp_path: Path):
    subject = write_application(
        tmp_path,
        """
        class Shop(StateMachine):
            sold: Table[str, dict[str, int]]

            @operation
            def sell(self, word: str) -> int:
                entry = self.sold.setdefault(word, {"count": 0})
                entry["count"] += 1
                return 0

            @operation
            def fail(self, number: int) -> int:
                return 1 // number

            @operation
            def read(self, path: str) -> int:
                with open(path) as file:
                    return len(file.read())
        """,
    )
    here = str(tmp_path / "app.py")
    found = attempt(subject, steps_of([("a", "sell", "lamp"), ("a", "fail", 0), ("a", "fail", 0), ("a", "read", here)]))

    assert found.finding is None
    told = {(warning.rule, warning.place): warning.sentence for warning in found.warnings}
    assert set(told) == {(Rule.LOST_WRITE, 0), (Rule.FAILED_INSIDE, 1)}
    assert 'under "lamp"' in told[Rule.LOST_WRITE, 0]
    assert "ZeroDivisionError" in told[Rule.FAILED_INSIDE, 1]
    assert "app.py:" in told[Rule.FAILED_INSIDE, 1]


def test_an_error_that_cannot_tell_its_own_text_is_told_without(tmp_path: Path):
    """A StateMachine never asks for the text, so no replica minds: neither does a check."""
    subject = write_application(
        tmp_path,
        """
        class Odd(Exception):
            def __str__(self) -> str:
                raise SystemExit(self.missing)

        class Shop(StateMachine):
            @operation
            def work(self) -> int:
                raise Odd
        """,
    )

    found = attempt(subject, steps_of([("a", "work")]))

    assert found.finding is None
    assert [each.sentence.partition(" (")[0] for each in found.warnings] == ["it failed with Odd"]


def test_a_folder_that_is_listed_is_told_and_an_import_that_looks_for_its_file_is_not(tmp_path: Path):
    """All replicas of a check find the same there, those of a group do not."""
    (tmp_path / "late.py").write_text("WORD = 'late'\n")
    subject = write_application(
        tmp_path,
        f"""
        import os, sys

        class Lister(StateMachine):
            @operation
            def look(self) -> int:
                return len(os.listdir("/"))

            @operation
            def load(self) -> str:
                sys.path.append({str(tmp_path)!r})
                import late
                return late.WORD
        """,
    )

    found = attempt(subject, steps_of([("a", "look"), ("a", "load")]))

    assert [each.sentence for each in found.warnings] == ['it listed the folder "/"']


def test_a_class_that_can_be_created_nowhere_is_no_finding_but_an_error():
    subject = Subject.of("ledger", {"issuer": "eve", "clients": ("alice",)})

    with Worlds(subject) as worlds, pytest.raises(AppError, match="eve is no client"):
        worlds.attempt(steps_of([("alice", "supply")]))


def test_an_import_that_fails_everywhere_is_an_error(tmp_path: Path):
    with pytest.raises(AppError, match="does not import: NameError"), Worlds(write_application(tmp_path, "x = y")):
        raise AssertionError


@pytest.mark.parametrize("code", ["while True: pass", "import os; os._exit(4)"], ids=["hangs", "ends"])
def test_an_import_that_does_not_come_back_is_an_error(code: str, tmp_path: Path):
    with pytest.raises(AppError, match="importing"), Worlds(write_application(tmp_path, code), patience_s=1):
        raise AssertionError
