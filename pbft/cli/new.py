"""`pbft new`: the files of a new application, which works as it stands.

Owns: which names an application may have, and a folder that is there whole or not at all. What the files say stands in
`starter/` beside this file.
"""

from __future__ import annotations

import builtins
import importlib.metadata
import importlib.util
import keyword
import os
import re
import shlex
import shutil
import string
from pathlib import Path
from typing import Annotated, Final

import typer

from pbft import __all__ as names_of_pbft
from pbft.cli.output import say
from pbft.console.outcome import ExitCode, Failure
from pbft.lab.interrupts import Interrupts
from pbft.loading import known_applications
from pbft.wording import quote

_NAME: Final = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
_LONGEST: Final = 40
_STARTER: Final = Path(__file__).with_name("starter")
_FILES: Final = {
    "application.py": "$module.py",
    "test_application.py": "test_$module.py",
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "gitignore": ".gitignore",
}
"""Each template, and the name of the file that it becomes."""
_RESERVED: Final = {
    "conftest": "that pytest loads as its own",
    "setup": "that tools run to install a project",
}
"""Names that no search finds on the path, but that tools give a meaning to."""


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As auction, or my-shop for a class MyShop.")],
    parent: Annotated[
        Path, typer.Option("--in", metavar="DIR", show_default=False, help="Where to make its folder. Default: here.")
    ] = Path(),
) -> None:
    """Write a new application with its test, in a folder of its own."""
    module = _module_of(name)
    class_name = _class_of(module)
    _refuse_taken(name, module, class_name)
    folder = parent / name
    _refuse_place(parent, folder)
    with Interrupts() as interrupts:
        files = _write({"name": name, "module": module, "class_name": class_name}, folder)
    if interrupts.asked:
        raise typer.Exit(ExitCode.INTERRUPTED)
    say(f"made {folder}: {', '.join(files)}; go on with")
    steps = [
        f"cd {shlex.quote(str(folder))}",
        *([] if importlib.util.find_spec("pytest") else ["pip install 'pbft[test]'"]),
        "pytest",
        f"pbft check {module}.py",
        f"pbft init --app {module}.py",
        "pbft up --detach",
        "pbft call take lamp",
        "pbft down",
    ]
    for step in steps:
        say(f"  {step}")


def _module_of(name: str) -> str:
    """Return the name of the module. Raises Failure."""
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        likely = re.sub(r"[^a-z0-9]+", "-", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower())[:_LONGEST].strip("-")
        meant = f"; for instance {likely}" if _NAME.fullmatch(likely) else ""
        where = "; where it goes is said by --in DIR" if "/" in name or "\\" in name else meant
        raise Failure(
            f"a name has 1 to {_LONGEST} of a-z, 0-9, - and _, and begins with a letter; "
            f"{quote(name)} does not fit{where}"
        )
    return name.replace("-", "_")


def _class_of(module: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in module.split("_"))


def _refuse_taken(name: str, module: str, class_name: str) -> None:
    """Refuse what would hide, or be hidden by, something that has this name already."""
    if keyword.iskeyword(module) or keyword.iskeyword(class_name):
        taken = "a word of Python's own"
    elif module in _RESERVED:
        taken = f"one {_RESERVED[module]}"
    elif module.startswith("test_") or module.endswith("_test"):
        raise Failure(f"the name {quote(name)} is one that pytest would take for a test's; choose one without test")
    elif class_name in names_of_pbft or hasattr(builtins, class_name):
        taken = f"that of the class {class_name}, which is there already"
    elif name in dict(known_applications()):
        taken = "that of an installed application, see pbft apps"
    elif _is_module(module):
        taken = "that of a module that Python finds already"
    elif _is_distribution(name):
        taken = "that of an installed package"
    else:
        return
    raise Failure(f"the name {quote(name)} is {taken}; choose another, as my-{name}")


def _is_module(module: str) -> bool:
    """Say whether anything is imported by this name; what lies in the working directory is somebody's own."""
    spec = importlib.util.find_spec(module)
    if spec is None:
        return False
    places = [spec.origin] if spec.has_location and spec.origin else list(spec.submodule_search_locations or ["/"])
    return any(Path.cwd() not in list(Path(place).parents)[:2] for place in places)


def _is_distribution(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _refuse_place(parent: Path, folder: Path) -> None:
    if not parent.is_dir():
        raise Failure(f"there is no folder {parent}; make it first, or name another with --in")
    if folder.exists() or folder.is_symlink():
        raise Failure(f"{folder} is there already; choose another name, or another place with --in DIR")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise Failure(f"you may not write into {parent}; name another place with --in DIR")


def _write(words: dict[str, str], folder: Path) -> list[str]:
    """Write all files beside the folder, and give it its name when they are all there. Return their names."""
    half = folder.with_name(f".{folder.name}-{os.urandom(4).hex()}")
    made = []
    try:
        half.mkdir()
        for template, name in _FILES.items():
            text = string.Template((_STARTER / f"{template}.template").read_text(encoding="utf-8")).substitute(words)
            made.append(string.Template(name).substitute(words))
            (half / made[-1]).write_text(text, encoding="utf-8")
        half.rename(folder)
    except OSError as error:
        raise Failure(f"{folder} cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return made
