"""What is checked: an application and the parameters it is made with, named so that another process finds it too.

Owns: the words by which an application travels to the processes of a check. Runs none of it.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pbft.application import Application
from pbft.encoding import Plain
from pbft.loading import (
    AppError,
    application_name,
    create_application,
    file_of,
    is_place,
    known_applications,
    load_application,
)


@dataclass(frozen=True)
class Subject:
    """An application to check.

    `spec` is what `pbft.loading.load_application` takes: `path.py:Class` with an absolute path, or `module:Class`.
    """

    spec: str
    parameters: Mapping[str, Plain] = field(default_factory=dict)

    @classmethod
    def of(cls, application: Any, parameters: Mapping[str, Plain] | None = None) -> Subject:
        """Return the subject that a class, a `path.py:Class`, a `module:Class` or a registered name means.

        Raises AppError for a class that another process could not find.
        """
        spec = _spec_of_class(application) if isinstance(application, type) else _absolute(str(application))
        return cls(spec, dict(parameters or {}))

    @property
    def file(self) -> Path | None:
        """The file it was named by, None where it was named by a module."""
        return file_of(self.spec)

    def load(self) -> type:
        """Import the application's class into this process. Raises AppError."""
        return load_application(self.spec)

    def create(self) -> Application:
        """Return the application in its first state, in this process. Raises AppError."""
        return create_application(self.load(), self.parameters)

    @property
    def name(self) -> str:
        """What people call it: the class's name, or the file's where it holds one application only."""
        _, _, name = self.spec.rpartition(":")
        return Path(name).stem if name.endswith(".py") else name


def _absolute(spec: str) -> str:
    if not is_place(spec):
        # A name that a package registers: known here, so known in other processes of this installation too.
        return dict(known_applications()).get(spec, spec)
    path = file_of(spec)
    if path is None:
        return spec
    _, colon, name = spec.rpartition(".py")[2].partition(":")
    return f"{path.absolute()}{colon}{name}"


def _spec_of_class(cls: type) -> str:
    name = application_name(cls)
    if cls.__qualname__ != name:
        raise AppError(
            f"the class {cls.__qualname__} is defined inside another: other processes have to find it, so define it "
            "at the top of its file"
        )
    module = sys.modules.get(cls.__module__)
    if module is None or vars(module).get(name) is not cls:
        raise AppError(f"the class {name} is not to be found in its module {cls.__module__} under that name")
    file = getattr(module, "__file__", None)
    if file is None:
        raise AppError(f"the class {name} was not read from a file: write it into one, so that other processes find it")
    if cls.__module__ != "__main__" and _imports_as(cls.__module__, file):
        return f"{cls.__module__}:{name}"
    return f"{os.path.abspath(file)}:{name}"


def _imports_as(module: str, file: str) -> bool:
    """Say whether that file is what another process imports under the module's name."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return False
    # What sys.modules holds comes first: a test's module may be there that no path leads to.
    found = _find_afresh(module) if spec is not None else None
    return found is not None and os.path.realpath(found) == os.path.realpath(file)


def _find_afresh(module: str) -> str | None:
    """Return the file that the import system finds for a module by its path alone."""
    paths: list[str] | None = None
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        name = ".".join(parts[:depth])
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec = find(name, paths) if find is not None else None
            if spec is not None:
                break
        else:
            return None
        if depth == len(parts):
            return str(spec.origin)
        paths = list(spec.submodule_search_locations or ())
        if not paths:
            return None
    return None
