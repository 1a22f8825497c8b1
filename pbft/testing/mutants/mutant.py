"""What a mutant is: replicas with one bug of the protocol planted in them, and nobody else.

Owns: the seam. A mutant is data: which words of which function are changed, or which quorum is one short. The changes
are in place while a replica of its kind is at work, and only then. So the oracles, their model, sessions and the code
of adversaries, all of which share modules with the replicas, never run what was mutated; the core knows nothing of it.
"""

from __future__ import annotations
import __future__

import inspect
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FunctionType, ModuleType
from typing import Any, Final

from pbft.core.effects import Effect
from pbft.core.envelope import Envelope, Sender
from pbft.core.group import Quorums
from pbft.core.replica import Replica
from pbft.core.settings import Now

COUNTS: Final = ("prepared", "committed", "stable", "view_change")
"""The counts of `Quorums` that can be planted one short."""


class NotThere(ValueError):
    """A change to code that is not there any more: the message says what to look at."""


@dataclass(frozen=True)
class Change:
    """One attribute of a class or module, and what stands in its place."""

    owner: type | ModuleType
    attribute: str
    replacement: Any

    def __post_init__(self) -> None:
        _find(self.owner, self.attribute)


@dataclass(frozen=True)
class Mutant:
    """A bug of the protocol, ready to be planted."""

    name: str
    breaks: str
    """What is wrong, in one sentence, with the place that says what is right."""
    changes: tuple[Change, ...] = ()
    short: str | None = None
    """One of COUNTS: that quorum is one short, for all who reckon by the group's counts."""
    staged: str | None = None
    """The stage of the swarm on which it is hunted (`pbft.testing.swarm.staged`), where it shows in few runs else."""

    def __post_init__(self) -> None:
        if self.short is not None and self.short not in COUNTS:
            raise NotThere(f"there is no quorum {self.short!r} to make one short; there are {', '.join(COUNTS)}")
        if not self.changes and self.short is None:
            raise NotThere(f"the mutant {self.name} changes nothing")

    def quorums(self, n: int) -> Quorums | None:
        """Return the counts that a group of n has with this bug; None for true ones."""
        true = Quorums.of(n)
        return None if self.short is None else replace(true, **{self.short: getattr(true, self.short) - 1})

    def replica(self) -> type[Replica]:
        """Return a replica with this bug. Whatever a driver asks of it runs with the changes in place.

        Not so what only looks on, `status`, `usage` and `state_digest`: those tell how it truly stands.
        """
        if not self.changes:
            return Replica
        planted = self.planted

        class Mutated(Replica):
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                with planted():
                    super().__init__(*args, **kwargs)

            def receive(self, envelope: Envelope, sender: Sender, now: Now) -> list[Effect]:
                """Act on one message, with the bug."""
                with planted():
                    return super().receive(envelope, sender, now)

            def tick(self, now: Now) -> list[Effect]:
                """Do what is due, with the bug."""
                with planted():
                    return super().tick(now)

            @property
            def deadline_ms(self) -> int | None:
                """When `tick` is next due, reckoned with the bug."""
                with planted():
                    return super().deadline_ms

        return Mutated

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Have the changes in place within, and everything as it was afterwards, whatever happens."""
        before = [(each, _find(each.owner, each.attribute)) for each in self.changes]
        try:
            for each in self.changes:
                setattr(each.owner, each.attribute, each.replacement)
            yield
        finally:
            for each, original in reversed(before):
                setattr(each.owner, each.attribute, original)


def edit(owner: type | ModuleType, attribute: str, words: Mapping[str, str]) -> Change:
    """Return a change of some words in a function, method or property: each that stands there once, for another.

    The function is compiled anew from its source, in the module that it comes from. Raises NotThere where its source
    does not hold the words, or holds them twice: a refactoring must not turn a mutant into nothing.
    """
    original = _find(owner, attribute)
    function = _function(original)
    if function is None:
        raise NotThere(f"{owner.__name__}.{attribute} is no function, so its words cannot be changed")
    others = _other_users(owner, attribute, function)
    if others:
        raise NotThere(f"{attribute} is used by {' and '.join(others)}, too; change it where it is to be wrong")
    source = textwrap.dedent(inspect.getsource(function))
    for old, new in words.items():
        if source.count(old) != 1:
            raise NotThere(f"{owner.__name__}.{attribute} holds these words {source.count(old)} times, not once: {old}")
        source = source.replace(old, new)
    code = compile(
        source,
        f"<mutated {owner.__name__}.{attribute}>",
        "exec",
        __future__.annotations.compiler_flag,
        dont_inherit=True,
    )
    made: dict[str, Any] = {}
    exec(code, function.__globals__, made)
    return Change(owner, attribute, made[function.__name__])


def _find(owner: type | ModuleType, attribute: str) -> Any:
    """Return what the owner itself holds under a name, unbound. Raises NotThere."""
    if attribute not in vars(owner):
        raise NotThere(f"{owner.__name__} has no {attribute} of its own any more, so it cannot be changed")
    return vars(owner)[attribute]


def _other_users(owner: type | ModuleType, attribute: str, function: FunctionType) -> list[str]:
    """Return the modules that hold a module's function under a name of their own, but for its home and tests' kits."""
    if not isinstance(owner, ModuleType):
        return []
    ours = [
        module
        for name, module in sorted(sys.modules.items())
        if name.startswith("pbft.") and not name.startswith("pbft.testing.")
    ]
    holding = [module for module in ours if module is not owner and vars(module).get(attribute) is function]
    return [module.__name__ for module in holding if module.__name__ != function.__module__]


def _function(held: object) -> FunctionType | None:
    """Return the function behind what a class or module holds."""
    inner: object = held
    if isinstance(held, property):
        inner = held.fget
    elif isinstance(held, staticmethod | classmethod):
        inner = held.__func__
    return inner if isinstance(inner, FunctionType) else None
