"""Files of proof: how a stranger's is read, and what those that the replicas of a group keep here prove.

Owns: the reading of such files, bounded, and the list of them. What proves what is `pbft.core.evidence`'s matter, and
the folder in which a replica keeps it `pbft.node.evidence`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pbft.console.outcome import ExitCode, Failure
from pbft.group_file import GroupFile
from pbft.wording import listing

if TYPE_CHECKING:
    from pbft.core.envelope import Kind
    from pbft.core.evidence import Finding

_SHOWN_SPANS: Final = 8
_LARGEST_BYTES: Final = 2**25 + 4096
"""Two of the largest messages there are, and what stands around them."""


def read_proof(file: Path, largest_bytes: int) -> bytes:
    """Return what a file holds, up to some size; a pipe, which may never end, is none. Raises Failure."""
    try:
        if file.exists() and not file.is_file():
            raise Failure(f"{file} is no file that can be checked")
        with file.open("rb") as opened:
            return opened.read(largest_bytes)
    except FileNotFoundError:
        raise Failure(f"there is no file {file}") from None
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}") from None


def kept_evidence(files: GroupFile) -> Iterator[Path]:
    """Return the files of evidence of all replicas whose data lies here, by replica and name."""
    from pbft.node.evidence import SUFFIX

    for replica in range(files.group.n):
        folder = files.evidence(replica)
        if folder.exists():
            yield from sorted(path for path in folder.iterdir() if path.suffix == SUFFIX)


def judge_evidence(file: Path, files: GroupFile) -> Finding:
    """Return what a file proves. Raises Failure when it cannot be read, or proves nothing."""
    from pbft.core.evidence import EvidenceError, Misbehaviour
    from pbft.keys import Libsodium

    try:
        return Misbehaviour.from_bytes(read_proof(file, _LARGEST_BYTES)).verify(files.group, Libsodium())
    except EvidenceError as error:
        raise Failure(f"{file}: {error}", ExitCode.REJECTED, **describe_evidence(file, None)) from None


def describe_evidence(file: Path, judged: Finding | Failure | None) -> dict[str, Any]:
    """Return what a program may want to know of a file; None stands for one that proves nothing."""
    entry: dict[str, Any] = {"file": str(file), "valid": False, "culprit": None, "kind": None}
    entry |= {"view": None, "sequence": None}
    if judged is None:
        return entry
    if isinstance(judged, Failure):
        return {**entry, "error": str(judged)}
    spot = judged.place
    return {
        **entry,
        "valid": True,
        "culprit": judged.culprit,
        "kind": spot.kind.name,
        "view": spot.view,
        "sequence": spot.sequence,
    }


def judge_all(files: GroupFile) -> list[tuple[Path, Finding | Failure]]:
    """Return every file of evidence kept here with what it proves, or why it proves nothing."""
    judged: list[tuple[Path, Finding | Failure]] = []
    for path in kept_evidence(files):
        try:
            judged.append((path, judge_evidence(path, files)))
        except Failure as failure:
            # What is no proof must not hide the others.
            judged.append((path, failure))
    return judged


@dataclass(frozen=True)
class Guilt:
    """Acts of one kind by one replica in one view, and who keeps proof of them."""

    act: str
    """What it did, in words."""
    keepers: tuple[int, ...]
    newest: Path
    """The proof that was kept last."""


def sum_up(judged: Iterable[tuple[Path, Finding]]) -> list[Guilt]:
    """Return what proofs come to, a line's worth for each culprit, kind of message and view; what is newest first.

    One liar leaves two proofs a sequence with each of its peers: listed one by one they would bury the next culprit.
    """
    acts: dict[tuple[int, Kind, int | None], list[tuple[Path, Finding]]] = {}
    for path, finding in judged:
        acts.setdefault((finding.culprit, finding.place.kind, finding.place.view), []).append((path, finding))
    found = []
    for same in acts.values():
        written_ns, newest = max(((_written_ns(path), path) for path, _ in same), key=lambda each: each[0])
        keepers = sorted({int(path.parent.parent.name.removeprefix("replica-")) for path, _ in same})
        sequences = sorted({each.place.sequence for _, each in same if each.place.sequence is not None})
        act = same[0][1].act
        if len(sequences) > 1:
            act += f", and for {len(sequences) - 1} more, sequences {_ranges(sequences)} in all"
        found.append((written_ns, Guilt(act, tuple(keepers), newest)))
    return [guilt for _, guilt in sorted(found, key=lambda each: each[0], reverse=True)]


def _written_ns(path: Path) -> int:
    """Return when a file was written; 0 for one that is gone meanwhile, as whoever stops a group may remove them."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _ranges(numbers: Sequence[int]) -> str:
    """Return sorted numbers in short: "1-4, 7"."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    shown = [str(low) if low == high else f"{low}-{high}" for low, high in spans[:_SHOWN_SPANS]]
    return ", ".join(shown) + (", …" if len(spans) > _SHOWN_SPANS else "")


def evidence_lines(files: GroupFile, judged: list[tuple[Path, Finding | Failure]]) -> list[str]:
    """Return lines for people: what each file proves, and what follows from it."""
    from pbft.core.evidence import CAUTION

    if not judged:
        return [_none_kept(files)]
    lines = [str(each) if isinstance(each, Failure) else f"{path}: {each.act}" for path, each in judged]
    return lines if all(isinstance(each, Failure) for _, each in judged) else [*lines, CAUTION]


def guilt_lines(files: GroupFile, judged: list[tuple[Path, Finding | Failure]]) -> list[str]:
    """Return lines for people: who is proven guilty of what and where a proof lies, then what proves nothing."""
    from pbft.core.evidence import CAUTION

    if not judged:
        return [_none_kept(files)]
    proven = sum_up((path, each) for path, each in judged if not isinstance(each, Failure))
    lines = [f"{each.act}; kept by {listing(each.keepers)}, as in {each.newest}" for each in proven]
    lines += [str(each) for _, each in judged if isinstance(each, Failure)]
    return [*lines, CAUTION] if proven else lines


def _none_kept(files: GroupFile) -> str:
    return f"no replica of {files.directory} keeps evidence here"
