"""What Tab may turn a line into.

Owns: which words may stand where, for operations by their parameters' types, for commands and faults by their usage.
Runs nothing, and asks no replica.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pbft.annotations import Mismatch
from pbft.console.commands import BARE, SIGN, command_name, command_names
from pbft.console.statements import COMMENT, read_typed
from pbft.lab.faults import CENSOR, FAULTS, HOWS
from pbft.machine import OperationSpec, Parameter

MAX_SHOWN: Final = 200
"""More lines than this help nobody to choose."""


@dataclass(frozen=True)
class Vocabulary:
    """What is known of a group where lines are typed."""

    specs: Mapping[str, OperationSpec]
    clients: Sequence[str]
    """All clients of the group: who may stand in an argument."""
    speakers: Sequence[str]
    """Those whose keys lie here: who may speak."""
    n: int


def complete(line: str, known: Vocabulary) -> list[str]:
    """Return the whole lines that a line may become by finishing the word at its end."""
    if line.lstrip().startswith(COMMENT):
        return []
    typed = read_typed(line)
    head = line[: typed.start]
    found: dict[str, None] = {}
    for candidate in candidates(typed.words, typed.word, known):
        if candidate.startswith(typed.word) and len(found) < MAX_SHOWN:
            # A folder is not done yet: its files come next.
            found[f"{head}{_quote(candidate)}{'' if candidate.endswith(os.sep) else ' '}"] = None
    return list(found)


def candidates(words: Sequence[str], word: str, known: Vocabulary) -> list[str]:
    """Return what may stand behind these words; `word`, the beginning of it, matters to names of files only."""
    if not words:
        return _first_words(word, known)
    name = command_name(words[0], known.specs)
    if name is None:
        return of_operation(words[0], len(words) - 1, known)
    rest = words[1:]
    if name in FAULTS:
        return _of_fault(name, rest, known)
    match name, len(rest):
        case "client", 0:
            return list(known.speakers)
        case "help", 0:
            return [*known.specs, *(each.removeprefix(SIGN) for each in command_names())]
        case "wait", 0:
            return ["ok"]
        case "load", 0:
            return ["200", "off"]
        case "load", 1:
            return list(known.specs)
        case "load", _:
            return of_operation(rest[1], len(rest) - 2, known)
        case "record", 0:
            return ["off", *_files(word)]
        case (("run" | "mermaid"), 0):
            return _files(word)
    return []


def of_operation(operation: str, place: int, known: Vocabulary) -> list[str]:
    """Return what may stand as an operation's argument at a place, counted from 0."""
    spec = known.specs.get(operation)
    if spec is None or place >= len(spec.parameters):
        return []
    return list(dict.fromkeys(_values(spec.parameters[place], known.clients)))


def _values(parameter: Parameter, clients: Sequence[str]) -> Iterable[str]:
    """Return words that fit a parameter, by the parts of its annotation, as far as there are few."""
    offered: list[str] = []
    for part in parameter.annotation.split(" | "):
        match part:
            case "str":
                offered += clients
            case "bool":
                offered += ["true", "false"]
            case "None":
                offered.append("null")
            case _ if part.startswith('"'):
                try:
                    offered.append(str(json.loads(part)))
                except ValueError:
                    continue
            case _:
                # A number that a Literal names stands for itself; names of types fit nothing and fall out below.
                offered.append(part)
    for word in offered:
        try:
            parameter.shape.parse(word)
        except Mismatch:
            continue
        yield word


def _first_words(word: str, known: Vocabulary) -> list[str]:
    commands = [each for each in command_names() if each.startswith(SIGN)]
    if word.startswith(SIGN):
        return [*commands, *(SIGN + each for each in BARE[:2])]
    bare = [each for each in BARE[:2] if each not in known.specs]
    return [*known.specs, *bare, *commands]


def _of_fault(verb: str, rest: Sequence[str], known: Vocabulary) -> list[str]:
    replicas = [str(replica) for replica in range(known.n)]
    match verb, len(rest):
        case (("kill" | "pause" | "resume" | "restart" | "byzantine" | "cut"), 0):
            return replicas
        case "cut", 1:
            return [each for each in replicas if each != rest[0]]
        case "byzantine", 1:
            return list(HOWS)
        case "byzantine", 2 if rest[1] == CENSOR:
            return list(known.clients)
        case "loss", 0:
            return ["20%", "0%"]
        case "delay", 0:
            return ["50ms", "0ms"]
        case (("loss" | "delay"), (1 | 2)):
            return [each for each in replicas if each not in rest[1:]]
    return []


def _files(word: str) -> list[str]:
    """Return the files and folders whose names begin as the word does; folders end in a slash."""
    folder, beginning = os.path.split(word)
    try:
        with os.scandir(os.path.expanduser(folder) or os.curdir) as entries:
            found = [
                os.path.join(folder, each.name) + (os.sep if each.is_dir() else "")
                for each in entries
                if each.name.startswith(beginning) and (beginning or not each.name.startswith("."))
            ]
    except (OSError, ValueError):
        return []
    return sorted(found)


def _quote(word: str) -> str:
    # A tilde in quotes would be a name like any other.
    return word if word.startswith("~") and shlex.quote(word[1:]) == word[1:] else shlex.quote(word)
