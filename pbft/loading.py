"""Finding an application by what people write: `path.py:Class`, `module:Class`, or a name that a package registers.

Owns: the import of the code, the choice of the class, and the check of parameters when a group is made. Every
mistake becomes an AppError with one sentence. Knows nothing of groups or replicas.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final, cast

from pbft.encoding import Plain
from pbft.errors import PbftError
from pbft.machine import (
    Application,
    ArgumentError,
    MachineError,
    Parameter,
    Rejected,
    StateMachine,
    describe,
    describe_parameters,
)
from pbft.wording import quote, suggest

ENTRY_POINTS: Final = "pbft.apps"
"""The entry-point group in which a package names its applications, as in `ledger = "pbft_apps.ledger:Ledger"`."""

CLIENTS_PARAMETER: Final = "clients"
"""A parameter of this name is filled with the names of the group's clients, unless it is given."""

_FILE: Final = re.compile(r"(?P<path>.*\.py)(:(?P<name>.*))?", re.DOTALL)
_METHODS: Final = ("execute", "digest", "snapshot", "restore")
"""What makes a class an application."""
_SHOWN_MESSAGE: Final = 200


class AppError(PbftError):
    """An application that cannot be loaded or created. The message is one sentence that says what to do."""


def load_application(spec: str) -> type:
    """Return the class that `spec` names, checked.

    `spec` is `path.py:Class`, where `:Class` may be left out of a file with one StateMachine and a relative path
    starts in the working directory; `module:Class`, for a module that can be imported; or a name in the entry-point
    group `pbft.apps`. Modules beside a file can be imported by it. Loading runs the module's code. Raises AppError.
    """
    if is_place(spec):
        cls = _choose(*import_place(spec, "application"))
    else:
        known = dict(known_applications())
        if spec not in known:
            raise AppError(
                f"no installed package has an application {quote(spec)} "
                f"(a file of your own is named as path.py:Class){suggest(spec, known)}"
            )
        if ":" not in known[spec]:
            raise AppError(
                f"the application {quote(spec)} is registered as {quote(known[spec])}, which is not module:Class"
            )
        cls = _choose(*import_place(known[spec], "application"))
    try:
        describe(cls)
    except MachineError as error:
        raise AppError(str(error)) from None
    return cls


def is_place(spec: str) -> bool:
    """Say whether words name code by where it lies, `path.py:Class` or `module:Class`, and not by a name alone."""
    return ":" in spec or _FILE.fullmatch(spec) is not None


def file_of(spec: str) -> Path | None:
    """Return the file that `path.py:Class` or `path.py` names, None where words name something else."""
    match = _FILE.fullmatch(spec)
    return Path(match["path"]).expanduser() if match else None


def import_place(spec: str, noun: str) -> tuple[ModuleType, str | None, str]:
    """Return the module that `path.py:Class` or `module:Class` names, the class's name, and what to call the place.

    The name is None where a file's is left out; `noun` says in sentences what is looked for. Raises AppError.
    """
    match = _FILE.fullmatch(spec)
    if match:
        path = Path(match["path"]).expanduser()
        return _import_file(path), match["name"], path.name
    module, _, name = spec.partition(":")
    if not all(part.isidentifier() for part in module.split(".")):
        raise AppError(f"{quote(spec)} names no {noun}; write path.py:Class or module:Class")
    return _import_module(module), name, module


def known_applications() -> list[tuple[str, str]]:
    """Return the name and `module:Class` of every application that an installed package registers, by name."""
    found: dict[str, str] = {}
    for point in sorted(importlib.metadata.entry_points(group=ENTRY_POINTS), key=lambda each: (each.name, each.value)):
        found.setdefault(point.name, point.value.replace(" ", ""))
    return list(found.items())


def application_name(cls: type) -> str:
    """Return the name that a group's genesis knows an application by: its class's."""
    return cls.__name__


def parse_parameters(cls: type, words: Mapping[str, str], clients: Sequence[str] = ()) -> dict[str, Plain]:
    """Return the parameters that `--set name=word` means, checked and sorted as a genesis keeps them.

    A parameter named `clients` that no word sets gets the names of the group's clients. Raises AppError, also for what
    the application's own `__init__` refuses: one is created for the purpose.
    """
    specs = {parameter.name: parameter for parameter in describe_parameters(cls)}
    owner = application_name(cls)
    found: dict[str, Plain] = {}
    try:
        for name, word in words.items():
            if name not in specs and issubclass(cls, StateMachine):
                raise AppError(_unknown_parameter(owner, name, specs))
            found[name] = specs[name].parse(owner, word) if name in specs else word
        if CLIENTS_PARAMETER in specs and CLIENTS_PARAMETER not in found:
            found[CLIENTS_PARAMETER] = specs[CLIENTS_PARAMETER].check(owner, tuple(clients))
    except ArgumentError as error:
        raise AppError(str(error)) from None
    create_application(cls, found)
    return dict(sorted(found.items()))


