"""`pbft doctor`: plain sentences from files that replicas keep, whatever these say."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pbft.core.findings import Did, DivergenceExplained, Excerpt
from pbft.core.settings import Now
from pbft.group_file import GroupFile, read_group
from pbft.machine import Outcome
from pbft.node.divergences import FILE_NAME, Divergences
from pbft.node.event_log import EventLog
from tests.cli.conftest import Run
from tests.node.explained import FOUND, HOSTILE, OUTSIDE, SPLIT, wrote
from tests.node.tally import Tally

FOUND_MS = int(datetime(2026, 11, 22, 3, tzinfo=UTC).timestamp() * 1000)


@pytest.fixture
def files(group: Path) -> GroupFile:
    return read_group(group)


def keep(files: GroupFile, replica: int, *findings: DivergenceExplained, gap_ms: int = 10_000) -> Path:
    """Let a replica's node keep findings, and return the file."""
    folder = files.data(replica)
    folder.mkdir(parents=True, exist_ok=True)
    log = EventLog(folder / "log.jsonl")
    watcher = Divergences(folder, log, Tally(), files.group, replica)
    for number, found in enumerate(findings):
        watcher.watch(found, Now(gap_ms * number, FOUND_MS + gap_ms * number))
    log.close()
    return folder / FILE_NAME


def test_nobody_has_diverged(run: Run, files: GroupFile):
    """All is fine, as far as the last checkpoint tells."""
    for replica in range(4):
        files.data(replica).mkdir(parents=True)
    ran = run("doctor", "group")
    assert (ran.code, ran.err) == (0, "")
    nothing, until = ran.out.splitlines()
    assert nothing == f"no replica of {files.directory} has noticed that its state differed from the others'"
    assert until == (
        f"states are compared at checkpoints, after every {files.group.limits.checkpoint_interval} sequences: a "
        "difference since the last one is not known yet"
    )
    assert run("doctor", "group", "--json").out == "[]\n"


def test_replicas_of_other_hosts_are_not_said_to_be_well(run: Run, files: GroupFile):
    """Whose data are not here is not known here: of none, or of those that are named."""
    (told,) = run("doctor", "group").out.splitlines()
    assert told.startswith(f"no replica of {files.directory} has run here")
    files.data(1).mkdir(parents=True)
    assert run("doctor", "group").out.splitlines()[2:] == ["nothing is here of replicas 0, 2 and 3: ask on their hosts"]


def test_the_operation_and_the_keys_are_told(run: Run, files: GroupFile):
    """Where it parted, what it did and the others did, which state differed, that it rejoined, what to look for."""
    keep(files, 2, FOUND)
    ran = run("doctor", "group")
    assert (ran.code, ran.err) == (0, "")
    heading, parting, here, others, *keys, rejoined, advice = ran.out.splitlines()
    assert heading == (
        "replica 2: after sequence 8 its state was not what a quorum vouches for (found 2026-11-22 03:00:00 UTC)"
    )
    assert parting.endswith(
        'after sequence 4; the first to differ is operation 1 of sequence 6: deposit("crooked", 5), request 17 of alice'
    )
    assert here == '  here it ended OK with 6 and wrote balances["crooked"] = 6'
    assert others == '  on replicas 0, 1 and 3 it ended OK with 5 and wrote balances["crooked"] = 5'
    assert keys == [
        "  total was 16 here, and 15 is right",
        '  balances["crooked"] was 6 here, and 5 is right',
    ]
    assert rejoined == "  it rejoined: it took over the group's state after sequence 8, and goes on from there"
    assert "this host alone" in advice
    assert "state kept outside the fields (a global, a class attribute, a cache)" in advice
    assert "memory" in advice


def test_the_client_table_is_told_where_nothing_else_differs(run: Run, files: GroupFile):
    """An answer that is another makes it differ, and so says nothing then; alone it is all there is to say."""
    lone = replace(FOUND, keys=FOUND.keys[:1], total_keys=1)
    keep(files, 1, lone)
    keep(files, 2, replace(lone, did=wrote(5)))
    (line,) = [each for each in run("doctor", "group").out.splitlines() if "client table" in each]
    assert line.startswith("  the client table's entry of the last request of")
    assert run("doctor", "group").out.splitlines().index(line) > 5


def test_findings_that_were_not_kept_are_counted(run: Run, files: GroupFile):
    """Those that came right after another."""
    keep(files, 2, FOUND, FOUND, FOUND, FOUND, gap_ms=400)
    last = run("doctor", "group").out.splitlines()[-1]
    assert last.startswith("replica 2: at least 2 further findings came within a second of another")
    (entry,) = json.loads(run("doctor", "group", "--json").out)
    assert (len(entry["divergences"]), entry["left_out"]) == (2, 2)


