"""The names that users import, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys

import pbft


def test_every_public_name_exists_and_has_a_docstring() -> None:
    """What `__all__` promises can be imported, and says what it is."""
    for name in pbft.__all__:
        assert getattr(pbft, name).__doc__, name
    assert dir(pbft) == pbft.__all__


def test_an_unknown_name_is_an_ordinary_attribute_error() -> None:
    """Loading names late must not change what a misspelt one gives."""
    assert not hasattr(pbft, "Clint")


def test_an_application_needs_no_client() -> None:
    """Importing what a state machine needs loads neither sockets nor keys nor the event loop."""
    program = (
        "import sys; from pbft import StateMachine, Table, Context, Rejected, operation, query;"
        "print(sorted({'asyncio', 'socket', 'cryptography', 'nacl', 'pbft.client'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
