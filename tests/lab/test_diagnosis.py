"""What accounts amount to: the finding that explains why a group is stuck or slow, and what to do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft.group_file import GroupFile
from pbft.lab.diagnosis import Finding, Severity, diagnose
from pbft.lab.making import make_group
from pbft.lab.state import LabState, LinksState, ReplicaState
from pbft.lab.survey import judge

NOTHING: dict[str, Any] = {
    "blocked": None,
    "view_change": None,
    "checkpoint": None,
    "timer": None,
    "peers": [],
    "transfer": None,
    "oldest_waiting_ms": None,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> GroupFile:
    return make_group(tmp_path_factory.mktemp("groups") / "group", "pbft_apps.counter:Counter")


def report(replica: int, situation: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "id": replica,
        "pid": 100 + replica,
        "view": 0,
        "target": 0,
        "executed": 12,
        "high_watermark": 512,
        "behind": 0,
        "timeout_ms": 1_000,
        "state_digest": "aa",
        "health": "ok",
        "situation": {**NOTHING, **(situation or {})},
        **more,
    }


def everybody(**more: Any) -> dict[int, dict[str, Any]]:
    return {replica: report(replica, **more) for replica in range(4)}


def lab_state(links: LinksState | None = None, **misbehaviours: str) -> LabState:
    """Return the state of a group of which some lie: `r2="Equivocator"` says that replica 2 does."""
    replicas = tuple(ReplicaState(i, i + 100, "running", misbehaviours.get(f"r{i}")) for i in range(4))
    return LabState(replicas, 1, links or LinksState())


def only(findings: list[Finding], severity: Severity) -> Finding:
    (found,) = [each for each in findings if each.severity is severity]
    return found


def test_a_group_that_is_well(files: GroupFile):
    """One finding that says so, with nothing to do."""
    (found,) = diagnose(files, judge(files, everybody()))
    assert found.severity is Severity.FINE
    assert found.sentence.startswith("nothing is stuck")
    assert found.advice == ""


def test_no_quorum(files: GroupFile):
    """Who is missing is named, with the number that it takes and the command that brings one back."""
    found = only(diagnose(files, judge(files, {0: report(0), 1: report(1)})), Severity.STUCK)
    assert found.sentence == (
        "only 2 of 4 replicas answer, and nothing commits without 3; missing: 2 (not running), 3 (not running)"
    )
    assert found.advice == f"start it: pbft replica {files.directory} 2"


def test_how_one_is_brought_back(files: GroupFile):
    """By the verb that fits where a keeper looks after it, by hand otherwise, or all of them where none runs."""
    two = judge(files, {0: report(0), 1: report(1)})
    gone = [ReplicaState(i, 100 + i, "running") for i in (0, 1)]
    for condition, verb in (("paused", "resume 2"), ("killed", "restart 2 (it has forgotten its votes)")):
        state = LabState((*gone, ReplicaState(2, 102, condition), ReplicaState(3, None, "killed")), 1)  # type: ignore[arg-type] # a word of the loop
        advice = [each.advice for each in diagnose(files, two, state) if "replicas answer" in each.sentence]
        assert advice == [f"bring it back: pbft fault {verb}"]
    nobody = only(diagnose(files, judge(files, {})), Severity.STUCK)
    assert nobody.advice == f"start the group: pbft up {files.directory}"


def test_a_quorum_that_lacks_votes(files: GroupFile):
    """The sequence, the phase, who has voted, who has not and how they are, and the timer that fires next."""
    stuck = {
        "blocked": {"sequence": 13, "phase": "commit", "have": [0, 1], "needed": 3, "for_ms": 900},
        "timer": {"what": "leave the view", "in_ms": 700},
    }
    reports = {0: report(0, stuck), 1: report(1, stuck), 2: report(2)}
    found = only(diagnose(files, judge(files, reports)), Severity.STUCK)
    assert found.sentence == (
        "sequence 13 lacks commits at replicas 0 and 1: 2 of 3 needed are there (replicas 0 and 1), none from 2 (ok), "
        "3 (not running); replica 0 gives up on the primary in 0.7 s unless something moves"
    )
    assert found.advice == f"start it: pbft replica {files.directory} 3"


def test_nobody_speaks_in_anothers_name(files: GroupFile):
    """A liar that is asked first and tells of other votes, or none, changes nothing of what others are quoted with."""

    def stuck(have: list[int], for_ms: int) -> dict[str, Any]:
        return {"blocked": {"sequence": 13, "phase": "commit", "have": have, "needed": 3, "for_ms": for_ms}}

    reports = {0: report(0, stuck([], 9_000)), 1: report(1, stuck([1, 2], 900)), 2: report(2, stuck([1, 2], 900))}
    told = [each.sentence for each in diagnose(files, judge(files, reports)) if "sequence 13" in each.sentence]
    assert [each.partition(",")[0] for each in told] == [
        "sequence 13 lacks commits at replicas 1 and 2: 2 of 3 needed are there (replicas 1 and 2)",
        "sequence 13 lacks commits at replica 0: 0 of 3 needed are there (nobody)",
    ]
    (well,) = diagnose(files, judge(files, {**everybody(), 0: report(0, stuck([0, 1, 2, 3], 900))}))
    assert well.severity is Severity.FINE


def test_what_is_merely_under_way_is_no_finding(files: GroupFile):
    """A sequence that was proposed a moment ago is how a group at work looks."""
    young = {"blocked": {"sequence": 13, "phase": "prepare", "have": [0], "needed": 3, "for_ms": 20}}
    (found,) = diagnose(files, judge(files, everybody(situation=young)))
    assert found.severity is Severity.FINE


@pytest.mark.parametrize(
    ("phase", "says"),
    [
        ("pre-prepare", "for sequence 13, which replica 0, the primary of view 0, has not proposed there"),
        ("batch", "replica 1 knows by its digest only what is proposed again at sequence 13"),
        ("clock", "the time proposed for sequence 13 is too far from the clock of replica 1"),
        ("execution", "sequence 13 has committed at replica 1, which does not execute"),
    ],
)
def test_every_phase_has_its_sentence(files: GroupFile, phase: str, says: str):
    """Whatever a sequence lacks is said in words."""
    stuck = {"blocked": {"sequence": 13, "phase": phase, "have": [], "needed": 1}, "oldest_waiting_ms": 800}
    found = diagnose(files, judge(files, {**everybody(), 1: report(1, stuck)}))
    assert says in only(found, Severity.STUCK).sentence


def test_a_view_change_that_lacks_votes_or_its_primary(files: GroupFile):
    """Too few ask for it, or enough do and its primary does not begin it."""
    asking = {"view_change": {"target": 1, "have": [2], "needed": 3}}
    found = diagnose(files, judge(files, {**everybody(), 2: report(2, asking, target=1)}))
    assert only(found, Severity.STUCK).sentence == (
        "replica 2 left its view and asks for view 1: 1 of 3 needed votes are there (replica 2)"
    )
    awaited = {
        "view_change": {"target": 1, "have": [0, 2, 3], "needed": 3},
        "timer": {"what": "ask for the next view", "in_ms": 1_500},
    }
    reports = {each: report(each, awaited, target=1) for each in (0, 2, 3)}
    found = diagnose(files, judge(files, reports))
    assert only(found, Severity.STUCK).sentence == (
        "replicas 0, 2 and 3 left their view and ask for view 1: a quorum asks for it, and replica 1, its primary, has "
        "not begun it; replica 0 asks for the next view in 1.5 s unless something moves"
    )


def test_who_is_behind_and_by_how_much(files: GroupFile):
    """Messages that are missed, and a state that is fetched."""
    fetching = {"transfer": {"sequence": 128, "bytes": 3, "of": 10}}
    reports = {**everybody(), 2: report(2, behind=30), 3: report(3, fetching, behind=400)}
    told = [each.sentence for each in diagnose(files, judge(files, reports))]
    assert told == [
        "replica 2 is behind by 30 sequences and asks the others for them",
        "replica 3 fetches the state at 128: 3 of 10 bytes are there",
    ]


def test_who_fetches_a_state_is_not_stuck(files: GroupFile):
    """It executes nothing meanwhile and requests wait there, which is no fault of the primary's."""
    fetching = {
        "blocked": {"sequence": 1, "phase": "pre-prepare", "have": [], "needed": 1, "for_ms": None},
        "transfer": {"sequence": 128, "bytes": 0, "of": 0},
        "timer": {"what": "leave the view", "in_ms": 700},
        "oldest_waiting_ms": 900,
    }
    told = diagnose(files, judge(files, {**everybody(), 3: report(3, fetching)}))
    assert [(each.severity, each.sentence) for each in told] == [
        (Severity.SLOW, "replica 3 is about to fetch the state at 128")
    ]