def test_a_split_names_what_each_did(run: Run, files: GroupFile):
    """No state is right then, so no key is said to be; the advice is about what differs between all hosts."""
    keep(files, 2, SPLIT)
    out = run("doctor", "group").out
    assert "so many states differed that none is proven" in out
    assert "  on replica 0 it ended OK with 4" in out
    assert "  on replicas 1 and 3 it ended OK with 5" in out
    assert "is right" not in out
    assert "PYTHONHASHSEED" in out


def test_a_failure_of_one_host_points_at_its_log(run: Run, files: GroupFile):
    """It raised here alone."""
    keep(files, 2, replace(FOUND, did=Did(Outcome.FAILED, Excerpt.of(b"\x60"), (), 0)))
    out = run("doctor", "group").out
    assert 'here it ended FAILED with "" and wrote nothing' in out
    assert "it failed on this host alone: log.jsonl" in out


def test_what_no_operation_did_points_at_memory(run: Run, files: GroupFile):
    """All operations did the same: something else changed the state."""
    keep(files, 2, OUTSIDE)
    out = run("doctor", "group").out
    assert "what did it is not known: all operations that could be compared did the same" in out
    assert "test the memory of this host" in out


def test_what_is_not_known_is_said(run: Run, files: GroupFile):
    """A state that moved on, a replica that has not rejoined, and sequences that are remembered no more."""
    keep(files, 2, replace(FOUND, compared_from=6, keys=(), total_keys=None, rejoined_at=None))
    out = run("doctor", "group").out
    assert "what was done before sequence 6 is remembered no more" in out
    assert "which keys of the state differed is not known" in out
    assert "it had not taken over the group's state when this was written" in out


def test_several_replicas_and_several_findings(run: Run, files: GroupFile):
    """By replica, the first finding first."""
    keep(files, 3, FOUND)
    keep(files, 1, FOUND, replace(SPLIT, sequence=16))
    headings = [line for line in run("doctor", "group").out.splitlines() if line.startswith("replica")]
    assert [line.split(" its ")[0].split(" so ")[0] for line in headings] == [
        "replica 1: after sequence 8",
        "replica 1: after sequence 16",
        "replica 3: after sequence 8",
    ]


def test_a_program_reads_all_of_it(run: Run, files: GroupFile):
    """As the file says it."""
    path = keep(files, 2, FOUND)
    (entry,) = json.loads(run("doctor", "group", "--json").out)
    assert (entry["replica"], entry["file"]) == (2, str(path))
    assert entry["divergences"] == json.loads(path.read_bytes())["divergences"]


def test_strangers_text_steers_no_terminal(run: Run, files: GroupFile):
    """What an operation brings is spelled out, and no line is long."""
    keep(files, 2, HOSTILE)
    out = run("doctor", "group").out
    assert all(32 <= ord(each) < 127 or each in "\n→…–\ufffd" for each in out)
    assert all(len(line) <= 420 for line in out.splitlines())
    assert "\\u001b[2J" in out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is damaged"),
        (b"[" * 200_000, "it is damaged"),
        (b'{"version": 9, "group": "", "replica": 2, "divergences": []}', "another release wrote it"),
        (b'{"version": 1, "group": "other", "replica": 2, "divergences": []}', "is not of replica 2 of this group"),
    ],
)
def test_a_file_that_is_none_is_one_sentence(run: Run, files: GroupFile, content: bytes, words: str):
    """And it hides nobody else's."""
    keep(files, 3, FOUND)
    keep(files, 2, FOUND).write_bytes(content)
    ran = run("doctor", "group")
    assert (ran.code, ran.err) == (0, "")
    first, second, *_ = ran.out.splitlines()
    assert first.startswith("replica 2: ")
    assert words in first
    assert second.startswith("replica 3: after sequence 8")


WRONG: list[object] = [
    None,
    5,
    -1,
    2**70,
    "x\x1b[2J",
    True,
    1.5,
    "0001-01-01T00:00:00+09:00",
    [],
    [[]],
    {},
    {"value": None},
    {"hex": 5},
    ["x"],
    [{"replicas": [{}]}],
]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_fields_of_the_wrong_type_are_passed_over(run: Run, files: GroupFile, wrong: object):
    """Every field at every depth may hold anything: it ends as sentences all the same."""
    path = keep(files, 2, FOUND)
    said = json.loads(path.read_bytes())
    (finding,) = said["divergences"]
    spoilt = [{**finding, name: wrong} for name in finding]
    for outer in ("operation", "did"):
        spoilt += [{**finding, outer: {**finding[outer], name: wrong}} for name in finding[outer]]
    spoilt += [{**finding, "keys": [{**each, name: wrong}]} for each in finding["keys"] for name in each]
    for name in ("replicas", "did"):
        spoilt.append({**finding, "others": [{**finding["others"][0], name: wrong}]})
    path.write_text(json.dumps({**said, "divergences": spoilt}))
    ran = run("doctor", "group")
    assert (ran.code, ran.err) == (0, "")
    assert "\x1b" not in ran.out
    assert len([line for line in ran.out.splitlines() if line.startswith("replica 2")]) == len(spoilt)
