"""How an application is named so that other processes find the very same one."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbft.conformance.subject import Subject
from pbft.loading import AppError
from pbft.machine import StateMachine
from tests.conformance.plants import write_application


class Mine(StateMachine):
    """A class in a test's file, which no import by its module's name finds for certain."""

    class Inner(StateMachine):
        """Nobody finds this one from outside."""


def test_names_paths_and_classes_become_what_another_process_can_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_application(tmp_path, "class Shop(StateMachine):\n    pass\n")
    monkeypatch.chdir(tmp_path)

    assert Subject.of("counter").spec == "pbft_apps.counter:Counter"
    assert Subject.of("./app.py:Shop").spec == f"{tmp_path}/app.py:Shop"
    assert Subject.of("app.py").spec == f"{tmp_path}/app.py"
    assert Subject.of("pbft_apps.ledger:Ledger").spec == "pbft_apps.ledger:Ledger"
    assert Subject.of(Subject.of("counter").load()).spec == "pbft_apps.counter:Counter"
    assert Subject.of(Subject.of("app.py").load()).spec == f"{tmp_path}/app.py:Shop"
    assert Subject.of(Mine).load().__name__ == "Mine"


def test_what_it_is_called():
    assert [Subject(spec).name for spec in ("a/b.py:Shop", "a.b:Shop", "/a/b.py")] == ["Shop", "Shop", "b"]


def test_a_class_that_no_other_process_finds_is_refused_with_what_to_do():
    class Local(StateMachine):
        pass

    with pytest.raises(AppError, match="at the top of its file"):
        Subject.of(Local)
    with pytest.raises(AppError, match="at the top of its file"):
        Subject.of(Mine.Inner)


def test_parameters_travel_with_it():
    assert Subject.of("ledger", {"clients": ("alice",)}).create().digest() != Subject.of("ledger").create().digest()
