"""What an operator should know of a replica whose state was not the others': a file beside its log, and lines in that.

Owns: `divergence.json`, what it says and how it is written so that it is never half there. Nothing of it is believed by
anybody: `pbft doctor` reads it as a stranger's. Knows nothing of how such a finding is made.
"""

from __future__ import annotations

import contextlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from pbft.core.client_table import FLOOR, SESSION
from pbft.core.effects import Effect, StateInstalled
from pbft.core.findings import Did, DifferingKey, DivergenceExplained, Excerpt, Ordered, Written
from pbft.core.group import Group, ReplicaId
from pbft.core.settings import Now
from pbft.encoding import EncodingError, decode_plain
from pbft.machine import Application, Outcome, StateMachine
from pbft.node.event_log import EventLog
from pbft.operations import ArgumentError, decode_operation

FILE_NAME: Final = "divergence.json"
LARGEST_BYTES: Final = 32 * 1024 * 1024
"""What is read of such a file: more than one that a replica writes can have."""

_VERSION: Final = 1
_KEPT: Final = 8
"""Findings in one file: the first, which may have caused the others, and the latest."""
_GAP_MS: Final = 1_000
"""An application that is wrong in each batch would keep the disk busy otherwise."""
_CLIENT_TABLE: Final = "client table"
_SHOWN_BYTES: Final = 64
_SHOWN_CHARACTERS: Final = 120
_SHOWN_KEYS: Final = 8


class Divergences:
    """Watches effects, and keeps what is found out about states that differed. Never raises."""

    def __init__(self, folder: Path, log: EventLog, application: Application, group: Group, me: ReplicaId) -> None:
        self._path = folder / FILE_NAME
        self._log = log
        self._telling = Telling(group, plain=not isinstance(application, StateMachine))
        self._me = me
        self._group = group
        self._kept: list[dict[str, Any]] | None = None
        """What the file holds; None while nobody has looked."""
        self._kept_ms: int | None = None
        self.left_out = 0
        """How many findings came too soon after another to be kept."""

    def watch(self, effect: Effect, now: Now) -> None:
        """Keep a finding, or note that the replica has rejoined since."""
        if isinstance(effect, DivergenceExplained):
            self._on_found(effect, now)
        elif isinstance(effect, StateInstalled) and self._kept and self._kept[-1].get("rejoined_at") is None:
            self._kept[-1]["rejoined_at"] = effect.sequence
            self._write(now)

    def _on_found(self, found: DivergenceExplained, now: Now) -> None:
        if self._kept_ms is not None and now.monotonic_ms - self._kept_ms < _GAP_MS:
            self.left_out += 1
            return
        self._kept_ms = now.monotonic_ms
        told = {"time": datetime.fromtimestamp(now.wall_ms / 1000, UTC).isoformat(), **self._telling.finding(found)}
        if self._kept is None:
            self._kept = self._earlier()
        if len(self._kept) >= _KEPT:
            del self._kept[1]
        self._kept.append(told)
        file = self._write(now)
        operation = told["operation"] or {}
        self._log.warn(
            "divergence explained",
            monotonic_ms=now.monotonic_ms,
            sequence=found.sequence,
            differs_at=found.differs_at,
            position=found.operation,
            client=operation.get("client"),
            operation=operation.get("name"),
            unknown=found.unknown,
            keys=[_words(each) for each in told["keys"][:_SHOWN_KEYS]],
            differing_keys=found.total_keys,
            rejoined_at=found.rejoined_at,
            left_out=self.left_out,
            file=file and str(file),
            told_by="pbft doctor",
        )

    def _earlier(self) -> list[dict[str, Any]]:
        """Return what an earlier run of this replica kept; nothing where the file is damaged, or not this one's."""
        try:
            said = read_file(self._path)
        except (OSError, ValueError):
            return []
        known = said["group"] == self._group.id.hex() and said["replica"] == self._me
        return said["divergences"][:_KEPT] if known else []

    def _write(self, now: Now) -> Path | None:
        """Write the file, whole or not at all, whenever the machine stops."""
        said = {
            "version": _VERSION,
            "group": self._group.id.hex(),
            "replica": self._me,
            "application": self._group.genesis.application,
            "left_out": self.left_out,
            "divergences": self._kept,
        }
        unfinished = self._path.with_suffix(".unfinished")
        try:
            with unfinished.open("w", encoding="ascii") as file:
                json.dump(said, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self._path)
        except OSError as error:
            # To explain a fault is worth less than the replica's own service, so the disk's refusal ends nothing.
            with contextlib.suppress(OSError):
                unfinished.unlink()
            self._log.warn(
                "divergence cannot be kept",
                monotonic_ms=now.monotonic_ms,
                file=error.filename,
                error=error.strerror or str(error),
            )
            return None
        return self._path


