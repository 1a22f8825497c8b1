"""Finding applications: files, modules and registered names, and one sentence for every mistake."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pbft.loading import (
    AppError,
    application_name,
    create_application,
    known_applications,
    load_application,
    parse_parameters,
)
from pbft.machine import Context, Outcome, Result, StateMachine, describe, encode_operation
from tests.kiosk import CONTEXT, Kiosk

AUCTION = """
from __future__ import annotations
from pbft import Context, Rejected, StateMachine, Table, operation

class Auction(StateMachine):
    seller: str
    bids: Table[str, int]

    def __init__(self, seller: str, minimum: int = 1) -> None:
        if minimum < 1:
            raise Rejected("the minimum is at least 1")
        if seller == "":
            raise ValueError("a seller needs a name\\nand a second line")
        self.seller = seller
        self.minimum = minimum

    @operation
    def bid(self, amount: int, context: Context) -> int:
        self.bids[context.client] = amount
        return amount
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, from which modules are imported too, forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    before = dict(sys.modules)
    sys.path.insert(0, str(tmp_path))
    importlib.invalidate_caches()
    yield tmp_path
    sys.path.remove(str(tmp_path))
    for name in [name for name in sys.modules if name not in before]:
        del sys.modules[name]


def refusal(spec: str) -> str:
    with pytest.raises(AppError) as caught:
        load_application(spec)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def test_a_class_is_found_in_a_file(folder: Path) -> None:
    """By full path, by a path relative to the working directory, and without its name where there is one only."""
    (folder / "mine.py").write_text(AUCTION)
    for spec in (f"{folder}/mine.py:Auction", "mine.py:Auction", "./mine.py"):
        cls = load_application(spec)
        assert application_name(cls) == "Auction"
        machine = create_application(cls, {"seller": "olga"})
        result = machine.execute(encode_operation("bid", [5]), CONTEXT)
        assert (result.outcome, result.value) == (Outcome.OK, 5)


def test_a_file_may_import_its_neighbours_and_not_replace_the_standard_library(folder: Path) -> None:
    """Modules beside the file come last on the path, and the path is as before afterwards."""
    place = folder / "deep"
    place.mkdir()
    (place / "pbft_test_helper.py").write_text("STEP = 3\n")
    (place / "wave.py").write_text("raise RuntimeError('the neighbour was imported')\n")
    (place / "mine.py").write_text(
        "import wave\nfrom pbft_test_helper import STEP\nfrom pbft import StateMachine\n"
        "class Stepper(StateMachine):\n    step: int = STEP\n"
    )
    before = list(sys.path)

    assert vars(create_application(load_application(f"{place}/mine.py"), {})) == {"step": 3}
    assert sys.path == before


