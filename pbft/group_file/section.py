"""One table of the file, read strictly: every entry has a type, and none is passed over in silence.

Owns: the messages that say where in the file something is wrong and what to write there. Knows nothing of groups.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from pbft.group_file.layout import GroupFileError
from pbft.wording import quote, suggest


class Section:
    """One table of the file, with its place in it for messages, and which of its entries were asked for."""

    def __init__(self, file: Path, name: str, table: Mapping[str, Any]) -> None:
        self.file = file
        self.name = name
        self.table = table
        self._known: dict[str, None] = {}
        self._children: dict[str, Section] = {}

    def fail(self, message: str) -> NoReturn:
        """Raise the error that names the file and this section."""
        raise GroupFileError(f"{self.file}: {self.name}{': ' if self.name else ''}{message}")

    def take(self, key: str, kind: type, words: str) -> Any:
        """Return a required entry of exactly this type."""
        self._known[key] = None
        if key not in self.table:
            self.fail(f"{key} is missing; write {key} = {words}")
        value = self.table[key]
        if type(value) is not kind:
            self.fail(f"{key} must be {words}, not {quote(str(value))}")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text that is not empty, or the default where there is no such entry."""
        if default is not None and key not in self.table:
            self._known[key] = None
            return default
        value: str = self.take(key, str, "a text in quotes")
        return value or self.fail(f"{key} is empty")

    def number(self, key: str, default: int | None = None, least: int = 1) -> int:
        """Return a whole number of at least `least`, or the default where there is no such entry."""
        if default is not None and key not in self.table:
            self._known[key] = None
            return default
        value: int = self.take(key, int, f"a whole number of at least {least}")
        if value < least:
            self.fail(f"{key} must be a whole number of at least {least}, not {value}")
        return value

    def switch(self, key: str, usual: bool) -> bool:
        """Return true or false, or what is usual where there is no such entry."""
        if key not in self.table:
            self._known[key] = None
            return usual
        value: bool = self.take(key, bool, "true or false")
        return value

    def key(self, key: str, size: int = 32) -> bytes:
        """Return `size` bytes from their hexadecimal digits."""
        words = f"{2 * size} hexadecimal digits in quotes"
        text: str = self.take(key, str, words)
        if not re.fullmatch(f"[0-9a-fA-F]{{{2 * size}}}", text):
            self.fail(f"{key} must be {words}, not {len(text)} characters: {quote(text)}")
        return bytes.fromhex(text)

    def section(self, key: str) -> Section:
        """Return a required table."""
        self._known[key] = None
        if not isinstance(self.table.get(key), dict):
            self.fail(f"there must be one [{key}]; take a fresh copy of the group's file")
        return self._child(key, f"[{key}]", self.table[key])

    def optional(self, key: str) -> Section:
        """Return a table, an empty one where it is missing."""
        self._known[key] = None
        return self.section(key) if key in self.table else self._child(key, f"[{key}]", {})

    def sections(self, key: str) -> list[Section]:
        """Return the tables of an array, none where it is missing."""
        self._known[key] = None
        value = self.table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            self.fail(f"each {key} must be a table of its own: [[{key}]]")
        return [self._child(f"{key} {place}", f"[[{key}]] number {place}", each) for place, each in enumerate(value)]

    def _child(self, key: str, name: str, table: Mapping[str, Any]) -> Section:
        # One object for a table, however often it is asked for: it remembers which entries are known.
        return self._children.setdefault(key, Section(self.file, name, table))

    def refuse_unknown(self) -> None:
        """Refuse entries that nobody asked for: a misspelt one must not be passed over in silence."""
        for key in self.table:
            if key not in self._known:
                self.fail(f"{quote(key)} is unknown here{suggest(key, self._known)}")
