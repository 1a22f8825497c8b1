"""What a command or a line comes to: exit codes, and one sentence for whatever went wrong.

Owns: the codes, and which error, or which sight of a group, means which. Prints nothing, and knows nothing of what
commands do.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

from pbft.errors import PbftError

if TYPE_CHECKING:
    from pbft.client.reply import Reply
    from pbft.lab.survey import Survey


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
    """The end of a command or a line: a sentence, an exit code, and what else a program may want to read."""

    def __init__(self, message: str, code: ExitCode = ExitCode.USAGE, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.details = details


def judge(error: BaseException) -> Failure:
    """Return the failure that an exception amounts to."""
    if isinstance(error, Failure):
        return error
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


def code_of(found: Survey) -> ExitCode:
    """Return what a look at a group amounts to: fine where a quorum answers and nobody contradicts another."""
    if found.contradictions():
        return ExitCode.DIVERGENCE
    return ExitCode.FINE if found.has_quorum else ExitCode.NO_QUORUM


def describe_reply(reply: Reply) -> dict[str, Any]:
    """Return what a program may want to know of how an answer came."""
    return {
        "view": reply.view,
        "sequence": reply.sequence,
        "timestamp": reply.timestamp,
        "matching": list(reply.matching),
        "needed": reply.needed,
        "ms": reply.ms,
    }


def _judge_known(error: PbftError) -> Failure:
    """Return the failure of an error whose words are for people already: only the code is left to choose."""
    # Imported here, since most commands end well, and several need no client.
    from pbft.client.errors import (
        ClientClosed,
        InvalidOperation,
        OperationFailed,
        OperationRejected,
        Timeout,
        Unknown,
    )

    if isinstance(error, Timeout):
        heard = {str(replica): said for replica, said in error.heard.items()}
        return Failure(str(error), ExitCode.NO_QUORUM, heard=heard, needed=error.needed, sent=error.sent)
    if isinstance(error, Unknown):
        return Failure(str(error), ExitCode.NO_QUORUM)
    if isinstance(error, OperationRejected):
        return Failure(error.message, ExitCode.REJECTED, outcome="rejected", **describe_reply(error.reply))
    if isinstance(error, OperationFailed):
        return Failure(str(error), ExitCode.REJECTED, outcome="failed", **describe_reply(error.reply))
    if isinstance(error, InvalidOperation) and error.reply is not None:
        return Failure(str(error), ExitCode.USAGE, outcome="invalid", **describe_reply(error.reply))
    return Failure(str(error), ExitCode.INTERNAL_ERROR if isinstance(error, ClientClosed) else ExitCode.USAGE)