def create_application(cls: type, parameters: Mapping[str, Plain]) -> Application:
    """Return an application in its first state. Raises AppError for parameters that do not fit or are refused."""
    owner = application_name(cls)
    specs = {parameter.name: parameter for parameter in describe_parameters(cls)}
    if issubclass(cls, StateMachine):
        for name in sorted(parameters):
            if name not in specs:
                raise AppError(_unknown_parameter(owner, name, specs))
    try:
        create = getattr(cls, "create", None)
        made = create(parameters) if callable(create) else cls(**parameters)
    except (ArgumentError, MachineError) as error:
        raise AppError(str(error)) from None
    except Rejected as error:
        raise AppError(f"{owner} refuses these parameters: {error.message}") from None
    except (Exception, SystemExit) as error:
        raise AppError(f"{owner} cannot be created: {_name_error(error)}") from None
    return cast(Application, made)


def _unknown_parameter(owner: str, name: str, specs: Mapping[str, Parameter]) -> str:
    if not specs:
        return f"{owner} takes no parameters, but {quote(name)} was given"
    return f"{owner} has no parameter {quote(name)}{suggest(name, specs)}"


def _import_file(path: Path) -> ModuleType:
    try:
        source = path.read_bytes()
    except FileNotFoundError:
        raise AppError(f"there is no file {path}") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise AppError(f"{path} cannot be read: {reason}") from None
    resolved = path.resolve()
    # Two files of one name are two modules, and neither may take the name of an installed one.
    name = f"pbft_app_{path.stem}_{hashlib.blake2b(str(resolved).encode(), digest_size=4).hexdigest()}"
    spec = importlib.util.spec_from_file_location(name, resolved)
    if spec is None:
        raise AppError(f"{path} cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    neighbours = str(resolved.parent)
    # Registered before it runs: annotations and dataclasses look their module up. The neighbours come last on the
    # path, so that a file named like a standard module does not replace it.
    sys.modules[name] = module
    sys.path.append(neighbours)
    try:
        code: CodeType = compile(source, str(resolved), "exec", dont_inherit=True)
        exec(code, module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise AppError(f"{path.name} does not import: {_name_error(error)}{_name_line(error, str(resolved))}") from None
    finally:
        sys.path.remove(neighbours)
    return module


def _import_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise AppError(f"there is no module {quote(name)}; a file of your own is named as path.py:Class") from None
        raise AppError(f"{name} does not import: {_name_error(error)}{_name_line(error)}") from None
    except (Exception, SystemExit) as error:
        raise AppError(f"{name} does not import: {_name_error(error)}{_name_line(error)}") from None


def _choose(module: ModuleType, name: str | None, where: str) -> type:
    """Return the class of that name, or the only StateMachine the module defines."""
    own = [
        key
        for key, value in vars(module).items()
        if _is_application(value) and value.__module__ == module.__name__ and not key.startswith("_")
    ]
    if name is None:
        machines = [key for key in own if issubclass(vars(module)[key], StateMachine)]
        if len(machines) != 1:
            found = f"{len(machines)} ({', '.join(sorted(machines))})" if machines else "none"
            raise AppError(f"{where} must hold one StateMachine to go without a class name, and has {found}")
        name = machines[0]
    value = vars(module).get(name)
    if value is None:
        raise AppError(f"{where} has no class {quote(name)}{suggest(name, own)}")
    if not _is_application(value):
        raise AppError(
            f"{quote(name)} in {where} is neither a StateMachine nor a class with execute, digest, snapshot and restore"
        )
    return cast(type, value)


def _is_application(value: Any) -> bool:
    if not isinstance(value, type) or value is StateMachine or value is Application:
        return False
    return all(callable(getattr(value, method, None)) for method in _METHODS)


def _name_error(error: BaseException) -> str:
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    first = message.strip().partition("\n")[0][:_SHOWN_MESSAGE]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _name_line(error: BaseException, file: str | None = None) -> str:
    """Return where it went wrong: the last line in `file`, or in any file but the import machinery's."""
    if isinstance(error, SyntaxError):
        return f" ({Path(error.filename or '?').name}, line {error.lineno})"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if (frame.filename == file if file else not frame.filename.startswith("<") and frame.filename != __file__)
    ]
    frames = [frame for frame in frames if frame.filename != importlib.__file__]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
