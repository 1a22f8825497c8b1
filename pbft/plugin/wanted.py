"""The arguments of `@pytest.mark.pbft`, and what is wrong with them.

    app                the application: a class, or how `pbft init --app` names one
    replicas           how many (4)
    clients            the names of registered clients ("alice", "bob")
    parameters         the application's own, by name
    byzantine          who lies from the start, and how: {3: "Equivocator"}
    beyond             that more than f of them are meant (False)
    seed               what all chance comes from (one that follows from the test's name)
    seeds              run the test so many times, under seeds that follow each other
    real               real processes over UDP, in place of virtual time (False)
    loss               the share of messages that are lost, 0 up to 1 (0)
    duplicate, reorder the shares that arrive twice, or much later (0); virtual time only
    delay_ms           the least and the greatest delay of a message (1, 10); virtual time only
    invariant          a function of the application: what is wrong with it, or None; virtual time only
    limits             limits of the group by name, as {"checkpoint_interval": 8, "log_size": 16}
    view_timeout_ms    for how long a replica trusts a primary (1000)

Marks of a module, a class and a test add up, argument by argument: the nearest one has the word on each.

Owns: these arguments, their checks, each with one sentence, and the seeds of a test.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final

from pbft.application import Application
from pbft.core.group import MAX_REPLICAS, MIN_REPLICAS, GroupError, Limits, Quorums
from pbft.encoding import EncodingError, Plain, check_plain
from pbft.group_file import NAME, NAME_RULE
from pbft.loading import AppError, create_application, load_application
from pbft.machine import MachineError, StateMachine, describe, describe_parameters
from pbft.plugin.group import refuse
from pbft.wording import listing, quote, suggest

if TYPE_CHECKING:
    from pbft.testing.byzantine import Adversary

__tracebackhide__ = True

EXAMPLE: Final = "@pytest.mark.pbft(app=Counter, replicas=4)"
VIRTUAL_ONLY: Final = ("duplicate", "reorder", "delay_ms", "invariant")
"""What means something on virtual time only."""
MOST_SEEDS: Final = 100_000

_METHODS: Final = ("execute", "digest", "snapshot", "restore")
_SEED_SPACE: Final = 10_000
"""Seeds that follow from a test's name are short, so that people can type them."""


@dataclass(frozen=True)
class Wanted:
    """What a test's marks ask for, checked."""

    app: type
    replicas: int = 4
    clients: tuple[str, ...] = ("alice", "bob")
    parameters: Mapping[str, Plain] = field(default_factory=dict)
    byzantine: Mapping[int, str | type[Adversary]] = field(default_factory=dict)
    beyond: bool = False
    seed: int | None = None
    seeds: int | None = None
    real: bool = False
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay_ms: tuple[int, int] = (1, 10)
    invariant: Callable[[Application], str | None] | None = None
    limits: Limits = field(default_factory=Limits)
    view_timeout_ms: int | None = None

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Wanted:
        """Return what the arguments ask for. Raises Misused with one sentence."""
        known = [each.name for each in fields(cls)]
        for name in said:
            if name not in known:
                refuse(f"the mark pbft has no argument {quote(name)}{suggest(name, known)}")
        if "app" not in said:
            refuse(f"the mark pbft does not say which application to run; write {EXAMPLE}")
        given = dict(said)
        given["app"] = _application(said["app"])
        for name, check in _CHECKS.items():
            if name in said:
                given[name] = check(name, said[name])
        found = cls(**given)
        found._check_faults()
        return found._filled()

    def _check_faults(self) -> None:
        for replica, how in self.byzantine.items():
            if type(replica) is not int or not 0 <= replica < self.replicas:
                refuse(f"byzantine names replica {replica!r}, and they are 0 to {self.replicas - 1}")
            misbehaviour(how, self.clients)
        faults = Quorums.of(self.replicas).faults
        if len(self.byzantine) > faults and not self.beyond:
            refuse(
                f"{self.replicas} replicas survive {faults} faulty, and byzantine names {listing(list(self.byzantine))}"
                f"; take replicas={3 * len(self.byzantine) + 1}, or say beyond=True where the test is about that"
            )

    def _filled(self) -> Wanted:
        """Return this with the parameters that every group of people fills in, and all of them tried out."""
        # As `pbft init` does: the first client issues, and all of them are the clients.
        usual: dict[str, Plain] = {"issuer": self.clients[0], "clients": self.clients}
        names = [each.name for each in describe_parameters(self.app)]
        filled = {name: value for name, value in usual.items() if name in names} | dict(self.parameters)
        try:
            create_application(self.app, filled)
        except AppError as error:
            refuse(str(error))
        return replace(self, parameters=filled)


def draw_seeds(nodeid: str, several: object, first: object) -> list[int]:
    """Return the seeds of a test that runs under several; none where what is said is no number."""
    if type(several) is not int or not 1 <= several <= MOST_SEEDS:
        return []
    begin = first if type(first) is int else usual_seed(nodeid)
    return [begin + i for i in range(several)]


def usual_seed(nodeid: str) -> int:
    """Return the seed of a test that names none: the same on every machine, another for every test."""
    return int.from_bytes(hashlib.blake2b(nodeid.encode(), digest_size=8).digest()) % _SEED_SPACE


