"""How a command ends: exit codes, and one sentence for whatever went wrong.

Owns: the codes, and which error means which. Knows nothing of what commands do.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import traceback
from enum import IntEnum
from typing import Any, Final

import typer

from pbft.cli.output import clean
from pbft.errors import PbftError

_STANDARD_OUTPUT: Final = 1


class ExitCode(IntEnum):
    """What a command's exit code means, the same for every command."""

    FINE = 0
    REJECTED = 1
    """The group, or an application, said no."""
    USAGE = 2
    """What was asked for cannot be: wrong words, files, keys or ports."""
    NO_QUORUM = 3
    """Too few replicas answered."""
    DIVERGENCE = 4
    """Replicas contradict each other."""
    INTERNAL_ERROR = 70
    INTERRUPTED = 130
    BROKEN_PIPE = 141


class Failure(Exception):
    """The end of a command: a sentence, an exit code, and what else a program may want to read."""

    def __init__(self, message: str, code: ExitCode = ExitCode.USAGE, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.details = details


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
    """Return the failure that an exception amounts to."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, typer.TyperException):
        return Failure(" ".join(error.format_message().split()))
    if isinstance(error, PbftError):
        return _judge_known(error)
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return Failure(f"{where}{error.strerror.lower()}")
    name = type(error).__name__
    return Failure(
        f"this should not have happened ({name}: {error}); please report it, with what PBFT_TRACEBACK=1 adds",
        ExitCode.INTERNAL_ERROR,
    )


def _judge_known(error: PbftError) -> Failure:
    """Return the failure of an error whose words are for people already: only the code is left to choose."""
    # Imported here, since most commands end well, and several need no client.
    from pbft.client.errors import ClientClosed, Timeout, Unknown

    if isinstance(error, Timeout):
        heard = {str(replica): said for replica, said in error.heard.items()}
        return Failure(str(error), ExitCode.NO_QUORUM, heard=heard, needed=error.needed, sent=error.sent)
    if isinstance(error, Unknown):
        return Failure(str(error), ExitCode.NO_QUORUM)
    return Failure(str(error), ExitCode.INTERNAL_ERROR if isinstance(error, ClientClosed) else ExitCode.USAGE)


def _end_without_reader() -> int:
    """Whoever read our output has left: say no more, not even when the interpreter flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), _STANDARD_OUTPUT)
    return ExitCode.BROKEN_PIPE
