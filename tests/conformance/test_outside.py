"""What is seen of changes outside the fields: each place by its name, and nothing where nothing changed."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from pbft.conformance.outside import Outside

SOURCE = """
import collections, contextvars, functools, itertools, logging, queue, random, re, threading, weakref
from dataclasses import dataclass, field
from enum import Flag
import {beside}

LIST, DICT, SET, DEQUE = [1], {{"a": [1]}}, {{1}}, collections.deque([1])
COUNTER, DEFAULT, ORDERED = collections.Counter("a"), collections.defaultdict(list), collections.OrderedDict(a=1)
NUMBER, TEXT, NOTHING = 1, "a", None
COUNT, CYCLE, ITERATOR = itertools.count(), itertools.cycle("ab"), iter([1, 2, 3])
RANDOM, QUEUE, VARIABLE = random.Random(1), queue.Queue(), contextvars.ContextVar("v", default=0)
LOG, LOCK, PATTERN = logging.getLogger("x"), threading.Lock(), re.compile("a")
CONSTANTS = {{str(n): n for n in range(50_000)}}
NAN = float("nan")

class Colour(Flag):
    RED = 1
    BLUE = 2

class Slotted:
    __slots__ = ("__private", "open")
    def __init__(self): self.open = 1; self.__private = 1
    def hide(self): self.__private += 1

@dataclass
class Item:
    name: str = "a"
    tags: list = field(default_factory=list)

SLOTTED, ITEM = Slotted(), Item()
KNOT = []; KNOT.append(KNOT)

def numbers():
    n = 0
    while True:
        n += 1
        yield n
GENERATOR = numbers()

def with_defaults(a, seen=[], *, more={{}}): return seen, more

def make():
    kept = []
    def inner(): return kept
    return inner
inner = make()

def logged(function):
    calls = []
    @functools.wraps(function)
    def wrapper(*args):
        calls.append(1)
        return function(*args)
    return wrapper

@functools.lru_cache
def cached(n): return n

@functools.singledispatch
def dispatched(value): return 1

class Base:
    shared = 0

class Machine(Base):
    table = {{}}
    @logged
    def work(self): return 1
    @property
    def price(self, _seen=[]): return _seen
    @staticmethod
    def helper(_seen=[]): return _seen
