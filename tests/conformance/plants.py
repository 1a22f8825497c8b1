"""Applications with one mistake each, as their authors would write them, and what a check must say of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from pbft.conformance.findings import Rule
from pbft.conformance.steps import Step
from pbft.conformance.subject import Subject

HEAD = "from pbft import Context, Rejected, StateMachine, Table, operation, query\n"

Call = tuple[object, ...]
"""A client, an operation, and its arguments."""


@dataclass(frozen=True)
class Plant:
    """An application, operations that show its mistake, and the finding that names it."""

    name: str
    source: str
    calls: tuple[Call, ...]
    rule: Rule
    place: int | None
    """None where it takes luck."""
    where: str
    cause: str = ""
    """What one of the causes must say."""
    restores: tuple[int, ...] = ()

    def steps(self) -> list[Step]:
        return steps_of(self.calls)

    def subject(self, folder: Path) -> Subject:
        return write_application(folder, self.source)


def steps_of(calls: Sequence[Call]) -> list[Step]:
    return [
        Step.call(str(client), 1_700_000_000_000 + 1_000 * at, str(name), tuple(args))
        for at, (client, name, *args) in enumerate(calls)
    ]


def write_application(folder: Path, source: str, name: str = "") -> Subject:
    """Write a file with one application and return it as a subject; a class that is no StateMachine needs its name."""
    path = folder / "app.py"
    path.write_text(HEAD + dedent(source))
    return Subject.of(f"{path}:{name}" if name else str(path))


def _body(operation: str, fields: str = "", before: str = "", imports: str = "", arguments: str = "word: str") -> str:
    """Return an application with one operation, `work`."""
    lines = "\n".join(f"        {line}" for line in dedent(operation).strip().splitlines())
    declared = "\n".join(f"    {line}" for line in dedent(fields).strip().splitlines())
    return (
        f"{imports}\n{dedent(before)}\nclass Plant(StateMachine):\n    last: str = ''\n    count: int = 0\n"
        f"    items: Table[str, int]\n{declared}\n\n    @operation\n    def work(self, {arguments}) -> int:\n{lines}\n"
    )


_WORK: tuple[Call, ...] = (("alice", "work", "lamp"), ("bob", "work", "chair"), ("alice", "work", "lamp"))
_LAST = "the field last"


@dataclass(frozen=True)
class Use:
    """An operation that keeps what an expression gives, which differs from process to process."""

    name: str
    expression: str
    cause: str = ""


_CLOCK, _RANDOM, _SYSTEM = "it read a clock", "it drew from the module random", "it drew random bytes from the system"

USES = (
    Use("time", "time.time()", _CLOCK),
    Use("time_by_name", "now()", _CLOCK),
    Use("datetime_now", "datetime.now()", _CLOCK),
    Use("today", "date.today()", _CLOCK),
    Use("strftime", "time.strftime('%j %H')", _CLOCK),
    Use("monotonic", "monotonic()", _CLOCK),
    Use("perf_counter", "time.perf_counter_ns()", _CLOCK),
    Use("clock_gettime", "time.clock_gettime(time.CLOCK_MONOTONIC)", _CLOCK),
    Use("duration", "int(-time.time() + time.time())", _CLOCK),
    Use("random", "random.random()", _RANDOM),
    Use("generator_without_a_seed", "random.Random().random()", _SYSTEM),
    Use("system_random", "random.SystemRandom().random()", _SYSTEM),
    Use("uuid4", "uuid.uuid4()", _SYSTEM),
    Use("secrets", "secrets.token_hex(4)", _SYSTEM),
    Use("urandom", "os.urandom(4)", _SYSTEM),
    Use("environment", "os.environ.get('USER')", 'it read the variable "USER"'),
    Use("working_directory", "os.getcwd()"),
    Use("locale", "locale.setlocale(locale.LC_ALL, '')"),
    Use("time_zone", "datetime.fromtimestamp(1_700_000_000)"),
    Use("hash", "hash(word)"),
    Use("id", "id(self)"),
    Use("set_order", "list({'ann', 'bob', 'eve', 'joe', 'sue'})"),
    Use("dict_from_a_set", "list(dict.fromkeys({'ann', 'bob', 'eve', 'joe', word}))"),
    # Not sum(), which makes up for what is rounded off since Python 3.12.
    Use("float_sum", "reduce(add, (float(x) for x in {'1e16', '1', '-1e16', '3.5', '0.1', '7e15'}))"),
)

_IMPORTS = """
import locale, os, random, secrets, time, uuid
from datetime import date, datetime
from functools import reduce
from operator import add
from time import monotonic, time as now
"""

USING = f"{_IMPORTS}\nclass Using(StateMachine):\n    last: str = ''\n" + "".join(
    f"""
    @operation
    def {use.name}(self, word: str) -> int:
        self.last = str({use.expression})
        return 0
