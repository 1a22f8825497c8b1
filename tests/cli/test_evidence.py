"""`pbft evidence`: what it says of proof, of what proves nothing, and of what is not there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pbft.core.effects import Evidence
from pbft.core.envelope import Envelope, Kind, seal
from pbft.core.evidence import CAUTION, Misbehaviour
from pbft.core.messages import Checkpoint, Prepare, Reply, pack
from pbft.group_file import GroupFile, read_group
from pbft.keys import PrivateKey
from pbft.lab.processes import python_environment
from pbft.node.evidence import EvidenceFolder
from tests.cli.conftest import LEDGER, Run
from tests.cli.test_commands import assert_refused

ONE, OTHER = bytes([1]) * 32, bytes([2]) * 32
PREPARES = (Kind.PREPARE, Prepare(0, 17, ONE), Prepare(0, 17, OTHER))


def say(files: GroupFile, by: int, kind: Kind, message: object) -> Envelope:
    return seal(files.group, PrivateKey.load(files.replica_key(by)), kind, by, pack(message))


def found(files: GroupFile, by: int, kind: Kind, first: object, second: object) -> Evidence:
    return Evidence(by, say(files, by, kind, first), say(files, by, kind, second))


def keep(files: GroupFile, keeper: int, evidence: Evidence) -> Path:
    """Let a replica's node keep evidence, and return the file."""
    path = EvidenceFolder(files.evidence(keeper), files.group).keep(evidence)
    assert path is not None
    return path


@pytest.fixture
def files(group: Path) -> GroupFile:
    return read_group(group)


def test_a_file_of_a_node_names_the_culprit(run: Run, files: GroupFile):
    """Two sentences: who signed what twice, and what to keep in mind before acting on it."""
    path = keep(files, 0, found(files, 2, *PREPARES))
    ran = run("evidence", "verify", str(path), "--group", "group")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == (
        "replica 2 signed two different PREPARE messages for view 0, sequence 17, and a correct replica signs one at "
        f"most. {CAUTION}\n"
    )


def test_a_program_reads_the_finding(run: Run, files: GroupFile):
    """Every field is there, null where the kind is bound to no view."""
    path = str(keep(files, 0, found(files, 2, *PREPARES)))
    told = json.loads(run("evidence", "verify", path, "--group", "group", "--json").out)
    assert told == {
        "file": path,
        "valid": True,
        "culprit": 2,
        "kind": "PREPARE",
        "view": 0,
        "sequence": 17,
    }
    path = str(keep(files, 1, found(files, 0, Kind.REPLY, Reply(3, ONE), Reply(3, OTHER))))
    told = json.loads(run("evidence", "verify", path, "--group", "group", "--json").out)
    assert (told["culprit"], told["kind"], told["view"], told["sequence"]) == (0, "REPLY", None, 3)


def test_a_stranger_needs_the_file_and_group_toml(run: Run, files: GroupFile, tmp_path: Path):
    """Without keys or data; the folder, or the file itself, names the group, and so does the environment."""
    path = keep(files, 0, found(files, 2, *PREPARES)).rename(tmp_path / "proof.cbor")
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    (stranger / "group.toml").write_bytes(files.path.read_bytes())
    for given in ("stranger", "stranger/group.toml", str(stranger / "group.toml")):
        ran = run("evidence", "verify", path.name, "--group", given)
        assert (ran.code, ran.out.startswith("replica 2 signed two different PREPARE")) == (0, True)


