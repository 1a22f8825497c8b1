"""What the replicas of a group found out where their states differed, in plain sentences.

Owns: the reading of their files, each field checked, and the words for what these say. A file is a replica's own word,
and a stranger's text: whatever has the wrong type is passed over, and all of it is cleaned and cut.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pbft.console.text import fit
from pbft.group_file import GroupFile
from pbft.wording import count, listing

_VALUE_CELLS: Final = 60
_LINE_CELLS: Final = 400
_SHOWN_KEYS: Final = 5
_SHOWN_WRITES: Final = 3
_SHOWN_ACCOUNTS: Final = 8

_SPLIT: Final = (
    "every host did something of its own: look for a clock, random numbers, the order of a set, hash() or id() "
    "(PYTHONHASHSEED differs from process to process), floating point, threads"
)
_ALONE: Final = (
    "look for what this host alone has: another version of the application, of Python or of a library, a file, "
    "the environment, a clock, state kept outside the fields (a global, a class attribute, a cache), which a restart "
    "or a fetched state does not bring back; and test its memory"
)
_FAILED: Final = (
    'it failed on this host alone: log.jsonl beside the file has the cause under "operation failed"; look for a '
    "missing file or library, another version, a recursion limit, or too little memory"
)
_OUTSIDE: Final = (
    "nothing that an operation did explains it: look for code that changes the state outside of operations, a "
    "snapshot() that is not always the same, and test the memory of this host"
)


@dataclass(frozen=True)
class Divergence:
    """One file: what a replica says of itself, or why it cannot be read."""

    replica: int
    file: Path
    said: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""

    @property
    def findings(self) -> list[Mapping[str, Any]]:
        """What it found, the first divergence first."""
        return list(self.said.get("divergences", []))

    @property
    def left_out(self) -> int:
        """How many further ones it says it did not keep."""
        told = self.said.get("left_out")
        return told if type(told) is int and 0 < told < 2**63 else 0


def read_divergences(files: GroupFile) -> list[Divergence]:
    """Return the files that the replicas of a group keep on this machine, by replica."""
    from pbft.node.divergences import FILE_NAME, read_file

    found = []
    for replica in range(files.group.n):
        path = files.data(replica) / FILE_NAME
        if not path.exists():
            continue
        try:
            said = read_file(path)
        except OSError as failure:
            found.append(Divergence(replica, path, error=f"cannot be read: {failure.strerror}"))
            continue
        except ValueError as failure:
            found.append(Divergence(replica, path, error=f"says nothing: {failure}; remove it"))
            continue
        if said["group"] == files.group.id.hex() and said["replica"] == replica:
            found.append(Divergence(replica, path, said))
        else:
            found.append(Divergence(replica, path, error=f"is not of replica {replica} of this group; remove it"))
    return found


def describe_divergence(found: Divergence) -> dict[str, Any]:
    """Return what a program may want to know of a file."""
    entry: dict[str, Any] = {"replica": found.replica, "file": str(found.file)}
    if found.error:
        return {**entry, "error": found.error}
    return {**entry, "divergences": found.findings, "left_out": found.left_out}


def divergence_lines(files: GroupFile, found: list[Divergence]) -> Iterator[str]:
    """Yield lines for people."""
    if not found:
        yield from _nothing(files)
    for each in found:
        if each.error:
            yield f"replica {each.replica}: {each.file} {each.error}"
        for finding in each.findings:
            yield from (fit(line, _LINE_CELLS) for line in _lines(each.replica, finding))
        if each.left_out:
            yield (
                f"replica {each.replica}: at least {count(each.left_out, 'further finding')} came within a second of "
                "another, and the file leaves them out"
            )


def _nothing(files: GroupFile) -> Iterator[str]:
    """Yield what it means that no file was found: nothing may have been looked for, or not yet."""
    away = [replica for replica in range(files.group.n) if not files.data(replica).is_dir()]
    if len(away) == files.group.n:
        yield (
            f"no replica of {files.directory} has run here: this reads what replicas keep beside their logs, on their "
            "own hosts"
        )
        return
    yield f"no replica of {files.directory} has noticed that its state differed from the others'"
    interval = files.group.limits.checkpoint_interval
    yield (
        f"states are compared at checkpoints, after every {interval} sequences: a difference since the last one is not "
        "known yet"
    )
    if away:
        yield f"nothing is here of {listing(away)}: ask on their hosts"


def _lines(replica: int, finding: Mapping[str, Any]) -> Iterator[str]:
    sequence = _number(finding, "sequence")
    split = finding.get("proven_digest") is None
    what = "so many states differed that none is proven" if split else "its state was not what a quorum vouches for"
    yield f"replica {replica}: after sequence {sequence} {what}{_when(finding)}"
    at = finding.get("differs_at")
    if type(at) is int:
        yield f"  {_parting(finding, at)}"
        yield from (f"  {line}" for line in _accounts(finding))
    unknown = finding.get("unknown")
    if isinstance(unknown, str) and unknown:
        yield f"  what did it is {'not wholly' if type(at) is int else 'not'} known: {unknown}"
    yield from (f"  {line}" for line in _keys(finding, split))
    rejoined = finding.get("rejoined_at")
    if type(rejoined) is int:
        yield f"  it rejoined: it took over the group's state after sequence {rejoined}, and goes on from there"
    elif not split:
        yield "  it had not taken over the group's state when this was written"
    yield f"  → {_advice(finding, split)}"


def _when(finding: Mapping[str, Any]) -> str:
    """Return when it was found, by that host's own clock, as the end of a sentence."""
    told = finding.get("time")
    try:
        time = datetime.fromisoformat(told).astimezone(UTC) if isinstance(told, str) else None
    except (ValueError, OverflowError):
        time = None
    return "" if time is None else f" (found {time:%Y-%m-%d %H:%M:%S} UTC)"