"""
    for use in USES
)
"""All of them as operations of one application."""

_COUNTER = "module variable COUNT"

PLANTS = (
    Plant(
        "the order of two",
        _body("self.last = next(iter({word, 'table'}))\nreturn 0"),
        tuple(("alice", "work", f"word-{n}") for n in range(12)),
        Rule.STATE_DIFFERS,
        None,
        _LAST,
    ),
    Plant(
        "a Table filled in another order of rounds",
        _body("for n, name in enumerate({word, 'ann', 'bob', 'eve', 'joe'}):\n    self.items[name] = n\nreturn 0"),
        _WORK,
        Rule.STATE_DIFFERS,
        0,
        'the key "',
    ),
    Plant(
        "a module counter",
        _body("global COUNT\nCOUNT += 1\nself.count = COUNT\nreturn COUNT", before="COUNT = 0"),
        _WORK,
        Rule.STATE_DIFFERS,
        0,
        "the field count",
        "module variable COUNT was 0 and became 1",
    ),
    Plant(
        "a module counter that nothing depends on",
        _body("global COUNT\nCOUNT += 1\nreturn 0", before="COUNT = 0"),
        _WORK,
        Rule.OUTSIDE_CHANGED,
        0,
        _COUNTER,
    ),
    Plant(
        "a class attribute",
        _body(
            "type(self).seen += 1\nreturn type(self).seen",
            fields="seen: ClassVar[int] = 0",
            imports="from typing import ClassVar",
        ),
        _WORK,
        Rule.ANSWER_DIFFERS,
        0,
        "the answer",
        "class attribute Plant.seen was 0 and became 1",
    ),
    Plant(
        "a cache in the module",
        _body("return CACHE.setdefault(word, len(CACHE))", before="CACHE = {}"),
        _WORK[:2],
        Rule.ANSWER_DIFFERS,
        0,
        "the answer",
        'module variable CACHE["lamp"] was nothing and became 0',
    ),
    Plant(
        "a cache in the own dict",
        _body("return self.__dict__.setdefault('_cache', len(word))"),
        _WORK,
        Rule.BROKE_A_RULE,
        0,
        "",
    ),
    Plant(
        "a cache in a slot",
        _body(
            "NOTES.last = word\nreturn 0",
            before="""
            class Notes:
                __slots__ = ("last",)
                def __init__(self):
                    self.last = "nobody"
            NOTES = Notes()
            """,
        ),
        _WORK,
        Rule.OUTSIDE_CHANGED,
        0,
        "module variable NOTES.last",
    ),
    Plant(
        "functools.cache over the state",
        _body(
            "self.count += 1\nreturn price(self)",
            before="""
            import functools
            @functools.cache
            def price(machine):
                return machine.count
            """,
        ),
        _WORK,
        Rule.ANSWER_DIFFERS,
        2,
        "the answer",
        restores=(2,),
    ),
    Plant(
        "a mutable default",
        _body("return note(word)", before="def note(word, seen=[]):\n    seen.append(word)\n    return len(seen)\n"),
        _WORK,
        Rule.ANSWER_DIFFERS,
        0,
        "the answer",
        "default seen of note()",
    ),
    Plant(
        "a closure",
        _body(
            "return bump()",
            before="""
            def make():
                total = 0
                def bump():
                    nonlocal total
                    total += 1
                    return total
                return bump
            bump = make()
            """,
        ),
        _WORK,
        Rule.ANSWER_DIFFERS,
        0,
        "the answer",
        "closure variable total of bump() was 0 and became 1",
    ),
    Plant(
        "an attribute of a function",
        _body("note.calls = getattr(note, 'calls', 0) + 1\nreturn 0", before="def note():\n    pass\n"),
        _WORK,
        Rule.OUTSIDE_CHANGED,
        0,
        "attribute calls of note()",
    ),
    Plant(
        "an iterator",
        _body("return next(NUMBERS)", before="import itertools\nNUMBERS = itertools.count()"),
        _WORK,
        Rule.ANSWER_DIFFERS,
        0,
        "the answer",
        "module variable NUMBERS was count(0) and became count(1)",
    ),
    Plant(
        "noted before it was rejected",
        _body("SEEN.append(word)\nraise Rejected('no')", before="SEEN = []"),
        _WORK,
        Rule.OUTSIDE_CHANGED,
        0,
        "module variable SEEN",
    ),
    Plant(
        "what is alive by weak references",
        _body(
            "Visitor(word)\nreturn len(ALIVE)",
            before="""
            import weakref
            ALIVE = weakref.WeakSet()
            class Visitor:
                def __init__(self, name):
                    self.name, self.me = name, self
                    ALIVE.add(self)
            """,
        ),
        _WORK,
        Rule.ANSWER_DIFFERS,
        0,
        "the answer",
    ),
    Plant(
        "a thread",
        _body("threading.Thread(target=print).start()\nreturn 0", imports="import threading"),
        _WORK,
        Rule.OUTSIDE_CHANGED,
        0,
        "a thread",
    ),
    Plant(
        "a query that changes the state",
        _body("return 0")
        + "\n    @query\n    def look(self) -> int:\n        self.count += 1\n        return self.count\n",
        (("alice", "work", "lamp"), ("bob", "look")),
        Rule.BROKE_A_RULE,
        1,
        "",
    ),
    Plant(
        "a query that counts beside the state",
        _body("return 0", before="LOOKS = {}")
        + "\n    @query\n    def look(self) -> int:\n        LOOKS['n'] = 1\n        return 0\n",
        (("alice", "work", "lamp"), ("bob", "look")),
        Rule.OUTSIDE_CHANGED,
        1,
        'module variable LOOKS["n"]',
    ),
    Plant(
        "an operation that does not end",
        _body("while word == 'chair':\n    pass\nreturn 0"),
        _WORK,
        Rule.HANGS,
        1,
        "",
    ),
    Plant(
        "an operation that ends the process",
        _body("if word == 'chair':\n    os._exit(3)\nreturn 0", imports="import os"),
        _WORK,
        Rule.ENDS_THE_PROCESS,
        1,
        "",
    ),
    Plant(
        "an operation that crashes the process",
        _body("if word == 'chair':\n    os.abort()\nreturn 0", imports="import os"),
        _WORK,
        Rule.ENDS_THE_PROCESS,
        1,
        "",
    ),
    Plant(
        "an operation that forks",
        _body("os.fork()\nreturn 0", imports="import os"),
        _WORK,
        Rule.OUTSIDE_CHANGED,
        0,
        "a process",
    ),
    Plant(
        "a first state that differs",
        _body("return 0") + "\n    def __init__(self) -> None:\n        self.count = int(time.time())\n\nimport time\n",
        _WORK,
        Rule.FIRST_STATE_DIFFERS,
        -1,
        "the field count",
    ),
    Plant(
        "a first state that depends on what came before",
        _body("return 0", before="MADE = []")
        + "\n    def __init__(self) -> None:\n        MADE.append(1)\n        self.count = len(MADE)\n",
        _WORK,
        Rule.FIRST_STATE_DIFFERS,
        -1,
        "the field count",
    ),
    Plant(
        "an import that reads the clock",
        _body("self.count = START\nreturn 0", before="import time\nSTART = int(time.time())"),
        _WORK,
        Rule.STATE_DIFFERS,
        0,
        "the field count",
    ),
    Plant(
        "an import that fails elsewhere",
        _body("return 0", before="import os\nassert os.environ['HOME'].find('pbft-check') < 0, 'no home'"),
        _WORK,
        Rule.IMPORT_DIFFERS,
        -1,
        "the import",
    ),
)
