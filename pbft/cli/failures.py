"""How a command ends: one sentence for whatever went wrong, and an exit code.

Owns: what is printed at a bad end, and where. Which error means which code is `pbft.console.outcome`'s matter.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import traceback
from typing import Final

import typer

from pbft.console.outcome import ExitCode, Failure, judge
from pbft.console.text import clean

_STANDARD_OUTPUT: Final = 1


def report(error: BaseException, as_json: bool) -> int:
    """Tell whoever called what went wrong, and return the exit code.

    One sentence on standard error; with `as_json`, one object on standard output instead.
    """
    if isinstance(error, SystemExit):
        # None of ours: rich and typer leave so, with 1, when nobody reads what they print, and completion with 0.
        return _end_without_reader() if error.code else ExitCode.FINE
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return ExitCode.INTERRUPTED
    if isinstance(error, BrokenPipeError) or (isinstance(error, OSError) and error.errno == errno.EPIPE):
        return _end_without_reader()
    failure = _judge(error)
    sentence = clean(str(failure)).strip()
    try:
        if as_json:
            print(json.dumps({"error": sentence, "exit": failure.code.value, **failure.details}), flush=True)
        else:
            print(f"pbft: {sentence}", file=sys.stderr, flush=True)
        if failure.code is ExitCode.INTERNAL_ERROR and os.environ.get("PBFT_TRACEBACK"):
            traceback.print_exception(error)
    except BrokenPipeError:
        return _end_without_reader()
    return failure.code


def _judge(error: BaseException) -> Failure:
    """Return the failure that an exception amounts to, typer's own among them."""
    if isinstance(error, typer.TyperException):
        return Failure(" ".join(error.format_message().split()))
    return judge(error)


def _end_without_reader() -> int:
    """Whoever read our output has left: say no more, not even when the interpreter flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), _STANDARD_OUTPUT)
    return ExitCode.BROKEN_PIPE
