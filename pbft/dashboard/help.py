"""The help that the dashboard shows: a first walk in five steps, then everything that can be typed and pressed.

Owns: these words. Operations come from the application that runs, faults from their grammar, so that every example is
one that works here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rich.text import Text

from pbft.console.help import tell_all
from pbft.console.text import clean
from pbft.group_file import GroupFile
from pbft.lab.faults import HOWS
from pbft.operations import OperationSpec

_CODE: Final = "bold cyan"
_ENTRY_COLUMNS: Final = 24

_NUMBER: Final = 5


def page(files: GroupFile, specs: Mapping[str, OperationSpec], primary: int) -> list[Text]:
    """Return the whole help on a group."""
    genesis = files.group.genesis
    clients = [each.name for each in genesis.clients]
    return [*walk(specs, clients, primary, files.lab), *reference(specs, genesis.application, files.lab)]


def example(spec: OperationSpec, clients: Sequence[str]) -> str:
    """Return a call of an operation that its signature allows, with the names of clients where it takes texts."""
    words, texts = [clean(spec.name)], 0
    for parameter in spec.parameters:
        if not parameter.required:
            break
        kind = parameter.annotation
        if kind.startswith("int"):
            words.append(str(_NUMBER))
        elif kind.startswith("bool"):
            words.append("true")
        elif kind.startswith("str"):
            words.append(clients[texts % len(clients)] if clients else "text")
            texts += 1
        else:
            words.append(clean(parameter.name).upper())
    return " ".join(words)


def walk(specs: Mapping[str, OperationSpec], clients: Sequence[str], primary: int, lab: bool) -> list[Text]:
    """Return the first steps: ask, kill the primary, watch, make it lie, read the evidence."""
    writes = [example(spec, clients) for spec in specs.values() if not spec.is_query]
    reads = [example(spec, clients) for spec in specs.values() if spec.is_query]
    calls = [*writes[:3], *reads[:1]] or ["add 5"]
    lines = [_line("1 Ask. ", "Type these, each with Enter: ", *_alternate(calls))]
    lines.append(_line("", "   Tab completes, the line below says what is meant, Up brings back earlier lines."))
    if not lab:
        lines.append(_line("2 Look. ", "F2 draws the messages of the latest request, F4 explains why nothing moves."))
        lines.append(_line("", "   This group is no lab (group.toml), so nothing here can be killed or made to lie."))
        return lines
    lines += [
        _line(
            "2 Kill the primary. ",
            f"It is replica {primary}: select it with ",
            "Shift+Up",
            " or ",
            "Shift+Down",
            "; ",
            "F5",
            " kills it. Ask again:",
        ),
        _line("", "   the answer comes after a view change; see the table's view, and Events."),
        _line(
            "3 Restart it. ", "F7", " starts it again; the fault budget above tells what the group still bears.", code=0
        ),
        _line(
            "4 Make it lie. ", "F8", " lets the selected replica say two things at once. Ask again a few times:", code=0
        ),
        _line("", "   the others outvote it, and keep what it signed."),
        _line(
            "5 Read the evidence. ",
            "F10",
            " shows who is proven guilty, and of what. ",
            "Esc",
            " comes back here.",
            code=0,
        ),
        _line(
            "",
            "   Then: ",
            "F3",
            " makes load, ",
            ":loss 20%",
            " or ",
            ":cut 0 1",
            " hurt the network, ",
            "F9",
            " heals it.",
        ),
    ]
    return lines


def reference(specs: Mapping[str, OperationSpec], application: str, lab: bool) -> list[Text]:
    """Return all that can be typed and pressed."""
    lines = [Text(), *(Text(clean(line)) for line in tell_all(specs, application, lab))]
    if lab:
        lines += [Text(), Text("How a byzantine replica misbehaves; several are joined with +:")]
        lines += [_entry(word, words) for word, words in HOWS.items()]
    lines += [Text(), Text("Keys:")]
    return [*lines, *(_entry(key, words) for key, words in _KEYS)]


_KEYS: Final = (
    ("F1 F2 F4 F10", "This help; matrix or diagram of messages; explanation; evidence. Again, or Esc: back."),
    ("Esc", "Back from these; without any, give up a :wait, a :run or a paste that keeps lines waiting."),
    ("F3", "Load of 200 requests a second, on and off."),
    ("F5 F6 F7 F8", "Kill, pause or resume, restart, make lie (equivocate): the selected replica."),
    ("F9", "Heal the network. Replicas are restarted by F7."),
    ("help, :explain, :kill 2", "do the same, where a terminal keeps a key for itself."),
    ("Shift+Up, Shift+Down", "Select a replica; so do Ctrl+Up, Ctrl+Down, a click and, in some terminals, Alt+number."),
    ("Up, Down, Tab", "Earlier lines, later lines, completion (Shift+Tab goes back)."),
    ("PageUp, PageDown", "Turn this text's pages; without a panel, those of the results."),
    ("Ctrl-C", "Clear the line; on an empty one, twice within two seconds: leave."),
    ("Ctrl-Q", "Leave. A group that this program started is stopped; any other goes on."),
)


def _line(head: str, *parts: str, code: int = 1) -> Text:
    """Return a line whose every second part is something to type or to press; `code` says with which that begins."""
    text = Text().append(head, "bold")
    for number, part in enumerate(parts):
        text.append(part, _CODE if number % 2 == code else "")
    return text


def _alternate(calls: Sequence[str]) -> list[str]:
    return [part for call in calls for part in (call, " · ")][:-1]


def _entry(key: str, words: str) -> Text:
    return Text().append(f"  {key:<{_ENTRY_COLUMNS}} ", "cyan").append(words)
