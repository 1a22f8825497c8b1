"""The folder of evidence: what is kept under which name, how much of it, and what a disk may do to it."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from pbft.core.effects import Evidence
from pbft.core.envelope import Envelope, Kind
from pbft.core.evidence import Misbehaviour
from pbft.core.messages import BEGINNING, Checkpoint, NamedVote, NewView, PrePrepare, ViewChange
from pbft.keys import Libsodium
from pbft.node import evidence as room
from pbft.node.evidence import EvidenceFolder
from tests.node.guilt import PARTIES, Said, equivocation, word
from tests.node.parties import make_parties

GROUP = PARTIES.group
ONE, OTHER = bytes([1]) * 32, bytes([2]) * 32


def folder_in(directory: Path) -> EvidenceFolder:
    return EvidenceFolder(directory / "evidence", GROUP)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / "evidence").iterdir())


def pair(by: int, kind: Kind, first: Said, second: Said) -> Evidence:
    return Evidence(by, word(by, kind, first), word(by, kind, second))


def test_what_is_kept_proves_it_to_everybody(tmp_path: Path):
    """The file says who, what and where, can be handed on, and verifies with the group's public part alone."""
    path = folder_in(tmp_path).keep(equivocation(2, sequence=17))

    assert path == tmp_path / "evidence" / "2-prepare-v0-s17.cbor"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    finding = Misbehaviour.from_bytes(path.read_bytes()).verify(GROUP, Libsodium())
    assert (finding.culprit, finding.place) == (2, (Kind.PREPARE, 0, 17))
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize(
    ("evidence", "name"),
    [
        (pair(0, Kind.PRE_PREPARE, PrePrepare(4, 7, ONE), PrePrepare(4, 7, OTHER)), "0-pre-prepare-v4-s7.cbor"),
        (pair(3, Kind.CHECKPOINT, Checkpoint(128, ONE), Checkpoint(128, OTHER)), "3-checkpoint-s128.cbor"),
        (
            pair(1, Kind.VIEW_CHANGE, *(ViewChange(5, replace(BEGINNING, digest=each), ()) for each in (ONE, OTHER))),
            "1-view-change-v5.cbor",
        ),
        (
            pair(2, Kind.NEW_VIEW, *(NewView(6, (NamedVote(1, each),), 0, ()) for each in (ONE, OTHER))),
            "2-new-view-v6.cbor",
        ),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_names(tmp_path: Path, evidence: Evidence, name: str):
    """Culprit, kind and the place that the kind is bound to."""
    path = folder_in(tmp_path).keep(evidence)
    assert path is not None
    assert path.name == name


def test_one_file_a_place_for_good(tmp_path: Path):
    """What is there is never written again: not by other words for that place, nor by the next run."""
    folder = folder_in(tmp_path)
    first = folder.keep(equivocation(2))
    assert first is not None
    before = (first.read_bytes(), first.stat().st_ino)
    other = Evidence(2, equivocation(2).second, equivocation(2).first)

    assert folder.keep(other) == first
    assert folder_in(tmp_path).keep(other) == first
    assert (first.read_bytes(), first.stat().st_ino) == before
    assert folder.keep(pair(2, Kind.CHECKPOINT, Checkpoint(1, ONE), Checkpoint(1, OTHER))) != first
    assert len(names(tmp_path)) == 2


def test_somebody_elses_file_is_spared(tmp_path: Path):
    """A file of that name which came there while the replica ran stays as it is, and is what is told."""
    folder = folder_in(tmp_path)
    folder.keep(equivocation(1))
    there = tmp_path / "evidence" / "2-prepare-v0-s1.cbor"
    there.write_bytes(b"put here by hand")
    assert folder.keep(equivocation(2)) == there
    assert there.read_bytes() == b"put here by hand"


def test_nobody_fills_the_folder_alone(tmp_path: Path):
    """Each of n replicas has its part of 256 files, in this run and the next, and the others' stays free."""
    folder = folder_in(tmp_path)
    kept = [folder.keep(equivocation(1, sequence)) for sequence in range(1, 101)]
    assert [path is not None for path in kept] == [True] * 64 + [False] * 36
    assert folder.keep(equivocation(1, 5)) == kept[4]
    assert folder.keep(equivocation(3)) is not None

    again = folder_in(tmp_path)
    assert again.keep(equivocation(1, 101)) is None
    assert again.keep(equivocation(2)) is not None
    assert len(names(tmp_path)) == 66


def test_256_files_at_most(tmp_path: Path):
    """Whatever their names: in a larger group each replica may have one while there is room."""
    large = make_parties(250).group
    (tmp_path / "evidence").mkdir()
    for number in range(254):
        (tmp_path / "evidence" / f"kept-{number}.cbor").touch()
    (tmp_path / "evidence" / "notes.txt").touch()
    folder = EvidenceFolder(tmp_path / "evidence", large)
    kept = [folder.keep(equivocation(by)) for by in (1, 1, 2, 3)]
    assert [path is not None for path in kept] == [True, True, True, False]
    assert kept[0] == kept[1]
    assert folder.keep(equivocation(1, 2)) is None


def test_large_files_take_up_room_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """No replica makes another keep more than its part of the bytes and one file: not by signing huge messages."""
    monkeypatch.setattr(room, "KEPT_BYTES", 4 * 1_000)
    folder = folder_in(tmp_path)
    votes = tuple(NamedVote(n, ONE) for n in range(10))
    kept = []
    for view in (2, 6, 10, 14):
        first, second = (NewView(view, votes, stable, ()) for stable in (0, 1))
        kept.append(folder.keep(pair(2, Kind.NEW_VIEW, first, second)))
    sizes = [path.stat().st_size for path in kept if path is not None]
    assert [path is not None for path in kept] == [True, True, False, False]
    assert sizes[0] < 1_000 < sum(sizes)
    assert folder.keep(equivocation(1)) is not None


def test_a_crash_leaves_no_half_file(tmp_path: Path):
    """What an earlier run began is no evidence, takes no room and hinders nobody."""
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence" / "unfinished").write_bytes(b"hal")
    path = folder_in(tmp_path).keep(equivocation(2))
    assert path is not None
    assert names(tmp_path) == [path.name]


def test_a_disk_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A write that fails raises what the system said, takes no room, and succeeds when the disk does again."""
    folder = folder_in(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            folder.keep(equivocation(2))
    assert names(tmp_path) == []
    assert folder.keep(equivocation(2)) is not None


def test_a_folder_that_cannot_be_is_an_error_each_time(tmp_path: Path):
    """Nothing is believed kept that is not."""
    (tmp_path / "evidence").write_text("in the way")
    folder = folder_in(tmp_path)
    for _ in range(2):
        with pytest.raises(NotADirectoryError):
            folder.keep(equivocation(2))


def test_what_speaks_for_no_place_is_not_kept(tmp_path: Path):
    """It proves nothing, and there is no name for it."""
    odd = Envelope(Kind.STATUS, 2, b"whatever")
    assert folder_in(tmp_path).keep(Evidence(2, odd, odd)) is None
    assert not (tmp_path / "evidence").exists()
