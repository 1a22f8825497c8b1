"""A finding as a script: plain Python that shows it again, and tells when it is mended.

Owns: the script's words, the file it goes to, and what it does when it runs. What a fault is, `worlds` decides.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pbft.conformance.minimal import Case
from pbft.conformance.steps import Step
from pbft.conformance.subject import Subject
from pbft.console.text import clean
from pbft.encoding import Plain
from pbft.errors import PbftError
from pbft.machine import Outcome, Result, StateMachine
from pbft.operations import ArgumentError, decode_operation, encode_operation
from pbft.wording import count

_SCRIPT = '''"""{title}

{told}

    python {name}

ends with 1 as long as it is so, with 0 once it is mended, and with 2 where it cannot tell.
"""

{imports}

APPLICATION = {application}
PARAMETERS = {parameters}

# Who sends what, and when: agreed time in milliseconds.
STEPS = [
{steps}
]

if __name__ == "__main__":
    raise SystemExit(replay(APPLICATION, STEPS, parameters=PARAMETERS{options}))
'''


_UNTOLD: Final = 2
"""How a script ends that could not try what it was written for."""


def write_script(subject: Subject, case: Case, seed: int, folder: Path) -> Path:
    """Write the script into a folder, as a file that was not there before, and return its path. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"check_{''.join(each if each.isalnum() else '_' for each in subject.name).lower()}"
    number = 1
    while True:
        path = folder / (f"{stem}.py" if number == 1 else f"{stem}_{number}.py")
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(script(subject, case, seed, path))
        except FileExistsError:
            number += 1
        else:
            return path


def script(subject: Subject, case: Case, seed: int, path: Path) -> str:
    """Return the script's text, for a file at `path`."""
    application, imports = _application(subject, path.absolute().parent)
    options = f", restores={case.restores!r}" if case.restores else ""
    options += f", seed={seed}" if seed else ""
    return _SCRIPT.format(
        title=_plain(f"{subject.name}: {case.finding.rule.value}, as `pbft check` found."),
        told=_plain(case.finding.sentence),
        name=path.name,
        imports="\n".join([*imports, "from pbft.conformance import Step, replay"]),
        application=application,
        parameters=_spell(dict(subject.parameters)),
        steps="\n".join(f"    {_step(each)}," for each in case.steps),
        options=options,
    )


def replay(
    application: Any,
    steps: Sequence[Step],
    *,
    parameters: Mapping[str, Plain] | None = None,
    restores: Sequence[int] = (),
    seed: int = 0,
) -> int:
    """Try one sequence in several processes, print what it shows, and return 1 if that is a fault, 0 if none.

    It is 2 where that cannot be told: the application cannot be loaded, or an operation is no longer what it was.
    `restores` is where a new process takes over the state: each the number of operations before.
    """
    from pbft.conformance.telling import tell_case
    from pbft.conformance.worlds import Worlds

    try:
        subject = Subject.of(application, parameters)
        with Worlds(subject, seed=seed) as worlds:
            attempt = worlds.attempt(tuple(steps), tuple(restores))
    except PbftError as error:
        print(f"nothing was tried: {error}")
        return _UNTOLD
    finding = attempt.finding
    if finding is None:
        unfit = [each for each in zip(steps, attempt.results, strict=False) if _does_not_fit(*each)]
        if unfit and issubclass(subject.load(), StateMachine):
            step, result = unfit[0]
            print(f"nothing was tried: {step.told} is no call of this application any more: {result.value}")
            return _UNTOLD
        print(f"{count(len(steps), 'operation')}: the same in all processes; what was found before is mended.")
        return 0
    print("\n".join(tell_case(Case(tuple(steps), tuple(restores), finding), len(steps))))
    return 1


def _does_not_fit(step: Step, result: Result) -> bool:
    """Say whether a call is none any more. Bytes that are no call at all never were one."""
    try:
        decode_operation(step.data)
    except ArgumentError:
        return False
    return result.outcome is Outcome.INVALID


def _application(subject: Subject, folder: Path) -> tuple[str, list[str]]:
    """Return how a script names the application, and what it imports for that."""
    file = subject.file
    if file is None:
        return repr(subject.spec), []
    relative = os.path.relpath(file.absolute(), folder)
    rest = subject.spec[subject.spec.rindex(".py") + len(".py") :]
    return f"str(Path(__file__).parent / {relative!r})" + (f" + {rest!r}" if rest else ""), [
        "from pathlib import Path\n"
    ]


def _step(step: Step) -> str:
    start = f"{step.client!r}, {step.time_ms:_}"
    try:
        call = decode_operation(step.data)
    except ArgumentError:
        return f"Step({start}, {_spell(step.data)})"
    if encode_operation(call.name, call.args, call.kwargs) != step.data:
        # A second spelling, as with no named arguments behind a place for them.
        return f"Step({start}, {_spell(step.data)})"
    words = [start, repr(call.name)]
    if call.args or call.kwargs:
        words.append(_spell(call.args))
    if call.kwargs:
        words.append(_spell(dict(call.kwargs)))
    return f"Step.call({', '.join(words)})"


def _spell(value: Plain) -> str:
    """Return a value in Python, ASCII only where a character could not be seen or would turn a line around."""
    return f"bytes.fromhex({value.hex()!r})" if type(value) is bytes and len(value) > 1 else repr(value)


def _plain(text: str) -> str:
    """Return a sentence that can stand in a docstring."""
    return clean(text).replace("\\", "\\\\").replace('"""', "'''")
