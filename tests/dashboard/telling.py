"""Events as replicas and the keeper publish them, for tests of what the dashboard makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pbft.dashboard.model import Model
from pbft.lab.state import LabState, LinksState, ReplicaState

BEGIN_US = 5_000_000_000
SECOND_US = 1_000_000
DIGEST = "ab" * 32
OTHER = "cd" * 32


def hello(replica: int, pid: int = 100, **fields: Any) -> dict[str, Any]:
    """The first line of a replica's stream."""
    told = {"event": "hello", "format": 1, "replica": replica, "us": BEGIN_US, "group": "0123456789abcdef" * 4}
    return told | {"application": "Counter", "n": 4, "faults": 1, "pid": pid + replica, "lies": None} | fields


def counters(replica: int, **fields: Any) -> dict[str, Any]:
    """A report, in a group that has executed five sequences in view 0, changed by the fields."""
    report = {
        "id": replica,
        "pid": 100 + replica,
        "view": 0,
        "target": fields.get("view", 0),
        "executed": 5,
        "stable_checkpoint": 0,
        "high_watermark": 256,
        "transferring": None,
        "rss_bytes": 40 * 2**20,
        "health": "ok",
        "operations": 5,
        "messages_in": 50,
        "messages_out": 50,
        "state_digest": DIGEST,
        "digest_sequence": fields.get("executed", 5),
    }
    return {"event": "counters", "replica": replica, "us": BEGIN_US, "report": report | fields}


def incident(replica: int, what: str, level: str = "info", **fields: Any) -> dict[str, Any]:
    """A line of a replica's log."""
    return {"event": "incident", "replica": replica, "us": BEGIN_US, "level": level, "what": what, "fields": fields}


def flow(replica: int, sequence: int = 12, n: int = 4, begin_us: int = BEGIN_US, **fields: Any) -> dict[str, Any]:
    """What a replica saw of a sequence that went well: each step half a millisecond after the one before."""
    primary = fields.get("view", 0) % n
    backups = [each for each in range(n) if each != primary]
    late_us = begin_us + 10 * replica
    told = {
        "event": "flow",
        "replica": replica,
        "us": begin_us,
        "sequence": sequence,
        "view": 0,
        "digest": DIGEST,
        "requests": [{"client": "alice", "timestamp": 3, "operations": 1}],
        "request_us": begin_us if replica == primary else None,
        "pre_prepare_us": late_us + 500,
        "prepares": {str(each): late_us + 1000 + each for each in backups},
        "prepared_us": late_us + 1100,
        "commits": {str(each): late_us + 1500 + each for each in range(n)},
        "committed_us": late_us + 1600,
        "executed_us": late_us + 2000,
        "differing": [],
    }
    return told | fields


def lab(
    states: Mapping[int, str] | None = None,
    lies: Mapping[int, str] | None = None,
    restarted: Iterable[int] = (),
    links: LinksState | None = None,
    words: str = "",
    n: int = 4,
) -> dict[str, Any]:
    """The keeper's state, in which all replicas run and tell the truth but for those named."""
    states, lies, again = states or {}, lies or {}, tuple(restarted)
    replicas = []
    for each in range(n):
        state: Any = states.get(each, "running")
        pid = 100 + each if state in ("running", "paused") else None
        replicas.append(ReplicaState(each, pid, state, lies.get(each), each in again, None, words))
    state_of_lab = LabState(tuple(replicas), (n - 1) // 3, links or LinksState())
    return {"event": "lab", "us": BEGIN_US, "state": state_of_lab.to_json()}


def started(n: int = 4, **fields: Any) -> Model:
    """A model that every replica has told of itself, at BEGIN_US."""
    model = Model(n, (n - 1) // 3)
    for replica in range(n):
        model.apply(hello(replica), BEGIN_US)
        model.apply(counters(replica, **fields), BEGIN_US)
    model.tick(BEGIN_US)
    return model


def log_of(model: Model, since: int = 0) -> list[str]:
    """The log's lines as people read them."""
    return [f"{line.source}: {line.text}" for line in model.lines(since)]