def test_two_files_of_one_name_are_two_modules(folder: Path) -> None:
    """And a file that was changed is read again."""
    for place, first in (("a", 1), ("b", 2)):
        (folder / place).mkdir()
        (folder / place / "mine.py").write_text(
            f"from pbft import StateMachine\nclass Mine(StateMachine):\n    first: int = {first}\n"
        )
    one, other = load_application("a/mine.py"), load_application("b/mine.py")
    (folder / "a" / "mine.py").write_text(
        "from pbft import StateMachine\nclass Mine(StateMachine):\n    first: int = 3\n"
    )
    again = load_application("a/mine.py")

    assert [vars(cls())["first"] for cls in (one, other, again)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("source", "spec", "sentence"),
    [
        (None, "mine.py", "there is no file "),
        (AUCTION, "mine.py:Auktion", 'mine.py has no class "Auktion"; did you mean "Auction"?'),
        (AUCTION, "mine.py:Zzz", 'mine.py has no class "Zzz"; there is Auction'),
        (AUCTION, "mine.py:", 'mine.py has no class ""; there is Auction'),
        (
            AUCTION,
            "mine.py:Table",
            '"Table" in mine.py is neither a StateMachine nor a class with execute, digest, snapshot and restore',
        ),
        (
            "class Raw:\n    execute = digest = snapshot = print\n",
            "mine.py:Raw",
            '"Raw" in mine.py is neither a StateMachine nor a class with execute, digest, snapshot and restore',
        ),
        (AUCTION, "mine.py:annotations", '"annotations" in mine.py is neither a StateMachine nor'),
        (AUCTION, "mine.py:StateMachine", '"StateMachine" in mine.py is neither a StateMachine nor'),
        ("", "mine.py", "mine.py must hold one StateMachine to go without a class name, and has none"),
        (
            AUCTION + "class Second(Auction): pass\n",
            "mine.py",
            "mine.py must hold one StateMachine to go without a class name, and has 2 (Auction, Second)",
        ),
        ("x = 1\ny = z\n", "mine.py", "mine.py does not import: NameError: name 'z' is not defined (mine.py, line 2)"),
        ("def f(:\n", "mine.py", "mine.py does not import: SyntaxError: invalid syntax (mine.py, line 1)"),
        (
            "\n\nimport nowhere_at_all\n",
            "mine.py",
            "ModuleNotFoundError: No module named 'nowhere_at_all' (mine.py, line 3)",
        ),
        ("import json\n\njson.loads('{')\n", "mine.py", "(mine.py, line 3)"),
        ("raise SystemExit(3)\n", "mine.py", "mine.py does not import: SystemExit: 3 (mine.py, line 1)"),
        ("raise ValueError('one\\ntwo')\n", "mine.py", "mine.py does not import: ValueError: one (mine.py, line 1)"),
        ("raise ValueError\n", "mine.py", "mine.py does not import: ValueError (mine.py, line 1)"),
        ("x = '\xff'\x00\n", "mine.py", "mine.py does not import: SyntaxError: "),
        (
            AUCTION.replace("amount: int,", "amount: float,"),
            "mine.py",
            "Auction.bid: amount is annotated float is not supported: use int in the smallest unit",
        ),
    ],
)
def test_a_file_that_cannot_serve_is_refused_in_one_sentence(
    folder: Path, source: str | None, spec: str, sentence: str
) -> None:
    """The sentence names the file, the exception and its line, or the classes that there are."""
    if source is not None:
        (folder / "mine.py").write_text(source)
    assert sentence in refusal(spec)


def test_a_file_that_fails_leaves_no_half_module_behind(folder: Path) -> None:
    """Once it is mended, it loads."""
    (folder / "mine.py").write_text("boom\n")
    before = set(sys.modules)
    refusal("mine.py")
    assert {name for name in sys.modules if name.startswith("pbft_app_")} <= before
    (folder / "mine.py").write_text(AUCTION)
    assert load_application("mine.py").__name__ == "Auction"


def test_a_folder_is_not_a_file(folder: Path) -> None:
    """An operating system's refusal is passed on in its words."""
    (folder / "mine.py").mkdir()
    assert re.fullmatch(r".*mine\.py cannot be read: Is a directory", refusal("mine.py"))


def test_a_class_is_found_in_a_module(folder: Path) -> None:
    """Anything that can be imported, in a package or not."""
    (folder / "pbft_test_package").mkdir()
    (folder / "pbft_test_package" / "auctions.py").write_text(AUCTION)
    assert load_application("pbft_test_package.auctions:Auction").__name__ == "Auction"
    assert refusal("pbft_test_package.auctions:Auktion") == (
        'pbft_test_package.auctions has no class "Auktion"; did you mean "Auction"?'
    )
    assert refusal("pbft_test_package.nowhere:Auction") == (
        'there is no module "pbft_test_package.nowhere"; a file of your own is named as path.py:Class'
    )
    assert refusal("pbft_test_nowhere.deep:X").startswith('there is no module "pbft_test_nowhere.deep"')


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("import nowhere_at_all", "No module named 'nowhere_at_all' (pbft_test_broken.py, line 1)"),
        ("\nx = 1 / 0", "ZeroDivisionError: division by zero (pbft_test_broken.py, line 2)"),
        ("x = (", "SyntaxError: '(' was never closed (pbft_test_broken.py, line 1)"),
        ("raise SystemExit", "SystemExit (pbft_test_broken.py, line 1)"),
    ],
)
def test_a_module_that_does_not_import_is_refused_in_one_sentence(folder: Path, source: str, sentence: str) -> None:
    """With exception, file and line."""
    (folder / "pbft_test_broken.py").write_text(source)
    found = refusal("pbft_test_broken:X")
    assert found.startswith("pbft_test_broken does not import: ")
    assert found.endswith(sentence)


