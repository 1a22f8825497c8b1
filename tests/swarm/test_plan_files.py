"""Plans in files: what is written is read back exactly and replays the run; what is damaged gets one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pbft.testing import swarm
from pbft.testing.swarm import Plan, PlanFileError, dump_plan, faults, load_plan, read_plan, write_plan
from pbft.testing.swarm.plan_file import FAULTS

EVERY_FAULT = (
    faults.Cut(1, 2, 0, "alice", both=True),
    faults.Isolated(1, 2, "bob/2"),
    faults.Split(1, 2, ((0, 1), (2, 3))),
    faults.Flapping(1, 2, 0, 1, 20),
    faults.Slow(1, 2, 0, 1, (3, 4)),
    faults.Dropped(1, 2, "PREPARE", 0, 1),
    faults.Doubled(1, 2, "COMMIT", 0, 1, 3),
    faults.Delayed(1, 2, "REQUEST", "alice", 1, 30),
    faults.Paused(1, 2, 3),
    faults.LetLoose(1, 2, "dave", "TwoTongues", stays=True),
    faults.Crashed(1, 3),
    faults.WrongClock(1, 3, -8_000),
)


@pytest.mark.parametrize("seed", range(40))
def test_what_is_written_is_read_back(seed: int, tmp_path: Path) -> None:
    """Every number, name and fault, exactly; and it is the same run."""
    plan = Plan.draw(seed)
    path = tmp_path / "plan.json"
    write_plan(path, plan)
    again = read_plan(path)
    assert again == plan
    if seed < 3:
        assert swarm.play(again) == swarm.run(seed)


def test_every_kind_of_fault_can_be_written() -> None:
    """Sides, delays, labels and kinds come back as what they were."""
    plan = replace(Plan.draw(1, 4), faults=EVERY_FAULT, byzantine=(), colluders=("carol",), heal_ms=100)
    assert {type(fault).__name__ for fault in EVERY_FAULT} == set(FAULTS)
    assert load_plan(dump_plan(plan), "it") == plan


def test_a_file_is_for_people() -> None:
    """A line for each program, fault and setting, with names."""
    plan = replace(Plan.draw(1, 4), faults=EVERY_FAULT, byzantine=(), heal_ms=100)
    lines = [line.strip().rstrip(",") for line in dump_plan(plan).splitlines()]
    assert '"pbft plan": 1' in lines
    assert '{"fault": "Dropped", "begin_ms": 1, "end_ms": 2, "kind": "PREPARE", "src": 0, "dst": 1}' in lines
    assert f'"view_timeout_ms": {plan.settings.view_timeout_ms}' in lines


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A file that is there stays as it is, and the next plan of that name gets a number."""
    plan = Plan.draw(2)
    first = swarm.keep(plan, "O6", tmp_path / "new")
    second = swarm.keep(replace(plan, loss=0.5), "O6", tmp_path / "new")
    assert (first.name, second.name) == ("seed-2-O6.json", "seed-2-O6-2.json")
    assert swarm.keep(plan, "O15", tmp_path, "no-null-requests").name == "seed-2-O15-no-null-requests.json"
    assert swarm.keep(plan, "../odd name", tmp_path).name == "seed-2--odd-name.json"
    assert read_plan(first) == plan
    with pytest.raises(FileExistsError):
        write_plan(first, plan)


