"""Which misbehaviours there are, and how people name them: by a word, by a class's name or place, or several.

Owns: how words become a misbehaviour, and what stands behind the everyday ones. Knows no processes and no groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from pbft.errors import PbftError
from pbft.lab.faults import CENSOR, HOWS
from pbft.loading import import_place, is_place
from pbft.testing.byzantine import (
    Adversary,
    BadSignature,
    BadState,
    Equivocator,
    NodeForger,
    Silent,
    SlowVoter,
    StaleViewChange,
    TwoFaced,
    WrongReply,
)
from pbft.testing.byzantine.censor import censor_of
from pbft.testing.byzantine.naming import MISBEHAVIOURS, together
from pbft.wording import quote, suggest


class MisbehaviourError(PbftError):
    """A misbehaviour that cannot be had. The message is one sentence that says what to do."""


WORDS: Final[Mapping[str, tuple[type[Adversary], ...]]] = MappingProxyType(
    {
        "equivocate": (TwoFaced, Equivocator),
        "silent": (Silent,),
        "wrong-reply": (WrongReply,),
        "bad-signature": (BadSignature,),
        "slow": (SlowVoter,),
        "stale-view-change": (StaleViewChange,),
        "bad-state": (BadState, NodeForger),
    }
)
"""What stands behind the everyday words of `pbft.lab.faults.HOWS`; "censor" is made for the client it names.

Some stand for several misbehaviours that only together show in all places what the word says.
"""


def find_misbehaviour(words: str) -> type[Adversary]:
    """Return the class that `words` name: one of `HOWS`, the name of a class, `path.py:Class`, `module:Class`.

    Several are joined by +. A file with one misbehaviour goes without `:Class`; of several the first has the last word
    on what leaves. Loading a file runs its code. Raises MisbehaviourError, or AppError for code that does not import.
    """
    return _combine(words, [kind for word in _split(words) for kind in _find(word)])


def check_misbehaviour(words: str, clients: Sequence[str]) -> str:
    """Return `words` tidied up, if `find_misbehaviour` can take them in a group with clients of these names.

    Whatever a place names is not loaded: that runs its code, which is for the process that lies and no other. Raises
    MisbehaviourError.
    """
    named = _split(words)
    for word in named:
        client = _censored(word)
        if client is not None and client not in clients:
            raise MisbehaviourError(f"no client is called {quote(client)}{suggest(client, clients)}")
    known = [kind for word in named if not is_place(word) for kind in _find(word)]
    if known:
        _combine(words, known)
    return "+".join(named)


def _split(words: str) -> list[str]:
    named = [word.strip() for word in words.split("+")]
    if not all(named):
        raise MisbehaviourError(
            f"{quote(words)} lacks a misbehaviour; write a name, or several with + between, as in equivocate"
        )
    return named


def _combine(words: str, kinds: Sequence[type[Adversary]]) -> type[Adversary]:
    kind = together(kinds)
    if kind is None:
        raise MisbehaviourError(
            f"the misbehaviours in {quote(words)} do not go together in this order; name none twice and none that "
            "builds on another, Silent and Twins alone, Mutator and Replayer first"
        )
    return kind


def _censored(word: str) -> str | None:
    """Return whom a word wants censored, or None where it wants something else."""
    verb, _, client = word.partition(" ")
    if verb != CENSOR:
        return None
    if not client.strip():
        raise MisbehaviourError(f"{CENSOR} is followed by a client's name, as in {quote('censor alice')}")
    return client.strip()


def tell(kind: type[Adversary]) -> str:
    """Return what a misbehaviour does, in a line: its docstring's first."""
    return (kind.__doc__ or "").strip().partition("\n")[0]


def _find(word: str) -> tuple[type[Adversary], ...]:
    client = _censored(word)
    if client is not None:
        return (censor_of(client),)
    if word in WORDS:
        return WORDS[word]
    if not is_place(word):
        if word not in MISBEHAVIOURS:
            close = suggest(word, [*HOWS, *MISBEHAVIOURS])
            if "did you mean" not in close:
                close = f"; there are {', '.join(HOWS)}, and more in pbft liar --list"
            raise MisbehaviourError(
                f"there is no misbehaviour {quote(word)} (one of your own is named as path.py:Class){close}"
            )
        return (MISBEHAVIOURS[word],)
    return (_load(word),)


def _load(word: str) -> type[Adversary]:
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
