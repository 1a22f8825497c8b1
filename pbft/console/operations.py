"""An application's operations as people write them: words in, bytes out; and where to find them.

Owns: which operations are known on this machine, and the reading of an operation's words.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from pbft.console.outcome import Failure
from pbft.encoding import EncodingError, Plain
from pbft.group_file import GroupFile
from pbft.loading import AppError, application_name, load_application
from pbft.machine import MachineError, OperationSpec, describe, encode_operation, parse_arguments
from pbft.wording import quote, suggest

_LITERALS: Final[Mapping[str, Plain]] = {"true": True, "false": False, "null": None}


def load_specs(files: GroupFile) -> dict[str, OperationSpec]:
    """Return the application's operations, none where its code cannot be loaded here or is another's."""
    try:
        # What the module prints is not part of our answer.
        with contextlib.redirect_stdout(sys.stderr):
            cls = load_application(files.application)
        if application_name(cls) != files.group.genesis.application:
            return {}
        return {spec.name: spec for spec in describe(cls)}
    except (AppError, MachineError):
        return {}


def encode_words(files: GroupFile, specs: Mapping[str, OperationSpec], operation: str, words: Sequence[str]) -> bytes:
    """Return the bytes of an operation written as words. Raises Failure, ArgumentError or EncodingError.

    Where the application's code can be loaded here, words are read by its annotations; elsewhere they are taken for
    what they look like, and the replicas judge.
    """
    if not specs:
        args: tuple[Plain, ...] = tuple(_read_literally(word) for word in words)
    elif operation in specs:
        args = parse_arguments(specs[operation], words)
    else:
        raise Failure(
            f"{files.group.genesis.application} has no operation {quote(operation)}{suggest(operation, specs)}"
        )
    try:
        return encode_operation(operation, args)
    except EncodingError as error:
        raise Failure(str(error)) from None


def _read_literally(word: str) -> Plain:
    if word in _LITERALS:
        return _LITERALS[word]
    try:
        return int(word) if word.lstrip("-").isascii() and word.lstrip("-").isdigit() else word
    except ValueError:
        return word