"""


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    folder = tmp_path_factory.mktemp("outside")
    (folder / "beside_of_outside.py").write_text("STORE = {}\n")
    (folder / "machine_of_outside.py").write_text(SOURCE.format(beside="beside_of_outside"))
    sys.path.append(str(folder))
    try:
        yield importlib.import_module("machine_of_outside")
    finally:
        sys.path.remove(str(folder))
        for name in ("beside_of_outside", "machine_of_outside"):
            sys.modules.pop(name, None)


CHANGES: list[tuple[str, Callable[[ModuleType], object]]] = [
    ("module variable LIST", lambda m: m.LIST.append(2)),
    ('module variable DICT["a"]', lambda m: m.DICT["a"].append(2)),
    ('module variable DICT["new"]', lambda m: m.DICT.update(new=1)),
    ("module variable SET", lambda m: m.SET.add(2)),
    ("module variable DEQUE", lambda m: m.DEQUE.append(2)),
    ('module variable COUNTER["b"]', lambda m: m.COUNTER.update("b")),
    ('module variable DEFAULT["x"]', lambda m: m.DEFAULT["x"]),
    ('module variable ORDERED["b"]', lambda m: m.ORDERED.update(b=1)),
    ("module variable NUMBER", lambda m: setattr(m, "NUMBER", True)),
    ("module variable TEXT", lambda m: setattr(m, "TEXT", "b")),
    ("module variable NOTHING", lambda m: setattr(m, "NOTHING", 1)),
    ("module variable NEW", lambda m: setattr(m, "NEW", 1)),
    ("module variable NEW", lambda m: delattr(m, "NEW")),
    ("module variable COUNT", lambda m: next(m.COUNT)),
    ("module variable ITERATOR", lambda m: next(m.ITERATOR)),
    ("module variable GENERATOR", lambda m: next(m.GENERATOR)),
    ("module variable GENERATOR", lambda m: next(m.GENERATOR)),
    ("module variable RANDOM", lambda m: m.RANDOM.random()),
    ("module variable QUEUE", lambda m: m.QUEUE.put(1)),
    ("module variable VARIABLE", lambda m: m.VARIABLE.set(1)),
    ("module variable SLOTTED.open", lambda m: setattr(m.SLOTTED, "open", 2)),
    ("module variable SLOTTED.__private", lambda m: m.SLOTTED.hide()),
    ("module variable ITEM.tags", lambda m: m.ITEM.tags.append(1)),
    ("module variable KNOT", lambda m: m.KNOT.append(1)),
    ("module variable CONSTANTS", lambda m: m.CONSTANTS.update({"49999": 0})),
    ("module variable inner", lambda m: setattr(m, "inner", len)),
    ('module variable STORE["a"] of beside_of_outside', lambda m: m.beside_of_outside.STORE.update(a=1)),
    ("class attribute Base.shared", lambda m: setattr(m.Base, "shared", 1)),
    ("class attribute Machine.shared", lambda m: setattr(m.Machine, "shared", 2)),
    ('class attribute Machine.table["a"]', lambda m: m.Machine.table.update(a=1)),
    ("default seen of with_defaults()", lambda m: m.with_defaults(1)[0].append(1)),
    ('default more["a"] of with_defaults()', lambda m: m.with_defaults(1)[1].update(a=1)),
    ("default _seen of Machine.price()", lambda m: m.Machine().price.append(1)),
    ("default _seen of Machine.helper()", lambda m: m.Machine.helper().append(1)),
    ("closure variable calls of Machine.work()", lambda m: m.Machine().work()),
    ("attribute calls of make()", lambda m: setattr(m.make, "calls", 1)),
]
"""In this order, since each starts from what the one before left."""


def test_each_change_is_named_and_only_that(application: ModuleType):
    outside = Outside(application.Machine)
    for where, change in CHANGES:
        change(application)
        assert [each.where for each in outside.look()] == [where]
        assert outside.look() == []


def test_what_was_and_what_became_of_it_is_told(application: ModuleType):
    outside = Outside(application.Machine)
    application.ITEM.name = "\x1b[31m" + 100 * "x"
    (change,) = outside.look()
    assert change.before == '"a"'
    assert change.after.startswith('"\\u001b[31mxxx')
    assert len(change.after) <= 70


@pytest.mark.parametrize(
    "use",
    [
        lambda m: m.LOG.isEnabledFor(10),
        lambda m: m.LOCK.acquire(),
        lambda m: m.PATTERN.match("a"),
        lambda m: m.Colour.RED | m.Colour.BLUE,
        lambda m: m.dispatched(1),
        lambda m: m.Machine(),
        lambda m: setattr(m, "json", importlib.import_module("json")),
        lambda m: m.make(),
    ],
)
def test_what_python_and_its_library_remember_for_themselves_is_no_change(
    use: Callable[[ModuleType], object], application: ModuleType
):
    outside = Outside(application.Machine)
    use(application)
    assert outside.look() == []


def test_a_cache_and_what_is_made_late_are_marked_as_such(application: ModuleType):
    vars(application)["NOTHING"] = None
    outside = Outside(application.Machine)
    application.cached(12345)
    vars(application)["NOTHING"] = application.PATTERN
    assert [(each.where, each.cache, each.lazy) for each in outside.look()] == [
        ("module variable NOTHING", False, True),
        ("the cache of cached()", True, False),
    ]
    application.cached(12345)
    assert outside.look() == []


def test_an_installed_module_of_its_own_is_watched_without_its_neighbours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """site-packages is no folder of modules that belong together."""
    (tmp_path / "alone_of_outside.py").write_text("class Machine:\n    pass\nX = []\n")
    (tmp_path / "other_of_outside.py").write_text("Y = []\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("sysconfig.get_paths", lambda: {"purelib": str(tmp_path)})
    alone, other = (importlib.import_module(f"{name}_of_outside") for name in ("alone", "other"))
    outside = Outside(alone.Machine)
    other.Y.append(1)
    assert outside.look() == []
    alone.X.append(1)
    assert [each.where for each in outside.look()] == ["module variable X"]