@pytest.mark.parametrize(
    "spec",
    ["", ":", ":Class", "..x:Class", "./mine:Auction", "a b:C", "x" * 5_000, "\x1b[2J", "a\0b.py", "x" * 5_000 + ".py"],
)
def test_a_name_that_means_nothing_is_refused_in_one_sentence(spec: str) -> None:
    """Whatever people type."""
    sentence = refusal(spec)
    assert "path.py:Class" in sentence or "cannot be read" in sentence
    assert "\x1b" not in sentence


def install(folder: Path, distribution: str, entry_points: str) -> None:
    """Put an installed package's metadata into a folder of the path."""
    place = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
    place.mkdir()
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (place / "entry_points.txt").write_text(f"[pbft.apps]\n{entry_points}")
    importlib.invalidate_caches()


def test_installed_packages_register_applications_by_name(folder: Path) -> None:
    """The entry-point group pbft.apps; a misspelt name is told the near ones."""
    (folder / "pbft_test_auctions.py").write_text(AUCTION)
    install(folder, "pbft-test-auctions", "test-auction = pbft_test_auctions:Auction\n")

    assert ("test-auction", "pbft_test_auctions:Auction") in known_applications()
    assert load_application("test-auction").__name__ == "Auction"
    assert refusal("test-auktion") == (
        'no installed package has an application "test-auktion" (a file of your own is named as path.py:Class); '
        'did you mean "test-auction"?'
    )


def test_a_name_registered_twice_means_the_same_thing_always(folder: Path) -> None:
    """The first by module, whatever the order in which packages were installed."""
    install(folder, "pbft-test-one", "test-twice = pbft_test_z:Z\n")
    install(folder, "pbft-test-two", "test-twice = pbft_test_a:A\n")
    assert [spec for name, spec in known_applications() if name == "test-twice"] == ["pbft_test_a:A"]


def test_a_registration_without_a_class_is_refused(folder: Path) -> None:
    """Even one that names itself."""
    install(folder, "pbft-test-odd", "test-odd = test-odd\n")
    assert refusal("test-odd") == 'the application "test-odd" is registered as "test-odd", which is not module:Class'


def test_the_applications_that_come_with_pbft_load() -> None:
    """By module, as their entry points name them."""
    for spec, operations in (
        ("pbft_apps.counter:Counter", ["add", "value"]),
        (
            "pbft_apps.kv:KV",
            ["put", "delete", "compare_and_set", "compare_and_delete", "get", "scan", "count"],
        ),
        (
            "pbft_apps.ledger:Ledger",
            [
                "open",
                "mint",
                "transfer",
                "transfer_all",
                "balance",
                "owner",
                "accounts",
                "statement",
                "supply",
            ],
        ),
    ):
        assert [each.name for each in describe(load_application(spec))] == operations