def read_file(path: Path) -> dict[str, Any]:
    """Return what a file of this kind says, its outermost shape checked and nothing else.

    Raises OSError where it cannot be read, ValueError with a few words for what is no such file.
    """
    with path.open("rb") as file:
        data = file.read(LARGEST_BYTES + 1)
    if len(data) > LARGEST_BYTES:
        raise ValueError("it is too large")
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("it is damaged") from None
    if not isinstance(said, dict) or type(said.get("replica")) is not int or not isinstance(said.get("group"), str):
        raise ValueError("it is damaged")
    if said.get("version") != _VERSION:
        raise ValueError("another release wrote it")
    found = said.get("divergences")
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ValueError("it is damaged")
    return said


class Telling:
    """Puts a finding into values that JSON knows. All of them are bounded, and bytes of strangers stay text."""

    def __init__(self, group: Group, *, plain: bool) -> None:
        """`plain` says that the application is no StateMachine: its operations and state are bytes of its own."""
        self._group = group
        self._plain = plain

    def finding(self, found: DivergenceExplained) -> dict[str, Any]:
        """Return all that a finding says."""
        return {
            "sequence": found.sequence,
            "own_digest": found.own.hex(),
            "proven_digest": found.proven and found.proven.hex(),
            "equal_upto": found.equal_upto,
            "compared_from": found.compared_from,
            "differs_at": found.differs_at,
            "position": found.operation,
            "unknown": found.unknown,
            "operation": found.ordered and self._ordered(found.ordered),
            "did": found.did and self._did(found.did, found.sections),
            "others": [
                {"replicas": list(each.replicas), "did": self._did(each.did, found.sections)}
                for each in found.others_did
            ],
            "keys": [self._key(each) for each in found.keys],
            "total_keys": found.total_keys,
            "rejoined_at": found.rejoined_at,
        }

    def _ordered(self, ordered: Ordered) -> dict[str, Any]:
        told: dict[str, Any] = {"client": ordered.client, "timestamp": ordered.timestamp}
        operation = ordered.operation
        if not self._plain and not operation.digest:
            with contextlib.suppress(ArgumentError):
                call = decode_operation(operation.shown)
                named = {name: _json(value) for name, value in call.kwargs.items()}
                return {**told, "name": call.name, "args": [_json(each) for each in call.args], "kwargs": named}
        return {**told, "name": None, **_bytes(operation)}

    def _did(self, did: Did, sections: tuple[str, ...]) -> dict[str, Any]:
        return {
            "outcome": next((each.name for each in Outcome if each == did.outcome), None),
            "result": None if did.outcome is None else self._value(did.payload),
            "writes": [self._write(each, sections) for each in did.writes],
            "total_writes": did.total_writes,
        }

    def _write(self, write: Written, sections: tuple[str, ...]) -> dict[str, Any]:
        section = sections[write.section] if write.section < len(sections) else f"section {write.section}"
        return {**self._place(section, write.key), "value": write.value and self._value(write.value)}

    def _key(self, differing: DifferingKey) -> dict[str, Any]:
        own, right = differing.own, differing.right
        return {
            **self._place(differing.section, differing.key),
            "own": own and self._value(own),
            "right": right and self._value(right),
        }

    def _place(self, section: str, key: Excerpt) -> dict[str, Any]:
        """Return where in the state a key stands: in a field, with the key of a Table where it is one."""
        if section == _CLIENT_TABLE:
            return {"field": None, "key": {"value": self._client_key(key.shown)}}
        if self._plain:
            return {"field": "", "key": {"value": int.from_bytes(key.shown, "big")}}
        if section == "" and not key.digest:
            return {"field": key.shown.decode(errors="replace"), "key": None}
        return {"field": section, "key": self._value(key)}

    def _client_key(self, key: bytes) -> str:
        client = self._group.clients.get(key[1:33])
        name = client.name if client is not None else "a stranger"
        what = {FLOOR: "the floor of {}'s sessions", SESSION: "the last request of {}'s session " + key[33:].hex()}
        return what.get(key[:1], "something of {}").format(name)

    def _value(self, excerpt: Excerpt) -> dict[str, Any]:
        """Return a value: as what it is where it is short enough to be told whole, else how it begins."""
        if not excerpt.digest and not self._plain:
            with contextlib.suppress(EncodingError):
                return {"value": _json(decode_plain(excerpt.shown))}
        return _bytes(excerpt)


def _bytes(excerpt: Excerpt) -> dict[str, Any]:
    told: dict[str, Any] = {"hex": excerpt.shown[:_SHOWN_BYTES].hex(), "bytes": excerpt.size}
    return {**told, "digest": excerpt.digest.hex()} if excerpt.digest else told


def _json(value: Any) -> Any:
    """Return what stands for an application's value in JSON: byte strings become hexadecimal digits."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple | list):
        return [_json(item) for item in value]
    if isinstance(value, dict):
        return {key: _json(item) for key, item in value.items()}
    return value


def _words(key: dict[str, Any]) -> str:
    """Return a key of the state for a line of the log."""
    where, inner = key["field"], key["key"]
    if inner is None:
        return str(where)[:_SHOWN_CHARACTERS]
    told = json.dumps(inner["value"]) if "value" in inner else inner["hex"]
    return f"{where if where is not None else _CLIENT_TABLE}[{told}]"[:_SHOWN_CHARACTERS]