def test_states_that_may_differ_send_to_the_doctor(files: GroupFile):
    """A replica that stopped executing, and a checkpoint that too few vouch for, whose log is full."""
    stopped = {
        "blocked": {"sequence": 13, "phase": "execution", "have": [], "needed": 1, "for_ms": 900},
        "checkpoint": {"sequence": 12, "have": [1], "needed": 3},
    }
    told = diagnose(files, judge(files, {**everybody(), 1: report(1, stopped, high_watermark=12)}))
    assert [each.severity for each in told] == [Severity.STUCK, Severity.STUCK]
    assert all(each.advice.endswith(f"pbft doctor {files.directory}") for each in told)


def test_a_log_that_is_full(files: GroupFile):
    """Nothing can be proposed until a checkpoint is stable: who vouches for it is named."""
    pending = {"checkpoint": {"sequence": 512, "have": [1], "needed": 3}}
    reports = {**everybody(), 1: report(1, pending, executed=512)}
    found = only(diagnose(files, judge(files, reports)), Severity.STUCK)
    assert found.sentence == (
        "the log of replica 1 is full up to 512: 1 of 3 needed vouch for the checkpoint at 512 (replica 1)"
    )


def test_the_fault_budget(files: GroupFile):
    """Within f it is told; beyond, it is the worst finding there is."""
    well, used = diagnose(files, judge(files, everybody()), lab_state(r2="Equivocator"))
    assert well.sentence.startswith("nothing is stuck")
    assert used.sentence == "1 of 1 faults are used, and no further one may fail: replica 2 (lies: Equivocator)"
    first = diagnose(files, judge(files, everybody()), lab_state(r2="Equivocator", r3="Silent"))[0]
    assert first.severity is Severity.UNSAFE
    assert first.sentence == (
        "2 replicas are faulty, more than the 1 that 4 survive, so nothing is promised: replica 2 (lies: Equivocator), "
        "replica 3 (lies: Silent)"
    )
    assert first.advice == f"start afresh: pbft down {files.directory}, then pbft up {files.directory}"


