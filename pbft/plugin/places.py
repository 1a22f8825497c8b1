"""Where a class of a test lies, as another process finds it again.

Owns: how a class becomes `path.py:Class` or `module:Class`, and the folders that such a process must search besides.
"""

from __future__ import annotations

import contextlib
import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from pbft.plugin.group import refuse
from pbft.wording import quote

__tracebackhide__ = True


def place_of(cls: type, noun: str) -> tuple[str, Path | None]:
    """Return what names a class for `pbft.loading`, and a folder to search for its module, None for the usual ones.

    Raises Misused for a class that no other process can import: one made inside a function, say.
    """
    told = f"the {noun} {quote(cls.__name__)} cannot run in a process of its own"
    if "<locals>" in cls.__qualname__:
        refuse(f"{told}, since it is defined inside a function; move it to the top of its file, or beside the test")
    if cls.__qualname__ != cls.__name__:
        refuse(f"{told}, since it is defined inside {cls.__qualname__.rpartition('.')[0]}; move it to the top")
    module = sys.modules.get(cls.__module__)
    file = getattr(module, "__file__", None)
    if module is None or file is None or vars(module).get(cls.__name__) is not cls:
        refuse(f"{told}, since no module has it under this name; define it with class {cls.__name__} in a file")
    path, parts = Path(file).resolve(), cls.__module__.split(".")
    if len(parts) > 1 and (root := _root(path, parts)) is not None:
        # By its name: a module of a package may import its neighbours by theirs.
        return f"{cls.__module__}:{cls.__name__}", None if _is_usual(root) else root
    return f"{path}:{cls.__name__}", None


def _root(path: Path, parts: list[str]) -> Path | None:
    """Return the folder on the path of imports from which a module's name leads to its file."""
    inner = [*parts, "__init__.py"] if path.name == "__init__.py" else [*parts[:-1], f"{parts[-1]}.py"]
    if list(path.parts[-len(inner) :]) != inner:
        return None
    root = path.parents[len(inner) - 1]
    return root if any(each and Path(each).resolve() == root for each in sys.path) else None


def _is_usual(root: Path) -> bool:
    return str(root) in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))


@contextlib.contextmanager
def searching(*folders: Path) -> Iterator[None]:
    """Let processes that are started within search these folders for modules, after Python's own ways."""
    before = os.environ.get("PYTHONPATH")
    if folders:
        words = [*map(str, folders), *([before] if before else [])]
        os.environ["PYTHONPATH"] = os.pathsep.join(words)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("PYTHONPATH", None)
        else:
            os.environ["PYTHONPATH"] = before
