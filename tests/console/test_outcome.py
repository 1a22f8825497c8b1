"""Which error means which exit code, and that each is one sentence."""

from __future__ import annotations

import pytest

from pbft.client.errors import ClientClosed, InvalidOperation, OperationFailed, OperationRejected, Timeout, Unknown
from pbft.client.reply import Reply
from pbft.console.outcome import ExitCode, Failure, judge
from pbft.errors import PbftError
from pbft.machine import Outcome

REPLY = Reply(Outcome.REJECTED, b"", 1, 7, 3, (0, 1), (2,), (3,), 2, 12, None, 0)


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (Failure("no", ExitCode.DIVERGENCE), ExitCode.DIVERGENCE, "no"),
        (PbftError("a wrong word"), ExitCode.USAGE, "a wrong word"),
        (OperationRejected("too much", REPLY), ExitCode.REJECTED, "too much"),
        (OperationFailed("it broke", REPLY), ExitCode.REJECTED, "it broke"),
        (InvalidOperation("no such thing", REPLY), ExitCode.USAGE, "no such thing"),
        (InvalidOperation("no such thing"), ExitCode.USAGE, "no such thing"),
        (Unknown("nobody knows"), ExitCode.NO_QUORUM, "nobody knows"),
        (ClientClosed("it broke"), ExitCode.INTERNAL_ERROR, "it broke"),
        (
            FileNotFoundError(2, "No such file or directory", "x.txt"),
            ExitCode.USAGE,
            "x.txt: no such file or directory",
        ),
        (KeyError("x"), ExitCode.INTERNAL_ERROR, "this should not have happened (KeyError: 'x')"),
    ],
)
def test_every_error_has_its_code(error: Exception, code: ExitCode, sentence: str):
    """The same error ends a command, a line and a script with the same code."""
    failure = judge(error)
    assert (failure.code, str(failure)[: len(sentence)]) == (code, sentence)


def test_what_programs_read_of_an_error():
    """A rejection tells its place in the order, a timeout who said what."""
    assert judge(OperationRejected("too much", REPLY)).details == {
        "outcome": "rejected",
        "view": 1,
        "sequence": 7,
        "timestamp": 3,
        "matching": [0, 1],
        "needed": 2,
        "ms": 12,
    }
    timeout = judge(Timeout(2.0, 2, {0: "silent", 3: "alive, but has no answer"}))
    assert timeout.code is ExitCode.NO_QUORUM
    assert timeout.details == {"heard": {"0": "silent", "3": "alive, but has no answer"}, "needed": 2, "sent": True}
