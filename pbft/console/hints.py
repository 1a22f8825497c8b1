"""The line below a line that is being typed: how it goes on, or what is wrong with it so far.

Owns: what is said of a half-typed line. A line that may still become right is never called wrong. Runs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from pbft.console.commands import SIGN, Command, command_name, command_names, find_command
from pbft.console.completion import Vocabulary, candidates
from pbft.console.help import describe_parameter
from pbft.console.said import Hint
from pbft.console.statements import COMMENT, Typed, read_typed
from pbft.errors import PbftError
from pbft.lab.faults import FAULTS, parse_fault
from pbft.machine import OperationSpec, parse_arguments
from pbft.wording import quote, suggest

_SHOWN_NAMES: Final = 12
_ENDINGS: Final = ("0", "0%", "%", "ms", "s", "00")
"""What may turn the beginning of a word into one that fits: of a number, an amount, or bytes."""
_LONG_FORMS: Final = ("[", "{", '"')
"""What JSON begins with, which fits when it is finished only."""
_SWITCHES: Final = {"load": "off", "record": "off", "wait": "ok"}
_COUNTS: Final = {"client": 1, "help": 1, "load": None, "wait": 1, "record": 1, "run": 1, "mermaid": 1}
"""How many words may stand behind a command; None: as many as an operation has. None at all for the others."""


def hint(line: str, known: Vocabulary) -> Hint:
    """Return what to show below a line."""
    if line.lstrip().startswith(COMMENT):
        return Hint("a comment: nothing happens")
    typed = read_typed(line)
    if not typed.all:
        return Hint(f"{_some(list(known.specs)) or 'an operation'} · help · {SIGN} for commands and faults")
    if not typed.words:
        return _of_first_word(typed, known)
    name = command_name(typed.words[0], known.specs)
    if name is None:
        return _of_operation(typed.words[0], typed.words[1:], typed, known)
    if name in FAULTS:
        return _of_fault(name, typed, known)
    found = find_command(name)
    return _of_command(name, found, typed, known) if found else _of_no_command(name)


def _of_first_word(typed: Typed, known: Vocabulary) -> Hint:
    word = typed.word
    fitting = [each for each in candidates((), word, known) if each.startswith(word)]
    if word in known.specs and (len(fitting) == 1 or word not in fitting[1:]):
        return _of_operation(word, (), typed, known)
    if len(fitting) > 1 and word not in fitting:
        return Hint(_some(fitting))
    name = command_name(fitting[0] if fitting else word, known.specs)
    if name is not None:
        found = find_command(name)
        return Hint(f"{found.usage} · {found.summary}") if found else _of_no_command(name)
    if fitting:
        return _of_operation(fitting[0], (), typed, known)
    if not known.specs:
        return Hint(f"{word} · the application's code is not here: replicas judge")
    return Hint(f"there is no operation {quote(word)}{suggest(word, [*known.specs, 'client', 'help'])}", wrong=True)


def _of_operation(operation: str, words: Sequence[str], typed: Typed, known: Vocabulary) -> Hint:
    """Return the hint on an operation whose complete arguments are `words`; the last of the line is being typed."""
    spec = known.specs.get(operation)
    if spec is None:
        if known.specs:
            return Hint(f"there is no operation {quote(operation)}{suggest(operation, known.specs)}", wrong=True)
        return Hint(f"{operation} · the application's code is not here: replicas judge")
    typing = len(typed.words) > 0
    try:
        _check_complete(spec, words)
        if typing and (typed.word or typed.is_open):
            ok = lambda word: _check_complete(spec, (*words, word))  # noqa: E731 -- one short rule
            _check_unfinished(ok, typed, candidates(typed.words, typed.word, known))
    except PbftError as error:
        return Hint(str(error), wrong=True)
    place = len(words)
    if typing and place < len(spec.parameters):
        return Hint(
            f"{_mark(spec, place)} · {describe_parameter(spec.parameters[place])} · {spec.summary}".rstrip(" ·")
        )
    return Hint(f"{spec.usage} · {spec.summary}".rstrip(" ·"))


def _check_complete(spec: OperationSpec, words: Sequence[str]) -> None:
    """Raise ArgumentError for words that are wrong; what is still missing is not."""
    if len(words) < len(spec.parameters):
        for parameter, word in zip(spec.parameters, words, strict=False):
            parameter.parse(f"{spec.name}()", word)
    else:
        parse_arguments(spec, words)


def _check_unfinished(check: Callable[[str], object], typed: Typed, offered: Sequence[str]) -> None:
    """Raise what `check` raises for the word at the end, unless that word is the beginning of one that would fit."""
    word = typed.word
    # First what costs nothing: a check of a misbehaviour loads the code of all.
    if typed.is_open or any(each.startswith(word) for each in offered):
        return
    try:
        check(word)
    except PbftError:
        if word.startswith(_LONG_FORMS):
            return
        for ending in _ENDINGS:
            try:
                check(word + ending)
            except PbftError:
                continue
            return
        raise


def _of_fault(verb: str, typed: Typed, known: Vocabulary) -> Hint:
    told = f"{SIGN}{FAULTS[verb].usage} · {FAULTS[verb].summary}"
    try:
        words = typed.words[1:]
        if verb == "let":
            # Its sentence is one whole: wrong only when it is entered.
            return Hint(told)
        if typed.word or typed.is_open:
            ok = lambda word: _check_fault((verb, *words, word), known)  # noqa: E731 -- one short rule
            _check_unfinished(ok, typed, candidates(typed.words, typed.word, known))
        elif words:
            _check_fault((verb, *words), known)
    except PbftError as error:
        return Hint(str(error), wrong=True)
    return Hint(told)


def _check_fault(words: Sequence[str], known: Vocabulary) -> None:
    """Raise FaultError unless the words say a fault, or would with one of those that may follow."""
    try:
        parse_fault(words, known.n, known.clients)
    except PbftError:
        for more in candidates((SIGN + words[0], *words[1:]), "", known):
            try:
                return _check_fault((*words, more), known)
            except PbftError:
                continue
        raise


def _of_command(name: str, found: Command, typed: Typed, known: Vocabulary) -> Hint:
    told = f"{found.usage} · {found.summary}"
    rest = typed.all[1:]
    most = _COUNTS.get(name, 0)
    if most is not None and len(rest) > most:
        return Hint(f"{SIGN}{name} takes {'nothing' if not most else 'one word'} after it; {found.usage}", wrong=True)
    if name in ("load", "wait") and rest:
        number, switch = rest[0], _SWITCHES[name]
        if not switch.startswith(number) and not _is_number(number):
            return Hint(f"{SIGN}{name} takes a number or {switch}, not {quote(number)}", wrong=True)
        if name == "load" and len(typed.words) > 2:
            return _of_operation(typed.words[2], typed.words[3:], typed, known)
    if name == "client" and len(typed.words) == 1 and not any(each.startswith(typed.word) for each in known.speakers):
        return Hint(f"there is no key of {quote(typed.word)} here{suggest(typed.word, known.speakers)}", wrong=True)
    return Hint(told)


def _of_no_command(name: str) -> Hint:
    names = [each.removeprefix(SIGN) for each in command_names()]
    return Hint(f"there is no command {quote(SIGN + name)}{suggest(name, names)}", wrong=True)


def _is_number(word: str) -> bool:
    try:
        return float(word) >= 0
    except ValueError:
        return False


def _mark(spec: OperationSpec, place: int) -> str:
    """Return how an operation is written, with the argument that comes next between arrows."""
    head, *words = spec.usage.split(" ")
    return " ".join([head, *(f"»{word}«" if i == place else word for i, word in enumerate(words))])


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN_NAMES]) + (", …" if len(names) > _SHOWN_NAMES else "")
