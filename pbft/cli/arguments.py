"""Telling an operation's words from a command's options.

Owns: one rule for the whole command line: a word that begins with two dashes is an option and must be known, a number
below zero is a word like any other, and after a bare `--` everything is a word.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperOption

from pbft.console.outcome import Failure
from pbft.wording import quote, suggest

_NUMBER: Final = re.compile(r"-\.?[0-9].*")


class WordsCommand(TyperCommand):
    """A command whose options may stand anywhere among the words it takes."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Sort options from words, then parse as usual."""
        if ctx.resilient_parsing:
            # A half-typed line, to be completed: nothing in it is wrong yet.
            return super().parse_args(ctx, args)
        options, words = self._sort(list(args))
        return super().parse_args(ctx, [*options, "--", *words])

    def _sort(self, args: list[str]) -> tuple[list[str], list[str]]:
        takes_value = {"--help": False}
        for parameter in self.params:
            if isinstance(parameter, TyperOption):
                takes_value.update(dict.fromkeys(parameter.opts, not parameter.is_flag))
        options: list[str] = []
        words: list[str] = []
        while args:
            arg = args.pop(0)
            if arg == "--":
                return options, words + args
            name, equals, _ = arg.partition("=")
            if name in takes_value:
                options.append(arg)
                if takes_value[name] and not equals:
                    if not args:
                        raise Failure(f"{name} needs a value after it")
                    options.append(args.pop(0))
            elif arg.startswith("-") and arg != "-" and not _NUMBER.fullmatch(arg):
                known = suggest(name, takes_value)
                raise Failure(f"there is no option {quote(name)}{known}; a word that begins with - goes after --")
            else:
                words.append(arg)
        return options, words


def command(app: typer.Typer, name: str, function: Callable[..., None], **settings: Any) -> None:
    """Add a command of this kind to an app."""
    app.command(name, cls=WordsCommand, **settings)(function)
