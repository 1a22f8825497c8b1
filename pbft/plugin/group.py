"""What a test has in hand: a group, its clients, and answers on their way.

Owns: the face that simulated and real groups share, and what goes wrong with a test that uses it. Knows neither.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol

from pbft.encoding import Plain
from pbft.errors import PbftError
from pbft.wording import shorten

if TYPE_CHECKING:
    from pbft.client.reply import Reply
    from pbft.testing import Cluster
    from pbft.testing.byzantine import Adversary
    from pbft.testing.linearizability import Linearizable, Undecided

__tracebackhide__ = True

SECTION: Final = "pbft group"
"""The title of what a failure's report says of the group."""


SHOWN_CHARACTERS: Final = 160
"""How much of a call or an answer a line of a report shows."""


class Misused(PbftError):
    """A test asked for what cannot be. The message is one sentence that says what to write instead."""


class NotConverged(AssertionError):
    """Correct replicas did not come to the same in time: who differs, and where."""


class Pending(Protocol):
    """An operation on its way."""

    @property
    def done(self) -> bool:
        """Whether it has ended, whichever way."""

    def result(self) -> Any:
        """Wait for its end, and return what the operation returned.

        Raises what `pbft.Client.call` raises: Rejected, InvalidOperation, OperationFailed, Refused, Unknown, Timeout.
        """

    def reply(self) -> Reply:
        """Wait for its end, and return all that is known of the answer; raises as `result` does."""


class GroupClient(Protocol):
    """A registered client, with a session of its own."""

    @property
    def name(self) -> str:
        """The name that applications see."""

    def call(self, name: str, /, *args: Plain, timeout: float | None = None, **kwargs: Plain) -> Any:
        """Run an operation and return its value, as `pbft.Client.call` does; `timeout` is in the group's seconds."""

    def submit(self, name: str, /, *args: Plain, timeout: float | None = None, **kwargs: Plain) -> Pending:
        """Send an operation off and return at once. `timeout` counts from now, in the group's seconds."""


class Group(Protocol):
    """A group of replicas that a test calls, hurts and judges.

    Replicas are named by their numbers, from 0. What is asked amiss raises `Misused`, with one sentence.
    """

    seed: int
    """What all chance of a simulated group comes from."""
    random: random.Random
    """Chance of the test's own, from the same seed."""
    real: bool
    """Whether its replicas are processes that talk over UDP; else they live on virtual time."""
    n: int
    """How many replicas there are."""
    faults: int
    """How many of them may be faulty (f)."""

    @property
    def now_ms(self) -> int:
        """The group's time since it began: virtual, or real."""

    @property
    def correct(self) -> tuple[int, ...]:
        """The replicas that follow the protocol and remember their votes.

        Killed ones are among them; those that lie or have started again are not.
        """

    @property
    def cluster(self) -> Cluster:
        """The simulated cluster itself, for whoever wants more of it; a real group has none."""

    def clients(self, *names: str) -> list[GroupClient]:
        """Open a session for each name, or for each registered client where none is named."""

    def client(self, name: str) -> GroupClient:
        """Open a session of a registered client."""

    def run(self, ms: int) -> None:
        """Let this much of the group's time pass."""

    def kill(self, replica: int) -> None:
        """End a replica at once: all that it had in memory is gone."""

    def restart(self, replica: int, *, beyond: bool = False) -> None:
        """Start a killed replica again, correct, with nothing in memory.

        It forgot its votes, so it counts as faulty; `beyond` says that more than f of them are meant.
        """

    def pause(self, replica: int) -> None:
        """Let a replica stand still: what arrives waits for it."""

    def resume(self, replica: int) -> None:
        """Let a paused replica go on."""

    def cut(self, one: int, other: int) -> None:
        """Let nothing pass between two replicas, until `heal`."""

    def isolate(self, replica: int) -> None:
        """Let nothing pass between a replica and all others, until `heal`; clients still reach it."""

    def let(self, sentence: str) -> None:
        """Say what becomes of which messages, until `heal`: "prepares of view 1 from 3 to 1: drop"."""

    def heal(self) -> None:
        """End all faults of the network, losses too. Who is paused, killed or lies stays so."""

    def make_byzantine(self, replica: int, how: str | type[Adversary], *, beyond: bool = False) -> None:
        """Let a correct replica turn: from now on it misbehaves, and counts as faulty.

        `how` is a class of `pbft.testing.byzantine` or its name ("Equivocator"), a word of `pbft liar --list`
        ("equivocate", "censor alice"), a class of the test's own, or several names with + between. `beyond` says that
        more than f faulty replicas are meant.
        """

    def state(self, replica: int) -> Any:
        """Return a copy of one replica's application, as it is now; of a simulated group only."""

    def assert_converged(self) -> None:
        """Demand that all living replicas that do not lie come to the same state, with the same history.

        They get as long as a healed group may take at most. Nothing is healed here: who is cut off, or stands still,
        is told of. Raises NotConverged.
        """

    def check_linearizable(self) -> Linearizable | Undecided:
        """Hold all calls so far against one copy of the application. Raises AssertionError when no order explains all.

        Says so where the search gave up.
        """


def refuse(sentence: str) -> NoReturn:
    """Raise Misused."""
    raise Misused(sentence) from None


def check_replica(replica: object, n: int) -> int:
    """Return a replica's number. Raises Misused where there is no such replica."""
    if type(replica) is not int or not 0 <= replica < n:
        refuse(f"there is no replica {replica!r}; they are 0 to {n - 1}")
    return replica


def check_pair(one: object, other: object, n: int) -> tuple[int, int]:
    """Return two different replicas' numbers. Raises Misused."""
    pair = check_replica(one, n), check_replica(other, n)
    if pair[0] == pair[1]:
        refuse(f"a link lies between two replicas, and replica {one!r} has none to itself")
    return pair


def spell_call(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Return a call as a line of a report shows it: `bid('lamp', 5)`."""
    words = [*map(repr, args), *(f"{key}={value!r}" for key, value in kwargs.items())]
    return shorten(f"{name}({', '.join(words)})", SHOWN_CHARACTERS)
