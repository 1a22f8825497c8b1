"""The log of a process: one JSON object a line, and files of bounded size."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pbft.node import event_log as module
from pbft.node.event_log import EventLog


def test_each_event_is_one_line_of_json(tmp_path: Path):
    """Time, level and event stand in every line, fields beside them; a traceback stays within its line."""
    log = EventLog(tmp_path / "log.jsonl")
    log.note("ready", port=7, name="a\nb")
    log.warn("odd", value=b"\x00")
    try:
        raise ValueError("broken")
    except ValueError as error:
        log.fail("failed", error)
    log.close()

    ready, odd, failed = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert (ready["level"], ready["event"], ready["port"], ready["name"]) == ("info", "ready", 7, "a\nb")
    assert ready["time"].endswith("+00:00")
    assert (odd["level"], odd["value"]) == ("warning", "b'\\x00'")
    assert "ValueError: broken" in failed["traceback"]


def test_a_log_is_bounded(tmp_path: Path, monkeypatch):
    """However much is written, three files remain, none larger than the bound, and the newest line is kept."""
    monkeypatch.setattr(module, "_FILE_BYTES", 2_000)
    log = EventLog(tmp_path / "log.jsonl")
    for number in range(500):
        log.note("again", number=number)
    log.close()

    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["log.jsonl", "log.jsonl.1", "log.jsonl.2"]
    assert all(file.stat().st_size <= 2_000 for file in files)
    assert json.loads(files[0].read_text().splitlines()[-1])["number"] == 499


def test_others_hear_of_each_line_until_they_leave(tmp_path: Path):
    """Its level, event and fields; of an error its kind and words, even where it has none."""

    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError("not even that")

    log = EventLog(tmp_path / "log.jsonl")
    heard: list[tuple[str, str, dict[str, object]]] = []

    def listen(level: str, event: str, fields: Mapping[str, object]) -> None:
        heard.append((level, event, dict(fields)))

    log.note("before")
    log.listeners.append(listen)
    log.note("ready", port=7)
    log.warn("odd")
    log.fail("failed", KeyError("x" * 1_000), executed=3)
    log.fail("failed", Mute())
    log.listeners.remove(listen)
    log.note("after")
    log.close()

    assert heard[:2] == [("info", "ready", {"port": 7}), ("warning", "odd", {})]
    level, event, fields = heard[2]
    assert (level, event, fields["error"], fields["executed"]) == ("error", "failed", "KeyError", 3)
    assert len(str(fields["text"])) == 500
    assert heard[3:] == [("error", "failed", {"error": "Mute", "text": "its text cannot be read"})]
