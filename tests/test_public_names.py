"""The names that users import, and what importing them costs."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys
from types import ModuleType

import pytest

import pbft
import pbft.conformance
import pbft.plugin
import pbft.testing

LAZY = [pbft, pbft.conformance, pbft.plugin, pbft.testing]


def fresh(program: str) -> str:
    """Return what a program prints in a process of its own."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("module", LAZY, ids=lambda module: module.__name__)
def test_every_public_name_exists_and_has_a_docstring(module: ModuleType) -> None:
    """What `__all__` promises can be imported, and says what it is."""
    for name in module.__all__:
        assert getattr(module, name).__doc__, name
    assert dir(module) == module.__all__ == sorted(module.__all__)


@pytest.mark.parametrize("module", LAZY, ids=lambda module: module.__name__)
def test_an_unknown_name_is_an_ordinary_error(module: ModuleType) -> None:
    """Loading names late must not change what a misspelt one gives."""
    assert not hasattr(module, "Clint")
    with pytest.raises(AttributeError, match=rf"^module '{module.__name__}' has no attribute 'Clint'$"):
        module.Clint  # noqa: B018 # the access is what is tried
    with pytest.raises(ImportError, match=rf"^cannot import name 'Clint' from '{module.__name__}'"):
        exec(f"from {module.__name__} import Clint")


@pytest.mark.parametrize("module", LAZY, ids=lambda module: module.__name__)
def test_a_star_brings_every_name(module: ModuleType) -> None:
    """In a process where nothing was loaded before."""
    names = fresh(f"from {module.__name__} import *; print(sorted(set(dir()) - set(dir(__builtins__))))")
    assert all(repr(name) in names for name in module.__all__)


@pytest.mark.parametrize("module", LAZY, ids=lambda module: module.__name__)
def test_importing_the_names_place_loads_nothing(module: ModuleType) -> None:
    """One name at a time is loaded, when it is first asked for."""
    parents = [".".join(module.__name__.split(".")[: i + 1]) for i in range(module.__name__.count(".") + 1)]
    program = f"import sys, {module.__name__}; print(sorted(name for name in sys.modules if name.startswith('pbft')))"
    assert fresh(program) == str(parents)


def test_names_can_be_pickled() -> None:
    """By where they are defined, as ever: what another process gets is the same class."""
    for name in ("StateMachine", "Table", "Rejected", "Timeout", "Context", "connect"):
        assert pickle.loads(pickle.dumps(getattr(pbft, name))) is getattr(pbft, name)
    table = pickle.loads(pickle.dumps(pbft.Table({"a": 1})))
    assert dict(table.items()) == {"a": 1}


def test_a_name_is_the_same_wherever_it_comes_from() -> None:
    """The lazy name and the one of its home are one object."""
    for name, home in (("Table", "pbft.table"), ("Client", "pbft.client"), ("PbftError", "pbft.errors")):
        assert getattr(pbft, name) is getattr(importlib.import_module(home), name)


def test_an_application_needs_no_client() -> None:
    """Importing what a state machine needs loads neither sockets nor keys nor the event loop."""
    program = (
        "import sys; from pbft import StateMachine, Table, Context, Rejected, operation, query;"
        "print(sorted({'asyncio', 'socket', 'cryptography', 'nacl', 'pbft.client'} & set(sys.modules)))"
    )
    assert fresh(program) == "[]"