def damaged(change: Callable[[dict[str, Any]], Any]) -> str:
    """Return a plan's file with something changed in it."""
    told = json.loads(dump_plan(Plan.draw(4, 4)))
    change(told)
    return json.dumps(told)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "it holds no plan, at line 1: it is no JSON"),
        ("{", "it holds no plan, at line 1: it is no JSON"),
        ("[" * 100_000, "it holds no plan: it is too deep"),
        ("[]", 'it holds no plan: it is no object with a "pbft plan"'),
        ('{"pbft plan": 1, "pbft plan": 1}', "it holds no plan: it says something twice"),
        ('{"pbft plan": 2}', "it holds no plan, at pbft plan: this program reads version 1, not 2 (int)"),
        ('{"pbft plan": true}', "it holds no plan, at pbft plan: this program reads version 1, not True (bool)"),
        ('{"pbft plan": 1}', 'it holds no plan: "seed" is missing'),
        (damaged(lambda told: told.update(sneed=1)), 'nothing is called "sneed"; did you mean "seed"?'),
        (damaged(lambda told: told.update(n=True)), "at n: True (bool) is no int"),
        (damaged(lambda told: told.update(n=3)), "a simulated group has 4 to 31 replicas, not 3"),
        (damaged(lambda told: told.update(loss=1)), "loss is a share from 0 up to but not including 1, not 1.0"),
        (damaged(lambda told: told.update(loss=float("nan"))), "loss is a share from 0 up to but not including 1"),
        (damaged(lambda told: told.update(spread="odd")), 'at spread: "odd" (str) is none of'),
        (damaged(lambda told: told.update(delay_ms=[1])), "at delay_ms: there are 1 values in place of 2"),
        (damaged(lambda told: told.update(delay_ms=[0, 1])), "delay_ms goes from at least 1"),
        (damaged(lambda told: told.update(programs=[])), "a run needs at least one program"),
        (damaged(lambda told: told["programs"].append(7)), "is no object"),
        (damaged(lambda told: told["programs"][0].update(client="eve")), '"eve" is none of them'),
        (damaged(lambda told: told["programs"][0].update(calls=0)), "a program calls at least once"),
        (damaged(lambda told: told["programs"][0].update(think_ms=-1)), "no program starts or thinks before"),
        (damaged(lambda told: told.update(workload="jurnal")), 'no workload "jurnal"; did you mean "journal"?'),
        (damaged(lambda told: told.update(byzantine=[[0, "Censer"]])), 'no liar "Censer"; did you mean "Censor"?'),
        (damaged(lambda told: told.update(byzantine=[[0, "Silent+Censor"]])), '"Silent+Censor" is no liar'),
        (damaged(lambda told: told.update(byzantine=[[4, "Censor"]])), "a group of 4 has no replica 4"),
        (
            damaged(lambda told: told.update(byzantine=[[0, "Censor"], [1, "Censor"]])),
            "in a group of 4 at most 1 may crash for good, lie or have a wrong clock",
        ),
        (damaged(lambda told: told.update(faults=[{"fault": "Cat"}])), 'at faults 1: "Cat" (str) is no kind of fault'),
        (damaged(lambda told: told.update(faults=[{"begin_ms": 1}])), "at faults 1: None is no kind of fault"),
        (
            damaged(lambda told: told.update(faults=[{"fault": "Crashed", "begin_ms": 0, "replica": 9}])),
            "a group of 4 has no replica 9",
        ),
        (
            damaged(lambda told: told.update(faults=[{"fault": "Crashed", "begin_ms": 10**6, "replica": 1}])),
            "and this would go on: Crashed",
        ),
        (
            damaged(
                lambda told: told.update(
                    faults=[{"fault": "Dropped", "begin_ms": 0, "end_ms": 9, "kind": "PREPAR", "src": 0, "dst": 1}]
                )
            ),
            'no message is of the kind "PREPAR"; did you mean "PREPARE"?',
        ),
        (
            damaged(
                lambda told: told.update(
                    faults=[
                        {"fault": "LetLoose", "begin_ms": 0, "end_ms": 9, "client": "bob", "kind": "Tw", "stays": True}
                    ]
                )
            ),
            'no client misbehaves as "Tw"',
        ),
        (damaged(lambda told: told["limits"].update(log_size=1)), "log_size (L) must be at least twice"),
        (damaged(lambda told: told["settings"].update(window=0)), "setting window is at least 1"),
    ],
)
def test_a_damaged_file_gets_one_sentence(text: str, sentence: str) -> None:
    """It says where, and why; never a traceback."""
    with pytest.raises(PlanFileError) as error:
        load_plan(text, "it")
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(PlanFileError, match="holds no plan: it is no text"):
        read_plan(path)
    path.write_bytes(b" " * (1024 * 1024 + 1))
    with pytest.raises(PlanFileError, match="holds no plan: it has more than 1048576 bytes"):
        read_plan(path)