def test_who_is_merely_away_breaks_no_promise_but_progress(files: GroupFile):
    """Beyond f that were killed answers stay right; where two of them lied or forgot before, they may be wrong."""
    well, gone = ReplicaState(0, 100, "running"), ReplicaState(1, None, "killed")
    liar, forgot = ReplicaState(2, None, "killed", "Equivocator"), ReplicaState(3, 103, "paused", restarted=True)
    away = diagnose(files, judge(files, everybody()), LabState((well, gone, liar), 1))[0]
    assert away.severity is Severity.STUCK
    assert "so answers stay right, but that there will be any is not promised: replica 1 (killed)" in away.sentence
    assert away.advice == "bring it back: pbft fault restart 1 (it has forgotten its votes)"
    paused = ReplicaState(3, 103, "paused")
    assert diagnose(files, judge(files, everybody()), LabState((well, gone, paused), 1))[0].advice == (
        "let one go on: pbft fault resume 3"
    )
    false = diagnose(files, judge(files, everybody()), LabState((well, liar, forgot), 1))[0]
    assert (false.severity, "so nothing is promised" in false.sentence) == (Severity.UNSAFE, True)


def test_disturbed_links(files: GroupFile):
    """What is in force on the links is told, with the verb that ends it."""
    links = LinksState(((0, 1),), (("*", "*", 20),), ((1, 2, 50),), ("prepares from 3 to 1: drop",), True, 7)
    found = diagnose(files, judge(files, everybody()), lab_state(links))
    assert only(found, Severity.STUCK).sentence == "all links are held, with 7 messages waiting"
    slow = only(found, Severity.SLOW)
    assert slow.sentence == (
        "the network is disturbed: replicas 0 and 1 are cut off from each other; 20% of what goes over all links is "
        "lost; what goes between replicas 1 and 2 comes 50 ms later; prepares from 3 to 1: drop"
    )
    assert slow.advice == "end it: pbft fault heal"


def test_contradictions_and_resources(files: GroupFile):
    """Different states are the worst; lost datagrams and a grown timeout make a group slow."""
    reports = {**everybody(), 2: report(2, kernel_drops=9), 3: report(3, state_digest="bb", timeout_ms=4_000)}
    told = diagnose(files, judge(files, reports))
    assert [each.severity for each in told] == [Severity.UNSAFE, Severity.SLOW, Severity.SLOW]
    assert told[0].sentence == "after sequence 12, replicas 0, 1 and 2 and replica 3 report different states"
    assert told[1].sentence == "the system dropped 9 datagrams that replica 2 was too slow to read"
    assert told[2].sentence.startswith("replica 3 waits 4 s for a primary")


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*NOTHING, "have", "phase"]), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*NOTHING, "view", "target", "executed", "behind", "timeout_ms"]), JUNK), JUNK)
def test_whatever_a_liar_reports_is_survived(files: GroupFile, junk: dict[str, Any], situation: Any):
    """Nothing of the wrong kind or size raises, and each finding is a short sentence."""
    told = diagnose(files, judge(files, {**everybody(), 3: {**report(3), **junk, "situation": situation}}))
    assert told
    assert all(len(each.sentence) < 1_000 for each in told)