def misbehaviour(how: object, clients: Sequence[str]) -> type[Adversary]:
    """Return the misbehaviour that a test names: a class, or words. Raises Misused."""
    from pbft.lab.misbehaviours import MisbehaviourError, check_misbehaviour, find_misbehaviour
    from pbft.testing.byzantine import Adversary

    if isinstance(how, type) and issubclass(how, Adversary):
        return how
    if not isinstance(how, str):
        refuse(
            f"a misbehaviour is a class of pbft.testing.byzantine or its name, as in {quote('Equivocator')}, not "
            f"{how!r}"
        )
    try:
        return find_misbehaviour(check_misbehaviour(how, clients))
    except (MisbehaviourError, AppError) as error:
        refuse(str(error))


def _application(app: object) -> type:
    if isinstance(app, str):
        try:
            return load_application(app)
        except AppError as error:
            refuse(str(error))
    if not isinstance(app, type) or not all(callable(getattr(app, name, None)) for name in _METHODS):
        refuse(f"app is a class derived from pbft.StateMachine, as in {EXAMPLE}, not {app!r}")
    if app in (StateMachine, Application):
        refuse(f"app is a class of your own, derived from pbft.StateMachine, as in {EXAMPLE}")
    try:
        describe(app)
    except MachineError as error:
        refuse(str(error))
    return app


def _replicas(name: str, value: object) -> int:
    if type(value) is not int:
        refuse(f"{name} is a whole number, not {value!r}")
    if not MIN_REPLICAS <= value <= MAX_REPLICAS:
        refuse(f"a group has {MIN_REPLICAS} to {MAX_REPLICAS} replicas, not {value}: 3f + 1 of them survive f faults")
    return value


def _clients(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        refuse(f"{name} are names, as in clients=('alice', 'bob'), not {value!r}")
    for each in value:
        if not isinstance(each, str) or not NAME.fullmatch(each):
            refuse(f"a client's name has {NAME_RULE}; {each!r} does not fit")
        if list(value).count(each) > 1:
            refuse(f"{name} names {quote(each)} twice; a client may open as many sessions as it likes under one name")
    return tuple(value)


def _parameters(name: str, value: object) -> dict[str, Plain]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        refuse(f"{name} are the application's own, by name, as in parameters={{'issuer': 'alice'}}, not {value!r}")
    try:
        check_plain(dict(value))
    except EncodingError as error:
        refuse(f"{name} must be plain values: {error}")
    return dict(value)


def _byzantine(name: str, value: object) -> dict[int, Any]:
    if not isinstance(value, Mapping):
        refuse(f"{name} says which replica lies and how, as in byzantine={{3: 'Equivocator'}}, not {value!r}")
    return dict(value)


def _truth(name: str, value: object) -> bool:
    if type(value) is not bool:
        refuse(f"{name} is True or False, not {value!r}")
    return value


def _seed(name: str, value: object) -> int | None:
    if value is not None and (type(value) is not int or value < 0):
        refuse(f"{name} is a whole number of at least 0, not {value!r}")
    return value


def _seeds(name: str, value: object) -> int | None:
    if value is not None and (type(value) is not int or not 1 <= value <= MOST_SEEDS):
        refuse(f"{name} says how often the test runs, each time under another seed: 1 to {MOST_SEEDS}, not {value!r}")
    return value


def _share(name: str, value: object) -> float:
    if type(value) not in (int, float) or not 0 <= value < 1:  # type: ignore[operator] # a number, by then
        refuse(f"{name} is a share of the messages, from 0 up to but not including 1, not {value!r}")
    return float(value)  # type: ignore[arg-type] # a number, as was just seen


def _delay(name: str, value: object) -> tuple[int, int]:
    if isinstance(value, Sequence) and len(value) == 2 and all(type(each) is int for each in value):
        low, high = value
        if 1 <= low <= high:
            return low, high
    refuse(f"{name} goes from at least 1 ms up to no less, as in delay_ms=(1, 10), not {value!r}")


def _invariant(name: str, value: object) -> Callable[[Application], str | None] | None:
    if value is not None and not callable(value):
        refuse(f"{name} is a function of the application that returns what is wrong with it, or None, not {value!r}")
    return value


def _limits(name: str, value: object) -> Limits:
    known = [each.name for each in fields(Limits)]
    if isinstance(value, Mapping):
        for key in value:
            if key not in known:
                refuse(f"there is no limit {quote(str(key))}{suggest(str(key), known)}")
        value = Limits(**value)
    if not isinstance(value, Limits):
        refuse(f"{name} are numbers by name, as in limits={{'log_size': 64}}, not {value!r}")
    try:
        value.check()
    except GroupError as error:
        refuse(f"{name}: {error}")
    return value


def _timeout(name: str, value: object) -> int | None:
    if value is not None and (type(value) is not int or value < 1):
        refuse(f"{name} is a whole number of milliseconds, not {value!r}")
    return value


_CHECKS: Final[Mapping[str, Callable[[str, object], Any]]] = {
    "replicas": _replicas,
    "clients": _clients,
    "parameters": _parameters,
    "byzantine": _byzantine,
    "beyond": _truth,
    "seed": _seed,
    "seeds": _seeds,
    "real": _truth,
    "loss": _share,
    "duplicate": _share,
    "reorder": _share,
    "delay_ms": _delay,
    "invariant": _invariant,
    "limits": _limits,
    "view_timeout_ms": _timeout,
}
