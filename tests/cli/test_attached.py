"""How the end of a process is put into words, whatever ended it."""

from __future__ import annotations

import signal

import pytest

from pbft.cli.attached import _explain
from pbft.lab.state import ReplicaState


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (None, "has ended"),
        (0, "was stopped"),
        (2, "ended with code 2: no room"),
        (-signal.SIGKILL, "was ended by SIGKILL"),
        (-40, "was ended by signal 40"),
    ],
)
def test_every_end_has_its_words(code: int | None, words: str):
    """A signal without a name, as most real-time ones are, does not end whoever tells of it."""
    assert _explain(ReplicaState(1, None, "ended", None, False, code, "no room")) == words