@pytest.mark.parametrize(
    ("words", "parameters"),
    [
        ({"owner": "olga"}, {"owner": "olga"}),
        ({"owner": "5"}, {"owner": "5"}),
        ({"goods": "tea,coffee", "owner": "olga"}, {"goods": ("tea", "coffee"), "owner": "olga"}),
        ({}, {}),
    ],
)
def test_words_become_parameters_by_annotation(words: dict[str, str], parameters: dict[str, Any]) -> None:
    """`pbft init --set owner=olga`, sorted by name as a genesis keeps them."""
    assert parse_parameters(Kiosk, words) == parameters
    assert list(parse_parameters(Kiosk, words)) == sorted(parameters)


def test_a_parameter_named_clients_is_filled_with_the_groups_clients(folder: Path) -> None:
    """Unless a word sets it; an application without one hears nothing of them."""
    (folder / "mine.py").write_text(
        "from pbft import StateMachine\nclass Club(StateMachine):\n"
        "    def __init__(self, clients: tuple[str, ...] = ()) -> None:\n        self.members = clients\n"
    )
    club = load_application("mine.py")

    assert parse_parameters(club, {}, ["alice", "bob"]) == {"clients": ("alice", "bob")}
    assert parse_parameters(club, {"clients": "carol"}, ["alice", "bob"]) == {"clients": ("carol",)}
    assert parse_parameters(Kiosk, {}, ["alice", "bob"]) == {}


def test_parameters_that_do_not_fit_are_refused_in_one_sentence(folder: Path) -> None:
    """Unknown, missing, badly typed, or refused by the application itself."""
    (folder / "mine.py").write_text(AUCTION)
    auction = load_application("mine.py")
    for parameters, sentence in (
        ({"seler": "olga"}, 'Auction has no parameter "seler"; did you mean "seller"?'),
        ({}, "Auction needs seller: str, which is missing"),
        ({"seller": 5}, "Auction needs seller: str, got 5 (int)"),
        ({"seller": "olga", "minimum": 0}, "Auction refuses these parameters: the minimum is at least 1"),
        ({"seller": ""}, "Auction cannot be created: ValueError: a seller needs a name"),
    ):
        with pytest.raises(AppError) as caught:
            create_application(auction, parameters)
        assert str(caught.value) == sentence
    for words, sentence in (
        ({"seller": "olga", "minimum": "x"}, 'Auction needs minimum: int, got "x"; write a whole number of at most'),
        ({"seler": "x"}, 'Auction has no parameter "seler"; did you mean "seller"?'),
        ({"minimum": "0", "seller": "olga"}, "Auction refuses these parameters: the minimum is at least 1"),
    ):
        with pytest.raises(AppError, match=re.escape(sentence)):
            parse_parameters(auction, words)
    counter = load_application("pbft_apps.counter:Counter")
    with pytest.raises(AppError, match='Counter takes no parameters, but "total" was given'):
        create_application(counter, {"total": 5})


class Echo:
    """An Application that is no StateMachine."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix

    def execute(self, operation: bytes, context: Context) -> Result:
        return Result.of(Outcome.OK, self.prefix.encode() + operation)

    def digest(self) -> bytes:
        return bytes(32)

    def snapshot(self) -> list[bytes]:
        return []

    def restore(self, pieces: Iterable[bytes]) -> None:
        assert not list(pieces)


def test_an_application_below_state_machine_is_made_from_its_parameters(folder: Path) -> None:
    """Bytes in, bytes out: its parameters are keywords, and words reach it as texts."""
    assert create_application(Echo, {"prefix": "x"}).execute(b"y", CONTEXT).value == b"xy"
    assert parse_parameters(Echo, {"prefix": "5"}) == {"prefix": "5"}
    with pytest.raises(AppError, match=r"Echo cannot be created: TypeError: .*unexpected keyword argument 'prefx'"):
        create_application(Echo, {"prefx": "x"})
    (folder / "mine.py").write_text(
        "class Raw:\n    def execute(self, operation, context): ...\n    def digest(self): ...\n"
        "    def snapshot(self): ...\n    def restore(self, pieces): ...\n"
    )
    assert not issubclass(load_application("mine.py:Raw"), StateMachine)
