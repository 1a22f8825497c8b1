"""The modules of an application, as trees: the class's own, those of its bases, and others in its folder.

Owns: which files are read, the names that they bind at their level, and which of their lines are declared fine. A file
that cannot be read is a sentence. Judges no line.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Final

from pbft.conformance.source.remarks import FINE

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

_OURS: Final = ("pbft",)


class Unreadable(Exception):
    """A source that cannot be read; the message is one sentence."""


@dataclass(eq=False)
class Module:
    """A file's tree, and what its level binds."""

    file: str
    name: str
    tree: ast.Module
    fine: dict[int, str]
    """By line, the reasons for which lines are declared fine; empty where none is given."""
    imports: dict[str, str] = field(default_factory=dict)
    """What names of the module's level are called from outside: now: "time.time"."""
    definitions: dict[str, Definition] = field(default_factory=dict)
    assignments: dict[str, list[ast.Assign | ast.AnnAssign | ast.AugAssign]] = field(default_factory=dict)
    starred: list[str] = field(default_factory=list)
    """The modules from which it imports all."""

    def __post_init__(self) -> None:
        for statement in _level(self.tree.body):
            match statement:
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                    self.definitions[statement.name] = statement
                case ast.Import() | ast.ImportFrom():
                    self.imports |= imported(statement, self.name, self.is_package)
                    if isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
                        self.starred.append(_origin(statement, self.name, self.is_package))
                case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
                    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                    for target in targets:
                        for node in ast.walk(target):
                            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                                self.assignments.setdefault(node.id, []).append(statement)

    @property
    def is_package(self) -> bool:
        """Whether it is a package's own file."""
        return Path(self.file).name == "__init__.py"

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return Path(self.file).resolve().parent


class Library:
    """The modules of one application, each read once."""

    def __init__(self, first: Sequence[ModuleType]) -> None:
        self.modules: list[Module] = []
        self.unreadable: list[tuple[str, str]] = []
        """Files that could not be read, each with its sentence."""
        self._known: dict[str, Module | None] = {}
        self._folders: dict[Path, None] = {}
        for module in first:
            read = self._read_module(module)
            if read is not None:
                self._folders[read.folder] = None

    def of(self, module: ModuleType) -> Module | None:
        """Return a module that was among the first ones, None if it could not be read."""
        return self._known.get(module.__name__)

    def find(self, dotted: str) -> tuple[Module, str] | None:
        """Return the module of the application, and the name in it, that a name from outside means."""
        parts = dotted.split(".")
        for length in range(len(parts), 0, -1):
            module = self._module(".".join(parts[:length]))
            if module is not None:
                return module, ".".join(parts[length:])
        return None

    def _module(self, name: str) -> Module | None:
        if name in self._known:
            return self._known[name]
        self._known[name] = None
        loaded = sys.modules.get(name)
        file = getattr(loaded, "__file__", None)
        if file is None and name.isidentifier() and loaded is None:
            # Loaded as a file beside the application, and gone from where modules are kept; or never loaded.
            file = next((str(each / f"{name}.py") for each in self._folders if (each / f"{name}.py").is_file()), None)
        if file is None or name.partition(".")[0] in _OURS or not self._is_beside(Path(file)):
            return None
        self._known[name] = self._read(str(file), name, None)
        return self._known[name]

    def _is_beside(self, file: Path) -> bool:
        folder = file.resolve().parent
        return file.suffix == ".py" and (folder in self._folders)

    def _read_module(self, module: ModuleType) -> Module | None:
        if module.__name__ not in self._known:
            file = getattr(module, "__file__", None) or ""
            self._known[module.__name__] = self._read(file, module.__name__, module)
        return self._known[module.__name__]

    def _read(self, file: str, name: str, module: ModuleType | None) -> Module | None:
        try:
            text = _text(file, module)
            tree = ast.parse(text)
            fine = _fine_lines(text)
        except Unreadable as error:
            sentence = str(error)
        except (SyntaxError, ValueError, tokenize.TokenError) as error:
            reason = error.msg if isinstance(error, SyntaxError) else str(error)
            sentence = f"it cannot be read as Python ({reason}): nothing of it was looked at"
        except (RecursionError, MemoryError):
            sentence = "its expressions are nested too deep to be read: nothing of it was looked at"
        else:
            made = Module(file, name, tree, fine)
            self.modules.append(made)
            return made
        self.unreadable.append((file, sentence))
        return None


def imported(statement: ast.Import | ast.ImportFrom, name: str, is_package: bool) -> dict[str, str]:
    """Return what an import binds, each name with what it is called from outside."""
    bound: dict[str, str] = {}
    for alias in statement.names:
        if isinstance(statement, ast.Import):
            bound[alias.asname or alias.name.partition(".")[0]] = (
                alias.name if alias.asname else alias.name.partition(".")[0]
            )
        elif alias.name != "*":
            bound[alias.asname or alias.name] = f"{_origin(statement, name, is_package)}.{alias.name}"
    return bound


def _origin(statement: ast.ImportFrom, name: str, is_package: bool) -> str:
    """Return the module that is imported from, by its whole name."""
    if not statement.level:
        return statement.module or ""
    parts = name.split(".")
    parts = parts[: len(parts) - statement.level + (1 if is_package else 0)]
    return ".".join([*parts, *([statement.module] if statement.module else [])])


def _level(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a module's level, those under conditions too, but what runs as a program only."""
    for statement in body:
        yield statement
        if isinstance(statement, ast.If):
            if not is_program(statement.test):
                yield from _level(statement.body)
            yield from _level(statement.orelse)
        elif isinstance(statement, ast.Try):
            for each in (statement.body, *(handler.body for handler in statement.handlers)):
                yield from _level(each)
            yield from _level([*statement.orelse, *statement.finalbody])
        elif isinstance(statement, ast.With | ast.For | ast.While):
            yield from _level(statement.body)


def is_program(test: ast.expr) -> bool:
    """Say whether a condition is `__name__ == "__main__"`."""
    return isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and test.left.id == "__name__"


def _text(file: str, module: ModuleType | None) -> str:
    loader = getattr(getattr(module, "__spec__", None), "loader", None)
    if not file or file.startswith("<"):
        raise Unreadable("it was not read from a file, so its source is not to be had: write it into one")
    try:
        if not Path(file).is_file() or Path(file).suffix in (".pyc", ".so", ".pyd"):
            # In an archive, say; what was compiled long ago has no source at all.
            source = loader.get_source(module.__name__) if module is not None and loader is not None else None
            if source is None:
                raise Unreadable("there is no source of it here, only what was compiled: nothing of it was looked at")
            return str(source)
        with tokenize.open(file) as opened:
            return opened.read()
    except (OSError, ImportError, AttributeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "no loader gives its source"
        raise Unreadable(f"it cannot be read ({reason}): nothing of it was looked at") from None


def _fine_lines(text: str) -> dict[int, str]:
    found = {}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            match = FINE.search(token.string)
            if match:
                found[token.start[0]] = match["reason"].strip()
    return found
