"""One run of a sequence in a process of its own, forked for it: every operation, and what was seen of it.

Owns: what is observed around an operation, and in which order. Sends it as it goes, so that whoever listens knows how
far a run came that hung or died. Compares nothing with other processes.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pbft.application import FAILED_INSIDE, Application, Outcome, Result
from pbft.conformance.findings import Rule
from pbft.conformance.notebook import Notebook
from pbft.conformance.outside import Outside
from pbft.conformance.states import dump_state
from pbft.conformance.steps import Step, tell_value
from pbft.conformance.surroundings import Surroundings
from pbft.conformance.touches import Touches
from pbft.core.sections import sections_of
from pbft.encoding import DIGEST_BYTES, EncodingError, decode_plain
from pbft.errors import PbftError
from pbft.loading import create_application
from pbft.machine import StateMachine
from pbft.pieces import SNAPSHOT_PIECE_BYTES

_TOO_LARGE: Final = ("an integer beyond 64 bits", "bytes left for it", "stored too much")
"""How a StateMachine says that a value outgrew its place."""

_SHOWN: Final = 160
_Note = tuple[str, str, str, str, str]
"""Rule, where, here, there, and the sentence."""


class Stop(Exception):
    """Nothing more can be learned from this run: the last note says why."""


class Run:
    """Executes what one request asks for."""

    def __init__(
        self,
        request: Mapping[str, Any],
        application: type,
        parameters: Mapping[str, Any],
        surroundings: Surroundings,
        touches: Touches,
        outside: Outside,
        notebook: Notebook,
    ) -> None:
        self._request = request
        self._class = application
        self._parameters = parameters
        self._surroundings = surroundings
        self._touches = touches
        self._outside = outside
        self._notebook = notebook
        self._me = os.getpid()
        self._patience_s = request["patience_ms"] / 1000
        self._notes: list[_Note] = []
        self._inside = False
        """Whether an operation is under way, or what is seen of it."""
        self._drawn: tuple[Any, ...] = ()
        """What the module random was at when it was looked at last."""

    def run(self) -> None:
        """Execute all of it and tell of it. Never raises, but where nobody listens any more."""
        self._surroundings.begin()
        try:
            self._keep_company()
            application = self._create()
            if self._request["pieces"] is not None:
                application = self._restore(application, list(self._request["pieces"]))
            self._tell("first", digest=self._digest(application))
            self._execute_all(application)
            if self._request["take"]:
                self._tell("snapshot", place=-1, pieces=self._snapshot(application))
            self._tell("done")
        except Stop:
            self._tell("stopped", inside=self._inside)

    def _tell(self, kind: str, **fields: Any) -> None:
        if os.getpid() != self._me:
            # An operation forked, and this is its child: it has no business here.
            os._exit(0)
        notes, self._notes = self._notes, []
        self._notebook.write({"kind": kind, "notes": [list(note) for note in notes], **fields})
        # Every message says that something came to its end, so the patience begins anew.
        signal.setitimer(signal.ITIMER_REAL, self._patience_s)

    def _note(self, rule: Rule, sentence: str, where: str = "", here: str = "", there: str = "") -> None:
        self._notes.append((rule.name, _plain(where), _plain(here), _plain(there), _plain(sentence)))

    def _try(self, what: str, call: Callable[[], Any]) -> Any:
        """Return what a method of the application returns; one that raises ends the run with a note."""
        try:
            return call()
        except BaseException as error:
            self._note(Rule.RAISED, f"{self._class.__name__}.{what} raised {self._spell_error(error)}")
            raise Stop from None

    def _create(self) -> Application:
        try:
            return create_application(self._class, self._parameters)
        except PbftError as error:
            self._note(Rule.IMPORT_DIFFERS, str(error))
            raise Stop from None

    def _keep_company(self) -> None:
        """Let another machine of the class execute operations first."""
        if self._request["company"] is None:
            return
        other = self._create()
        for place, step in enumerate(map(_step, self._request["company"])):
            self._tell("company")
            self._surroundings.at_step(place)
            # What it thinks of an operation is told where the operation's turn comes.
            _quietly(lambda step=step, place=place: other.execute(step.data, step.context(place)))  # type: ignore[misc]
        self._surroundings.begin()

    def _execute_all(self, application: Application) -> None:
        self._outside.look()
        self._drawn = random.getstate()
        steps = [_step(each) for each in self._request["steps"]]
        offset: int = self._request["offset"]
        probes, dumps = set(self._request["probes"]), set(self._request["dumps"])
        if offset - 1 in dumps:
            self._tell("dump", place=offset - 1, sections=dump_state(application))
        for place, step in enumerate(steps, offset):
            probe = self._try("snapshot()", application.snapshot) if place in probes else None
            self._inside = True
            result, digest = self._execute(application, step, place)
            self._inside = False
            self._tell("step", place=place, outcome=int(result.outcome), payload=result.payload, digest=digest)
            if probe is not None:
                # Only now: the pieces are those of the moment of the call, whatever was executed since.
                self._tell("snapshot", place=place, pieces=self._pieces(probe))
            if place in dumps:
                self._tell("dump", place=place, sections=dump_state(application))

    def _execute(self, application: Application, step: Step, place: int) -> tuple[Result, bytes]:
        surroundings, touches = self._surroundings, self._touches
        surroundings.at_step(place)
        looks, draws = surroundings.clock_looks, surroundings.system_draws
        touches.begin()
        try:
            result = self._try("execute()", lambda: application.execute(step.data, step.context(place)))
        finally:
            touches.end()
            if surroundings.clock_looks != looks:
                self._note(Rule.TOUCHED_OUTSIDE, "it read a clock", "clock")
            if surroundings.system_draws != draws:
                self._note(Rule.TOUCHED_OUTSIDE, "it drew random bytes from the system", "random")
            drawn, self._drawn = self._drawn, random.getstate()
            if self._drawn != drawn:
                self._note(Rule.TOUCHED_OUTSIDE, "it drew from the module random", "random")
        self._check_answer(result, step)
        self._look_around(application, result)
        return result, self._digest(application)

    def _check_answer(self, result: Any, step: Step) -> None:
        wrong = ""
        if not isinstance(result, Result) or not isinstance(result.outcome, Outcome):
            wrong = f"execute() returned a {type(result).__name__}, not a Result"
        elif type(result.payload) is not bytes:
            wrong = f"execute() returned a payload of type {type(result.payload).__name__}, not bytes"
        elif len(result.payload) > step.context(0).answer_bytes:
            wrong = "execute() returned more than the context's answer_bytes"
        else:
            try:
                decode_plain(result.payload)
            except EncodingError:
                wrong = "execute() returned a payload that is no encoded value; make results with Result.of()"
        if wrong:
            self._note(Rule.BAD_ANSWER, wrong)
            raise Stop

    def _look_around(self, application: Application, result: Result) -> None:
        """Note what happened beside the state."""
        for change in self._outside.look():
            rule = Rule.REMEMBERED_OUTSIDE if change.lazy or change.cache else Rule.OUTSIDE_CHANGED
            sentence = f"{change.where} was {change.before} and became {change.after}"
            self._note(rule, sentence, change.where, change.before, change.after)
        for what in self._touches.started:
            self._note(Rule.OUTSIDE_CHANGED, f"the operation started {what}", what)
        for what in self._touches.used:
            self._note(Rule.TOUCHED_OUTSIDE, f"it {what}", what)
        if not isinstance(application, StateMachine):
            return
        if result.outcome is Outcome.FAILED:
            self._tell_failure(application, result)
        elif result.outcome is Outcome.OK:
            for key, value in itertools.islice(self._touches.lost_writes(result.payload), 3):
                self._note(
                    Rule.LOST_WRITE,
                    f"what lies under {tell_value(key)} in a Table was changed to {tell_value(value)[:_SHOWN]} and not "
                    "written back: what a Table returns is a copy",
                    f"the key {tell_value(key)}",
                )

    def _tell_failure(self, machine: StateMachine, result: Result) -> None:
        text = str(result.value)
        if any(each in text for each in _TOO_LARGE):
            # Not what the class is, but how large an argument was: the same everywhere, and undone.
            self._note(Rule.FAILED_INSIDE, f"it failed: {text.removesuffix('; nothing was changed')}")
        elif text != FAILED_INSIDE:
            self._note(Rule.BROKE_A_RULE, text.removesuffix("; nothing was changed"))
        elif machine.last_failure is not None:
            error = machine.last_failure
            where = self._line_of(error) or type(error).__name__
            self._note(Rule.FAILED_INSIDE, f"it failed with {self._spell_error(error)}", where)

    def _spell_error(self, error: BaseException) -> str:
        """Return an exception in one line, with the application's line that raised it."""
        message = _message(error).strip().partition("\n")[0][:_SHOWN]
        line = self._line_of(error)
        return f"{type(error).__name__}{': ' if message else ''}{message}{f' ({line})' if line else ''}"

    def _line_of(self, error: BaseException) -> str:
        files = self._outside.files
        frames = [each for each in traceback.extract_tb(error.__traceback__) if each.filename in files]
        return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""

    def _digest(self, application: Application) -> bytes:
        digest = self._try("digest()", application.digest)
        if type(digest) is not bytes or len(digest) != DIGEST_BYTES:
            self._note(Rule.BAD_ANSWER, f"digest() did not return {DIGEST_BYTES} bytes")
            raise Stop
        return digest

    # Snapshots.

    def _snapshot(self, application: Application) -> list[bytes]:
        return self._pieces(self._try("snapshot()", application.snapshot))

    def _pieces(self, snapshot: Iterable[bytes]) -> list[bytes]:
        pieces: list[bytes] = self._try("snapshot()", lambda: list(snapshot))
        if self._try("snapshot()", lambda: list(snapshot)) != pieces:
            self._note(Rule.SNAPSHOT_DIFFERS, "snapshot() can be iterated over only once; return a list of its pieces")
            raise Stop
        if any(type(piece) is not bytes or len(piece) > SNAPSHOT_PIECE_BYTES for piece in pieces):
            self._note(
                Rule.SNAPSHOT_DIFFERS, f"snapshot() gives a piece that is no bytes, or more than {SNAPSHOT_PIECE_BYTES}"
            )
            raise Stop
        return pieces

    def _restore(self, application: Application, pieces: list[bytes]) -> Application:
        """Return an application with the state of a snapshot, after it refused what is none."""
        for garbage in _garbage(pieces):
            self._offer_garbage(application, garbage)
        self._try("restore()", lambda: application.restore(iter(pieces)))
        if self._snapshot(application) != pieces:
            self._note(
                Rule.RESTORED_DIFFERS,
                "snapshot() after restore() does not give the pieces that were restored",
            )
        if self._request["by_sections"] and isinstance(application, StateMachine):
            return self._copy_sections(application)
        return application

    def _offer_garbage(self, application: Application, garbage: Sequence[bytes]) -> None:
        before = self._digest(application), self._snapshot(application)
        shown = _tell_pieces(garbage)
        try:
            application.restore(iter(garbage))
        except ValueError:
            if (self._digest(application), self._snapshot(application)) != before:
                self._note(Rule.BAD_SNAPSHOT, f"restore() refused {shown} and changed the state all the same")
        except BaseException as error:
            self._note(Rule.BAD_SNAPSHOT, f"restore() of {shown} raised {self._spell_error(error)}, not a ValueError")
        else:
            # It may be a snapshot by chance, of another state: then that is what it gives back.
            if self._snapshot(application) != list(garbage):
                self._note(Rule.BAD_SNAPSHOT, f"restore() accepted {shown}, which its snapshot() does not make")

    def _copy_sections(self, machine: StateMachine) -> Application:
        """Return another machine that took the state over by its sections, as a replica that catches up does."""
        twin = self._create()
        from_sections, to_sections = sections_of(machine).sections(), sections_of(twin).sections()
        for source, target in zip(from_sections, to_sections, strict=True):
            for key in list(target):
                if key not in source:
                    target.write(key, None)
            for key in source:
                target.write(key, source.get(key))
        self._try("adopt()", sections_of(twin).adopt)
        return twin


def _garbage(pieces: list[bytes]) -> list[list[bytes]]:
    """Return what no snapshot is, made from one: too short, too long, cut, and nothing like it."""
    found = [[b"garbage"], [*pieces, b"\xff"]]
    if pieces:
        found.append(pieces[:-1])
        if len(pieces[-1]) > 1:
            found.append([*pieces[:-1], pieces[-1][:-1]])
    return found


def _tell_pieces(pieces: Sequence[bytes]) -> str:
    if len(pieces) == 1:
        return f"the piece {pieces[0][:16].hex()}{'…' if len(pieces[0]) > 16 else ''}"
    return f"{len(pieces)} pieces" if pieces else "no pieces at all"


def _step(told: Sequence[Any]) -> Step:
    return Step(told[0], told[1], told[2])


def _plain(text: str) -> str:
    """Return text that can be sent, whatever an application put into its messages."""
    return text.encode("utf-8", "replace").decode()


def _message(error: BaseException) -> str:
    """Return an exception's text; none where its own class fails to tell it."""
    try:
        return str(error)
    except BaseException:
        return ""


def _quietly(call: Callable[[], object]) -> None:
    try:
        call()
    except BaseException:
        return
