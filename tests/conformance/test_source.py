"""What the source scan reads, what it leaves out, and how it tells what it finds."""

from __future__ import annotations

import importlib
import py_compile
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pbft import StateMachine, operation
from pbft.conformance.source import SourceRule, SourceWarning, scan
from pbft.loading import load_application
from pbft_apps.counter import Counter
from pbft_apps.kv import KV
from pbft_apps.ledger import Ledger

AUCTION = '''
"""An auction."""

from typing import TYPE_CHECKING
import random, time
from pbft import StateMachine, operation, query
import prices
from helpers import glue as paste

if TYPE_CHECKING:
    import logging
    log = logging.getLogger()
    log.info("never run")

FEE = 0.5
HANDLERS = {"open": lambda word: print(word)}
WORDS = []


class Base(StateMachine):
    total: int = 0

    def _inherited(self) -> None:
        self.total = hash("a")


class Auction(Base):
    """Bids."""

    names: str = ""

    @operation
    def bid(self, amount: int) -> int:
        """Bid."""
        self.total = helper() + prices.rate(amount)
        HANDLERS["open"]("a")
        return self.total

    @query
    def spell(self) -> str:
        return paste({"a", "b"})

    def __repr__(self) -> str:
        return f"<Auction at {id(self)}>"


def helper() -> int:
    return deeper()


def deeper() -> int:
    return time.time_ns()


def test_bid() -> None:
    assert random.random() < 0.5


def main() -> None:
    print(FEE)


class Other(StateMachine):
    @operation
    def act(self) -> int:
        return id(self)


if __name__ == "__main__":
    print(time.time())
    def helper():
        return random.random()
'''


@pytest.fixture
def auction(tmp_path: Path) -> type:
    """An application with a base, two neighbours, a test, a program and another application beside it."""
    (tmp_path / "auction.py").write_text(AUCTION, encoding="utf-8")
    (tmp_path / "prices.py").write_text(
        "import random\n\ndef rate(n):\n    return random.randrange(n)\n\ndef unused():\n    print(1)\n",
        encoding="utf-8",
    )
    (tmp_path / "helpers.py").write_text(
        "def glue(names: set[str]) -> str:\n    return ''.join(names)\n", encoding="utf-8"
    )
    return load_application(f"{tmp_path}/auction.py:Auction")


@pytest.fixture(autouse=True)
def forgetful() -> Any:
    """Forget the neighbours that a test imported: the next one writes others under their names."""
    before = dict.fromkeys(sys.modules)
    yield
    for name in [name for name in sys.modules if name not in before]:
        del sys.modules[name]


@pytest.mark.parametrize("application", [Counter, Ledger, KV])
def test_the_applications_that_come_with_pbft_give_no_warning(application: type) -> None:
    """Models to copy: not a line of them is in doubt."""
    assert scan(application) == []


def test_what_the_class_reaches_is_read_and_nothing_else(auction: type) -> None:
    """Bases, what functions call, neighbours and values are read; tests, programs and other classes are not."""
    found = [(Path(each.file).name, each.rule, each.place) for each in scan(auction)]
    assert found == [
        ("auction.py", SourceRule.INPUT_OUTPUT, ""),
        ("auction.py", SourceRule.IDENTITY, "Base._inherited"),
        ("auction.py", SourceRule.CLOCK, "deeper"),
        ("prices.py", SourceRule.RANDOM, "rate"),
        ("helpers.py", SourceRule.SET_ORDER, "glue"),
    ]


def test_a_warning_says_where_it_is_and_what_to_do_instead(auction: type) -> None:
    """The file, the line, the function, and a sentence."""
    (clock,) = [each for each in scan(auction) if each.rule is SourceRule.CLOCK]
    assert Path(clock.file).read_text(encoding="utf-8").splitlines()[clock.line - 1] == "    return time.time_ns()"
    assert clock == SourceWarning(
        clock.file,
        clock.line,
        SourceRule.CLOCK,
        "deeper",
        "time.time_ns(): each replica's clock shows another time; use context.time_ms, the group's agreed time",
    )


def test_equal_sources_give_equal_warnings(auction: type) -> None:
    """In the same order each time, by file and line, and each once."""
    first = scan(auction)
    assert first == scan(auction)
    assert len(dict.fromkeys(first)) == len(first)


def test_a_handler_that_registers_itself_is_read(tmp_path: Path) -> None:
    """A function that a decorator of the application has seen may be called by it."""
    text = """
    from pbft import StateMachine, operation
    HANDLERS = {}

    def handles(function):
        HANDLERS[function.__name__] = function
        return function

    @handles
    def roll(word: str) -> int:
        return hash(word)

    class App(StateMachine):
        @operation
        def act(self, name: str) -> int:
            return HANDLERS[name](name)
    """
    found = [(each.rule, each.place) for each in _scan_text(tmp_path, text)]
    assert (SourceRule.IDENTITY, "roll") in found


def test_a_line_is_declared_fine_with_a_reason(tmp_path: Path) -> None:
    """The comment silences its own line only, and says why; what spans lines may say so on any of them."""
    text = """
    from pbft import StateMachine, operation

    class App(StateMachine):
        @operation
        def act(self, words: list[str]) -> int:
            first = hash("")  # pbft: fine, the hash of no text is 0 everywhere
            second = hash("a")
            third = sum(
                {1, 2}  # pbft: fine: whole numbers, in whatever order
            )
            return first + second + third
    """
    assert [(each.line, each.rule) for each in _scan_text(tmp_path, text)] == [(8, SourceRule.IDENTITY)]