def _parting(finding: Mapping[str, Any], at: int) -> str:
    equal, compared = _number(finding, "equal_upto"), _number(finding, "compared_from")
    since = f"its state was right after sequence {equal}"
    if type(compared) is int and type(equal) is int and compared > equal + 1:
        since += f", and what was done before sequence {compared} is remembered no more"
    position = finding.get("position")
    if type(position) is not int:
        return f"{since}; the first batch that differs is that of sequence {at}"
    return f"{since}; the first to differ is operation {position} of sequence {at}: {_operation(finding)}"


def _operation(finding: Mapping[str, Any]) -> str:
    told = _map(finding, "operation")
    if not told:
        return "which one that was is not known"
    name, args, kwargs = told.get("name"), told.get("args"), told.get("kwargs")
    if isinstance(name, str) and isinstance(args, list) and isinstance(kwargs, dict):
        words = [_spell(each) for each in args] + [f"{each}={_spell(value)}" for each, value in kwargs.items()]
        call = f"{name}({', '.join(words)})"
    else:
        call = f"the {_number(told, 'bytes')} bytes {told.get('hex')}"
    return f"{fit(call, 2 * _VALUE_CELLS)}, request {_number(told, 'timestamp')} of {_text(told.get('client'))}"


def _accounts(finding: Mapping[str, Any]) -> Iterator[str]:
    did = _map(finding, "did")
    if did:
        yield f"here it {_did(did)}"
    others = finding.get("others")
    for each in others[:_SHOWN_ACCOUNTS] if isinstance(others, list) else []:
        members = each.get("replicas") if isinstance(each, dict) else None
        if isinstance(members, list) and members and all(type(member) is int for member in members):
            yield f"on {listing(members)} it {_did(_map(each, 'did'))}"


def _did(did: Mapping[str, Any]) -> str:
    outcome = did.get("outcome")
    if outcome is None:
        return "was passed over, as what ran before is"
    answered = f"ended {_text(outcome)} with {_value(did.get('result'))}"
    writes = did.get("writes")
    shown = [_write(each) for each in writes if isinstance(each, dict)] if isinstance(writes, list) else []
    total = _number(did, "total_writes")
    if not shown:
        return f"{answered} and wrote nothing"
    more = f" and {total - _SHOWN_WRITES} more" if type(total) is int and total > _SHOWN_WRITES else ""
    return f"{answered} and wrote {', '.join(shown[:_SHOWN_WRITES])}{more}"


def _write(write: Mapping[str, Any]) -> str:
    return f"{_place(write)} = {_value(write.get('value'))}" if write.get("value") else f"{_place(write)} away"


def _keys(finding: Mapping[str, Any], split: bool) -> Iterator[str]:
    total, keys = _number(finding, "total_keys"), finding.get("keys")
    if type(total) is not int or not isinstance(keys, list):
        if not split:
            yield "which keys of the state differed is not known: the group had moved on to a later state"
        return
    known = [each for each in keys if isinstance(each, dict)]
    shown = [each for each in known if each.get("field") is not None]
    if not shown and not _results_differ(finding):
        # Only where nothing else explains them: the table of clients differs wherever a result does.
        shown = known
    for each in shown[:_SHOWN_KEYS]:
        yield f"{_place(each)} was {_value(each.get('own'))} here, and {_value(each.get('right'))} is right"
    if total > len(known) or len(shown) > _SHOWN_KEYS:
        yield f"{count(total, 'key')} of the state differed in all; --json names more of them"


def _results_differ(finding: Mapping[str, Any]) -> bool:
    own, others = _map(finding, "did"), finding.get("others")
    told = [_map(each, "did") for each in others if isinstance(each, dict)] if isinstance(others, list) else []
    return any((did.get("outcome"), did.get("result")) != (own.get("outcome"), own.get("result")) for did in told)


def _place(key: Mapping[str, Any]) -> str:
    where, inner = key.get("field"), key.get("key")
    if where is None:
        return f"the client table's entry of {_value(inner, quoted=False)}"
    if where == "":
        return f"piece {_value(inner)} of the snapshot"
    return _text(where) if inner is None else f"{_text(where)}[{_value(inner)}]"


def _value(value: object, quoted: bool = True) -> str:
    if value is None:
        return "nothing"
    if not isinstance(value, dict):
        return "–"
    if "value" in value:
        told = value["value"]
        return _text(told) if isinstance(told, str) and not quoted else _spell(told)
    return f"{_number(value, 'bytes')} bytes that begin 0x{_text(value.get('hex'))}"


def _spell(value: object) -> str:
    try:
        return fit(json.dumps(value, ensure_ascii=False), _VALUE_CELLS)
    except RecursionError:
        return "–"


def _advice(finding: Mapping[str, Any], split: bool) -> str:
    if type(finding.get("position")) is not int:
        outside = "outside of them" in str(finding.get("unknown"))
        return _OUTSIDE if outside else _SPLIT if split else _ALONE
    did, others = _map(finding, "did"), finding.get("others")
    fine = isinstance(others, list) and any(
        isinstance(each, dict) and _map(each, "did").get("outcome") != "FAILED" for each in others
    )
    if did.get("outcome") == "FAILED" and fine:
        return _FAILED
    return _SPLIT if split else _ALONE


def _map(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = fields.get(name)
    return value if isinstance(value, dict) else {}


def _number(fields: Mapping[str, Any], name: str) -> int | str:
    value = fields.get(name)
    return value if type(value) is int and abs(value) < 2**63 else "–"


def _text(value: object) -> str:
    return fit(value, _VALUE_CELLS) if isinstance(value, str) else "–"
