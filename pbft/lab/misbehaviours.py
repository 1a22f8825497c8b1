"""Which misbehaviours there are, and how people name them: by a name, by where a class of their own lies, or several.

Owns: how words become a misbehaviour. Knows no processes and no groups.
"""

from __future__ import annotations

from pbft.errors import PbftError
from pbft.loading import import_place, is_place
from pbft.testing.byzantine import Adversary
from pbft.testing.byzantine.naming import MISBEHAVIOURS, together
from pbft.wording import quote, suggest


class MisbehaviourError(PbftError):
    """A misbehaviour that cannot be had. The message is one sentence that says what to do."""


def find_misbehaviour(words: str) -> type[Adversary]:
    """Return the class that `words` name: a known name, `path.py:Class`, `module:Class`, or several with + between.

    A file with one misbehaviour goes without `:Class`; of several the first has the last word on what leaves. Loading
    a file runs its code. Raises MisbehaviourError, or AppError for code that does not import.
    """
    named = [word.strip() for word in words.split("+")]
    if not all(named):
        raise MisbehaviourError(f"{quote(words)} lacks a misbehaviour; write a name, or several with + between")
    kind = together([_find(word) for word in named])
    if kind is None:
        raise MisbehaviourError(
            f"the misbehaviours in {quote(words)} do not go together in this order; name none twice and none that "
            "builds on another, Silent and Twins alone, Mutator and Replayer first"
        )
    return kind


def tell(kind: type[Adversary]) -> str:
    """Return what a misbehaviour does, in a line: its docstring's first."""
    return (kind.__doc__ or "").strip().partition("\n")[0]


def _find(word: str) -> type[Adversary]:
    if not is_place(word):
        if word not in MISBEHAVIOURS:
            raise MisbehaviourError(
                f"there is no misbehaviour {quote(word)} "
                f"(one of your own is named as path.py:Class){suggest(word, MISBEHAVIOURS)}"
            )
        return MISBEHAVIOURS[word]
    module, name, where = import_place(word, "misbehaviour")
    own = {
        key: value
        for key, value in vars(module).items()
        if _is_misbehaviour(value) and value.__module__ == module.__name__ and not key.startswith("_")
    }
    if name is None:
        if len(own) != 1:
            found = f"{len(own)} ({', '.join(sorted(own))})" if own else "none"
            raise MisbehaviourError(f"{where} must hold one misbehaviour to go without a class name, and has {found}")
        (name,) = own
    value = vars(module).get(name)
    if value is None:
        raise MisbehaviourError(f"{where} has no class {quote(name)}{suggest(name, own)}")
    if not isinstance(value, type) or not issubclass(value, Adversary):
        raise MisbehaviourError(
            f"{quote(name)} in {where} is no misbehaviour; derive it from pbft.testing.byzantine.Adversary"
        )
    return value


def _is_misbehaviour(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Adversary) and value is not Adversary
