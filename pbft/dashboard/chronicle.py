"""The event log: what happened to the group, in sentences for people who need not know the words of its own log.

Owns: the lines, how many there may be, and their wording. Replicas repeat each other and liars say anything, so a line
is written once for all who tell of the same thing, and nobody fills the log.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from pbft.console.text import fit
from pbft.dashboard.checks import mapping, member, text, whole
from pbft.dashboard.views import LogLine
from pbft.wording import listing

KEPT: Final = 1_000
LINE_CELLS: Final = 240

_WINDOW_US: Final = 10_000_000
_LINES_A_WINDOW: Final = 20
"""How many lines one source may have in ten seconds: more than any correct replica has reason for."""
_AGAIN_US: Final = 10_000_000
"""After how long the same thing is worth another line."""
_REMEMBERED: Final = 256

_CONTRADICTIONS: Final = {
    "PRE_PREPARE": "two different proposals for the same sequence",
    "PREPARE": "two different prepare votes for the same sequence",
    "COMMIT": "two different commit votes for the same sequence",
    "CHECKPOINT": "two different states after the same sequence",
    "VIEW_CHANGE": "two different votes to leave the same view",
    "NEW_VIEW": "two different beginnings of the same view",
}


class Chronicle:
    """The log's lines. Everything that comes in is cleaned here."""

    def __init__(self, n: int, faults: int) -> None:
        self._n = n
        self._weak = faults + 1
        self._lines: deque[LogLine] = deque(maxlen=KEPT)
        self.logged = 0
        """How many lines there ever were."""
        self._shares: dict[str, tuple[int, int]] = {}
        """By source: when its window began, and its lines since."""
        self._written: OrderedDict[Hashable, int] = OrderedDict()
        self._leaving: list[OrderedDict[int, str]] = [OrderedDict() for _ in range(n)]
        """By replica: the views that it asked for of late, with its cause."""
        self._left: OrderedDict[int, None] = OrderedDict()
        self._incidents: Mapping[str, Callable[[int, Mapping[str, Any], int], None]] = {
            "view left": self._on_view_left,
            "state installed": self._on_state_installed,
            "state diverged": self._on_diverged,
            "operation failed": self._on_operation_failed,
            "evidence": self._on_evidence,
        }

    def lines(self, since: int) -> Sequence[LogLine]:
        """Return the kept lines after the first `since` that there ever were."""
        new = min(len(self._lines), max(0, self.logged - since))
        return tuple(islice(self._lines, len(self._lines) - new, None))

    def write(self, us: int, source: str, style: str, words: str) -> None:
        """Add a line, as far as its source's share goes."""
        begun_us, used = self._shares.get(source, (us, 0))
        if us - begun_us >= _WINDOW_US:
            begun_us, used = us, 0
        self._shares[source] = (begun_us, used + 1)
        if used < _LINES_A_WINDOW:
            self._add(us, source, style, words)
        elif used == _LINES_A_WINDOW:
            self._add(us, source, "dim", "says more than is shown here: the next seconds of it are left out")

    def tell(self, us: int, style: str, words: str) -> None:
        """Add a line about the group, or of the user's own: these are nobody's to flood."""
        self._add(us, "group", style, words)

    def note(self, us: int, source: str, style: str, words: str) -> None:
        """Add a line of this program's own."""
        self._add(us, fit(source, 20), style, words)

    def incident(self, replica: int, event: Mapping[str, Any], us: int) -> None:
        """Take a line of a replica's log. What is not known by name is shown if it is a warning."""
        what = event.get("what")
        handler = self._incidents.get(what) if isinstance(what, str) else None
        fields = mapping(event.get("fields"))
        if handler is not None:
            handler(replica, fields, us)
        elif event.get("level") in ("warning", "error") and isinstance(what, str):
            style = "red" if event.get("level") == "error" else "yellow"
            self.write(us, _name(replica), style, f"{text(what, 60)}{_details(fields)}")

    def forget(self, replica: int) -> None:
        """Drop what a replica's process before this one asked for: the group may begin anew, at view 0."""
        self._leaving[replica].clear()
        for view in list(self._left):
            if sum(view in told for told in self._leaving) < self._weak:
                del self._left[view]

    def view_began(self, view: int, us: int) -> None:
        """Tell of a view that f+1 replicas have entered."""
        self.tell(us, "bold yellow", f"view {view} began: replica {view % self._n} is the primary now")

    def checkpoint(self, sequence: int, us: int) -> None:
        """Tell of a stable checkpoint; under load there are many, and one now and then is told of."""
        if self._is_due(("checkpoint",), us, 5_000_000):
            self.tell(us, "dim", f"checkpoint: a quorum vouches for the state after {sequence}, older votes can go")

    def fetching(self, replica: int, sequence: int, us: int) -> None:
        """Tell of a transfer that begins."""
        if self._is_due(("fetching", replica), us):
            self.write(
                us, _name(replica), "yellow", f"is too far behind and fetches the state at {sequence} from others"
            )

    def differs(self, replica: int, sequence: int, us: int) -> None:
        """Tell that a replica reports another state than f+1 others."""
        words = (
            f"reports another state after {sequence} than f+1 others do: it lies, or its machine is not deterministic"
        )
        self.write(us, _name(replica), "bold red", words)

    def fault(self, event: Mapping[str, Any], us: int) -> None:
        """Tell of a fault that somebody ordered."""
        command, said = text(event.get("command"), 60), text(event.get("said"), 160)
        self._add(us, "lab", "magenta", f":{command}: {said}" if command else said)

    def _add(self, us: int, source: str, style: str, words: str) -> None:
        self._lines.append(LogLine(us, source, style, fit(words, LINE_CELLS)))
        self.logged += 1

    def _is_due(self, key: Hashable, us: int, after_us: int = _AGAIN_US) -> bool:
        """Say whether something is worth a line now, and take note that it got one."""
        last_us = self._written.get(key)
        if last_us is not None and us - last_us < after_us:
            return False
        self._written[key] = us
        self._written.move_to_end(key)
        if len(self._written) > _REMEMBERED:
            self._written.popitem(last=False)
        return True

    def _on_view_left(self, replica: int, fields: Mapping[str, Any], us: int) -> None:
        left, view = whole(fields.get("left")), whole(fields.get("asks_for"))
        if left is None or view is None:
            return
        cause = text(fields.get("cause"), 80) or "it does not say why"
        asked = self._leaving[replica]
        asked[view] = cause
        if len(asked) > 16:
            asked.popitem(last=False)
        others = [each for each, told in enumerate(self._leaving) if view in told]
        if len(others) < self._weak:
            # One alone proves nothing: a liar may complain of anybody.
            if self._is_due(("left", replica), us):
                primary = left % self._n
                words = f"asks for view {view} in place of {left} (primary: replica {primary}): {cause}"
                self.write(us, _name(replica), "dim", words)
        elif view not in self._left:
            self._left[view] = None
            if len(self._left) > _REMEMBERED:
                self._left.popitem(last=False)
            causes = [told[view] for told in self._leaving if view in told]
            first = next((each for each in causes if not each.startswith("f+1")), causes[0])
            words = f"{listing(others)} ask for view {view}, so all correct ones join: {first}"
            self.tell(us, "yellow", words)

    def _on_state_installed(self, replica: int, fields: Mapping[str, Any], us: int) -> None:
        sequence = whole(fields.get("sequence"))
        if sequence is not None:
            cause = text(fields.get("cause"), 80)
            words = f"took over the state after {sequence} from others" + (f": {cause}" if cause else "")
            self.write(us, _name(replica), "green", words)

    def _on_diverged(self, replica: int, fields: Mapping[str, Any], us: int) -> None:
        sequence = whole(fields.get("sequence"))
        if sequence is not None:
            words = (
                f"found that its state after {sequence} is not the one that a quorum vouches for: it fetches that one"
            )
            self.write(us, _name(replica), "bold red", words)

    def _on_operation_failed(self, replica: int, fields: Mapping[str, Any], us: int) -> None:
        sequence = whole(fields.get("sequence"))
        if sequence is None or not self._is_due(("failed", sequence), us):
            return
        error, words, where = text(fields.get("error"), 40), text(fields.get("text"), 80), text(fields.get("where"), 80)
        cause = ": ".join(each for each in (error, words) if each)
        told = f"an operation at {sequence} failed inside the application" + (f": {cause}" if cause else "")
        self.write(us, _name(replica), "yellow", told + (f" ({where})" if where else ""))

    def _on_evidence(self, replica: int, fields: Mapping[str, Any], us: int) -> None:
        culprit, kind, file = member(fields.get("culprit"), self._n), text(fields.get("kind"), 20), fields.get("file")
        if culprit is None or not self._is_due(("evidence", culprit, kind), us):
            return
        signed = _CONTRADICTIONS.get(kind, "two messages that contradict each other")
        name = text(file.rsplit("/", 1)[-1], 60) if isinstance(file, str) else ""
        kept = f"; the proof is {name}, and :evidence shows it" if name else "; there was no room to keep the proof"
        self.write(us, _name(replica), "bold red", f"holds proof that replica {culprit} lied: it signed {signed}{kept}")


def _name(replica: int) -> str:
    return f"replica {replica}"


def _details(fields: Mapping[str, Any]) -> str:
    """Return the first fields of an unknown line in words."""
    shown = []
    for name, value in islice(fields.items(), 4):
        if isinstance(value, str | int | float) and name != "traceback":
            spelled = text(value, 40) if isinstance(value, str) else _number(value)
            shown.append(f"{text(name, 20)} {spelled}")
    return f" ({', '.join(shown)})" if shown else ""


def _number(value: float) -> str:
    # Python refuses to write out an int of very many digits.
    return str(value) if abs(value) < 10**18 else "a huge number"
