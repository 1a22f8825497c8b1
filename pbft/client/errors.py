"""What a call can end with, other than its value.

Owns: one class a fate. All are PbftError, and each message is a sentence for whoever made the call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pbft.core.group import ReplicaId
from pbft.errors import PbftError
from pbft.machine import Rejected

if TYPE_CHECKING:
    from pbft.client.reply import Reply


class OperationRejected(Rejected, PbftError):
    """The application said no, in its own words, and f+1 replicas agree that it did. Nothing was changed.

    It is a `pbft.Rejected`, the class that applications raise: catch it under that name.
    """

    def __init__(self, message: str, reply: Reply) -> None:
        super().__init__(message)
        self.reply = reply


class InvalidOperation(PbftError):
    """There is no such operation, or its arguments do not fit. Nothing was changed.

    `reply` is what the group answered, None when it was never asked.
    """

    def __init__(self, message: str, reply: Reply | None = None) -> None:
        super().__init__(message)
        self.reply = reply


class OperationFailed(PbftError):
    """The application broke on this operation: a bug of its author, the same on every replica. Nothing was changed."""

    def __init__(self, message: str, reply: Reply) -> None:
        super().__init__(message)
        self.reply = reply


class Refused(PbftError):
    """The group will not order the request, and it did not run; the message says why."""


class Unknown(PbftError):
    """The group no longer knows this session, or does not take it yet: the operation may have run, or may run later.

    It is never sent again in silence. Look at the state, then decide.
    """


class Timeout(PbftError, TimeoutError):
    """Too few equal answers came in time: the operation may have run, may still run, or may never.

    `heard` says in words what each replica last said, `needed` how many equal answers it takes. Where `sent` is False
    the operation never left, since too few replicas answered the greeting: it did not run, and never will.
    """

    def __init__(self, timeout: float, needed: int, heard: Mapping[ReplicaId, str], sent: bool = True) -> None:
        self.timeout = timeout
        self.needed = needed
        self.heard = dict(heard)
        self.sent = sent
        words = ", ".join(f"replica {replica}: {said}" for replica, said in self.heard.items())
        fate = (
            "the operation may have run, or may still run" if sent else "nothing was sent, so it is safe to try again"
        )
        super().__init__(f"no {needed} equal answers within {timeout:g} s; {fate} ({words})")


class NotAClient(PbftError):
    """The key is no client's of this group."""


class ClientClosed(PbftError):
    """The client was closed, or broke, while the call waited: the operation may have run, or not."""