def test_classes_of_one_name_are_told_apart() -> None:
    """Of two classes of one name, in two branches of a function, the one that was made is read."""

    def make(clocked: bool) -> type:
        if clocked:

            class App(StateMachine):
                @operation
                def act(self) -> int:
                    return hash("clocked")

        else:

            class App(StateMachine):  # type: ignore[no-redef]
                @operation
                def act(self) -> int:
                    return 1

        return App

    assert [each.rule for each in scan(make(True))] == [SourceRule.IDENTITY]
    assert scan(make(False)) == []


def test_a_method_hides_no_name_from_methods(tmp_path: Path) -> None:
    """What a class binds is its attribute, and no name that its methods see."""
    text = """
    import time
    from pbft import StateMachine, operation

    class App(StateMachine):
        @operation
        def time(self) -> int:
            return time.time_ns()

        @operation
        def hash(self, word: str) -> int:
            return hash(word)
    """
    assert [each.place for each in _scan_text(tmp_path, text)] == ["App.time", "App.hash"]


def test_an_application_of_bytes_is_read(tmp_path: Path) -> None:
    """A class that is no StateMachine has sources too."""
    text = """
    class App:
        def execute(self, operation, context):
            return hash(operation)
        def digest(self):
            return b""
        def snapshot(self):
            return []
        def restore(self, pieces):
            pass
    """
    assert [each.place for each in _scan_text(tmp_path, text)] == ["App.execute"]


def test_neighbours_are_read_in_a_package_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative imports lead to the files of the package."""
    package = tmp_path / "shop"
    package.mkdir()
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "rates.py").write_text("import time\nnow = time.time\n", encoding="utf-8")
    (package / "app.py").write_text(
        "from pbft import StateMachine, operation\nfrom .rates import now\nfrom . import rates\n"
        "class App(StateMachine):\n  @operation\n  def act(self):\n    first = now()\n"
        "    return int(first + rates.now())\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    found = [each for each in scan(importlib.import_module("shop.app").App) if each.place == "App.act"]
    assert [each.rule for each in found] == [SourceRule.CLOCK, SourceRule.CLOCK]


# What cannot be read.


def test_a_class_typed_in_has_no_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class from an interactive session is one sentence, not a traceback."""
    module = ModuleType("typed_in")
    monkeypatch.setitem(sys.modules, "typed_in", module)
    exec("from pbft import StateMachine\nclass App(StateMachine):\n    total: int = 0\n", vars(module))
    (warning,) = scan(module.App)
    assert (warning.rule, warning.line) == (SourceRule.UNREADABLE, 0)
    assert "not read from a file" in warning.sentence


def test_a_class_made_while_running_is_not_found() -> None:
    """type() leaves nothing to read in the file that calls it."""
    made = type("Made", (StateMachine,), {"__module__": __name__})
    assert [each.rule for each in scan(made)] == [SourceRule.UNREADABLE]


def test_compiled_code_alone_has_no_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A .pyc whose source is gone."""
    source = tmp_path / "gone_app.py"
    source.write_text("from pbft import StateMachine\nclass App(StateMachine):\n    total: int = 0\n", encoding="utf-8")
    py_compile.compile(str(source), cfile=str(tmp_path / "gone_app.pyc"))
    source.unlink()
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    (warning,) = scan(importlib.import_module("gone_app").App)
    assert warning.rule is SourceRule.UNREADABLE
    assert "compiled" in warning.sentence


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"# coding: latin-1\nname = '\xe9'\n", "no class App"),
        (b"name = '\xe9'\n", "cannot be read"),
        (b"# coding: no-such-code\n", "cannot be read"),
        (b"class App(:\n", "cannot be read"),
        (b"name = '\0'\n", "cannot be read"),
        # How deep is too deep is each release's own matter.
        (b"x = " + b"(" * 300 + b")" * 300, ""),
        (b"x = " + b"-" * 100_000 + b"1", ""),
    ],
)
def test_what_a_file_has_become_is_told_in_one_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    """A source that another program changed since it was loaded: other encodings, damage, nesting without an end."""
    path = tmp_path / "app.py"
    path.write_text("from pbft import StateMachine\nclass App(StateMachine):\n    total: int = 0\n", encoding="utf-8")
    cls = load_application(f"{path}:App")
    path.write_bytes(content)
    (warning,) = scan(cls)
    assert warning.rule is SourceRule.UNREADABLE
    assert words in warning.sentence
    assert "\n" not in warning.sentence


def test_what_is_nested_too_deep_to_be_followed_is_told(tmp_path: Path) -> None:
    """Python reads it, and the scan gives up with a sentence; what it saw by then it tells too."""
    text = f"""
    from pbft import StateMachine, operation

    class App(StateMachine):
        @operation
        def act(self) -> int:
            first = hash("a")
            return first + {" + ".join(["1"] * 1_200)}
    """
    # Where this release's parser gives up before, there is nothing else to tell.
    found = [each.rule for each in _scan_text(tmp_path, text)]
    assert found in ([SourceRule.IDENTITY, SourceRule.UNREADABLE], [SourceRule.UNREADABLE])


def _scan_text(folder: Path, text: str) -> list[SourceWarning]:
    path = folder / "app.py"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return scan(load_application(f"{path}:App"))