def test_the_group_is_found_as_by_other_commands(
    run: Run, files: GroupFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """$PBFT_GROUP names the group where no option does, as folder or file; without either, keys/local is meant."""
    path = keep(files, 0, found(files, 2, *PREPARES))
    assert_refused(run("evidence", "verify", str(path)), 2, "say which group this is about: --group DIR")
    for given in (files.directory, files.path):
        monkeypatch.setenv("PBFT_GROUP", str(given))
        assert run("evidence", "verify", str(path)).code == 0
        assert run("evidence", "list").code == 0


def misbehaviour(files: GroupFile) -> Misbehaviour:
    return Misbehaviour.of(files.group, found(files, 2, *PREPARES))


def test_what_proves_nothing_ends_with_1(run: Run, files: GroupFile, tmp_path: Path):
    """One sentence that names the file and says what is wrong with it."""
    good = misbehaviour(files)
    commit = say(files, 2, Kind.COMMIT, PREPARES[2])
    primary = Misbehaviour.of(files.group, found(files, 0, *PREPARES))
    elsewhere = say(files, 2, Kind.PREPARE, Prepare(1, 17, OTHER))
    spoiled = {
        replace(good, second=good.first): "two signatures under the same words prove nothing",
        replace(good, culprit=3): "replica 3 did not sign the first of the two messages",
        replace(good, culprit=4): "there is no replica 4 in the group, whose last is 3",
        replace(good, second=replace(good.second, signature=bytes(64))): "did not sign the second",
        replace(good, second=replace(good.second, body=b"\x80")): "one of the two messages is not a PREPARE",
        replace(good, second=replace(good.second, kind=200)): "one of the two messages is of an unknown kind",
        Misbehaviour.of(files.group, Evidence(2, found(files, 2, *PREPARES).first, commit)): "a PREPARE and a COMMIT",
        Misbehaviour.of(files.group, Evidence(2, found(files, 2, *PREPARES).first, elsewhere)): "do not contradict",
        primary: "replica 0 is the primary of view 0",
    }
    for evidence, says in spoiled.items():
        (tmp_path / "e.cbor").write_bytes(evidence.to_bytes())
        ran = run("evidence", "verify", "e.cbor", "--group", "group")
        assert_refused(ran, 1, says)
        assert ran.err.startswith("pbft: e.cbor: ")
        told = json.loads(run("evidence", "verify", "e.cbor", "--group", "group", "--json").out)
        assert (told["valid"], told["culprit"], told["exit"], told["file"]) == (False, None, 1, "e.cbor")
        assert says in told["error"]


def test_what_is_no_evidence_is_told_apart(run: Run, files: GroupFile, tmp_path: Path):
    """Other bytes, a receipt's or a damaged file; nothing at all; a folder; evidence of another group."""
    good = misbehaviour(files).to_bytes()
    for name, data in {"empty": b"", "text": b"not evidence", "torn": good[:-1], "longer": good + b"\0"}.items():
        (tmp_path / name).write_bytes(data)
        assert_refused(run("evidence", "verify", name, "--group", "group"), 1, f"{name}: this is not evidence: ")
    assert_refused(run("evidence", "verify", "nowhere", "--group", "group"), 2, "there is no file nowhere")
    assert_refused(run("evidence", "verify", "group", "--group", "group"), 2, "group is no file that can be checked")
    assert_refused(run("evidence", "verify", "empty", "--group", "no"), 2, "there is no group in no")
    assert_refused(run("evidence", "verify"), 2, "FILE")

    (tmp_path / "e.cbor").write_bytes(good)
    assert run("init", "other", "--app", LEDGER).code == 0
    ran = run("evidence", "verify", "e.cbor", "--group", "other")
    assert_refused(ran, 1, "e.cbor: this evidence belongs to another group")


def test_a_huge_file_is_read_in_part_only(run: Run, group: Path, tmp_path: Path):
    """No file of a stranger fills the memory."""
    with (tmp_path / "huge").open("wb") as file:
        os.truncate(file.fileno(), 2**40)
    assert_refused(run("evidence", "verify", "huge", "--group", "group"), 1, "huge: this is not evidence: ")


def test_the_list_of_all(run: Run, files: GroupFile):
    """Every replica's folder, by replica and name, with culprit and kind; what it means is said once."""
    paths = [
        keep(files, 0, found(files, 2, *PREPARES)),
        keep(files, 0, found(files, 3, Kind.CHECKPOINT, Checkpoint(128, ONE), Checkpoint(128, OTHER))),
        keep(files, 3, found(files, 2, *PREPARES)),
    ]
    acts = [
        "replica 2 signed two different PREPARE messages for view 0, sequence 17",
        "replica 3 signed two different CHECKPOINT messages for sequence 128",
        "replica 2 signed two different PREPARE messages for view 0, sequence 17",
    ]
    ran = run("evidence", "list", "group")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [*(f"{path}: {act}" for path, act in zip(paths, acts, strict=True)), CAUTION]

    told = json.loads(run("evidence", "list", "group", "--json").out)
    assert [each["file"] for each in told] == [str(path) for path in paths]
    assert [each["culprit"] for each in told] == [2, 3, 2]
    assert [(each["kind"], each["view"], each["sequence"]) for each in told[:2]] == [
        ("PREPARE", 0, 17),
        ("CHECKPOINT", None, 128),
    ]
    assert all(each["valid"] for each in told)


def test_one_bad_file_does_not_hide_the_others(run: Run, files: GroupFile):
    """Each is checked for itself, and what proves nothing says so in its place."""
    good = keep(files, 1, found(files, 2, *PREPARES))
    bent = good.with_name("0-bent.cbor")
    bent.write_bytes(good.read_bytes()[:-1] + bytes([good.read_bytes()[-1] ^ 1]))
    good.with_name("notes.txt").write_text("mine")
    (good.with_name("9-folder.cbor")).mkdir()

    lines = run("evidence", "list", "group").out.splitlines()
    assert lines[0] == f"{bent}: replica 2 did not sign the second of the two messages"
    assert lines[1].startswith(f"{good}: replica 2 signed two")
    assert "is no file that can be checked" in lines[2]
    assert lines[3:] == [CAUTION]
    told = json.loads(run("evidence", "list", "group", "--json").out)
    assert [each["valid"] for each in told] == [False, True, False]
    assert "did not sign" in told[0]["error"]
    assert told[0]["culprit"] is None

    good.unlink()
    assert CAUTION not in run("evidence", "list", "group").out


def test_a_list_of_nothing(run: Run, files: GroupFile):
    """Nobody is accused, which is said; what is no group, or no folder, is one sentence."""
    ran = run("evidence", "list", "group")
    assert (ran.code, ran.out) == (0, f"no replica of {files.directory} keeps evidence here\n")
    assert run("evidence", "list", "group", "--json").out == "[]\n"
    assert_refused(run("evidence", "list", "nowhere"), 2, "there is no group in nowhere")
    files.data(0).mkdir(parents=True)
    files.evidence(0).write_text("in the way")
    assert_refused(run("evidence", "list", "group"), 2, "not a directory")


def test_help(run: Run):
    """The group of commands is listed, and says what it can do when it is asked for nothing."""
    assert "evidence" in run("--help").out
    shown = run("evidence")
    assert (shown.code, "verify" in shown.out, "list" in shown.out) == (0, True, True)
    for name in ("verify", "list"):
        assert run("evidence", name, "--help").code == 0
    assert_refused(run("evidence", "verfy", "e"), 2, "No such command 'verfy'")
    assert_refused(run("evidence", "list", "--jsn"), 2, 'did you mean "--json"')


def test_what_checks_is_loaded_when_it_is_needed():
    """Help and completion come sooner without keys."""
    program = "import sys, pbft.cli.evidence; print(sorted({'pbft.keys', 'pbft.core.evidence'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], env=python_environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
