"""The seam: a bug is in place while its replicas are at work, and nowhere else, and a refactoring cannot disarm it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from pbft.core import replies, view_change
from pbft.core.agreement import Agreement
from pbft.core.client_table import ClientTable, Fate
from pbft.core.effects import Effect
from pbft.core.envelope import Envelope, Sender
from pbft.core.execution import Execution
from pbft.core.group import Limits, Quorums
from pbft.core.log import Log
from pbft.core.outbox import Outbox
from pbft.core.replica import Replica
from pbft.core.settings import Now
from pbft.testing import OracleFailure, swarm
from pbft.testing.byzantine import Adversary
from pbft.testing.cluster import Cluster
from pbft.testing.journal import Journal
from pbft.testing.mutants import Change, Mutant, NotThere, catalogue, edit


def held(mutants: list[Mutant]) -> list[Any]:
    """Return what stands now where the mutants would change something."""
    return [vars(each.owner)[each.attribute] for mutant in mutants for each in mutant.changes]


def test_a_run_leaves_nothing_changed() -> None:
    """After a whole run, in which an oracle fired, all code is the original again."""
    every = list(catalogue().values())
    before = held(every)
    for name in ("persisted-after-sending", "time-of-its-own", "executes-what-is-prepared"):
        assert swarm.report(0, name).oracle
    assert all(now is then for now, then in zip(held(every), before, strict=True))


def test_a_turn_that_raises_leaves_nothing_changed() -> None:
    """A bug that ends a turn with an error is undone like any other."""

    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    mutant = Mutant("broken", "Nothing works.", (Change(Outbox, "begin", broken), Change(Log, "advance", broken)))
    before = held([mutant])
    group = Cluster(Journal, replica_type=mutant.replica())
    call = group.client("alice").call("write", "word")
    with pytest.raises(RuntimeError, match="broken"):
        group.gather(call)
    assert held([mutant]) == before


def test_a_bug_within_a_bug_comes_apart_again() -> None:
    """One replica at work within another's turn, as an adversary's two are, takes back its own change only."""
    one = Mutant("one", "One.", (Change(Log, "advance", "one"),))
    other = Mutant("other", "Other.", (Change(Log, "advance", "other"),))
    original = vars(Log)["advance"]
    with one.planted():
        with other.planted():
            assert vars(Log)["advance"] == "other"
        assert vars(Log)["advance"] == "one"
    assert vars(Log)["advance"] is original


def test_only_replicas_run_what_was_mutated() -> None:
    """The model executes as it should on the very class that replicas run wrongly, and so the oracle sees them."""
    mutant = catalogue()["time-of-its-own"]
    group = Cluster(Journal, replica_type=mutant.replica(), without_oracles=("O11", "O8"))
    record = group._engine._overseer.record
    group.gather(*[group.client("alice").call("write", str(number)) for number in range(3)])
    told = {step.sequence: step.time_ms for step in group.history(0)}
    assert any(record.replayed[sequence].time_ms != told[sequence] for sequence in told)

    plain = Cluster(Journal, replica_type=mutant.replica())
    with pytest.raises(OracleFailure) as failure:
        plain.gather(plain.client("alice").call("write", "word"))
    assert failure.value.oracle in ("O11", "O8")


def test_what_a_test_asks_runs_as_it_should() -> None:
    """Outside of its turns, and in an adversary's own code, everything is the original."""
    seen: list[bool] = []
    mutant = catalogue()["same-timestamp-runs-again"]
    original = vars(ClientTable)["judge"]

    class Curious(Adversary):
        """Looks at the code around it."""

        def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
            """Look, and do nothing."""
            seen.append(vars(ClientTable)["judge"] is original)
            return super().twist(effects, now)

    class Watched(mutant.replica()):  # type: ignore[misc]
        """Looks from within its turn."""

        def receive(self, envelope: Envelope, sender: Sender, now: Now) -> list[Effect]:
            """Look before and after."""
            seen.append(vars(ClientTable)["judge"] is original)
            effects: list[Effect] = super().receive(envelope, sender, now)
            return effects

    group = Cluster(Journal, byzantine={3: Curious}, replica_type=Watched)
    group.gather(group.client("alice").call("write", "word"))
    assert seen
    assert all(seen)
    table = ClientTable(Limits())
    assert table.judge(bytes(32), bytes(15) + b"1", 1, 0) is Fate.FRESH


def test_a_replica_runs_what_was_mutated_from_the_first_moment_on() -> None:
    """What a replica takes hold of when it is made is mutated, too."""
    calls: list[str] = []

    def noted(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def note(*args: Any, **kwargs: Any) -> Any:
            calls.append(name)
            return original(*args, **kwargs)

        return note

    changes = (
        Change(Execution, "__init__", noted("made", vars(Execution)["__init__"])),
        Change(Outbox, "genuine", noted("verified", vars(Outbox)["genuine"])),
        Change(Log, "keep", noted("kept", vars(Log)["keep"])),
    )
    group = Cluster(Journal, replica_type=Mutant("noted", "Nothing.", changes).replica())
    assert calls == ["made"] * 4
    group.gather(group.client("alice").call("write", "word"))
    assert {"verified", "kept"} <= dict.fromkeys(calls).keys()


def test_a_change_is_of_something_that_is_there() -> None:
    """What was renamed or moved away since is told when the mutant is made, never passed over."""
    with pytest.raises(NotThere, match="Log has no advanced of its own any more"):
        Change(Log, "advanced", None)
    with pytest.raises(NotThere, match="has no repropos "):
        Change(view_change, "repropos", None)
    with pytest.raises(NotThere, match="has no receive of its own"):
        Change(catalogue()["committed-not-shown"].replica().__mro__[2], "receive", None)
    with pytest.raises(NotThere, match="there is no quorum 'weak' to make one short"):
        Mutant("weak", "Weak.", short="weak")
    with pytest.raises(NotThere, match="the mutant nothing changes nothing"):
        Mutant("nothing", "Nothing.")


@pytest.mark.parametrize(
    ("owner", "attribute", "words", "complaint"),
    [
        (Log, "advance", {"if stable > self.hight": ""}, "holds these words 0 times, not once"),
        (Log, "advance", {"stable": "0"}, "holds these words [0-9]+ times, not once"),
        (Log, "advanced", {"stable": "0"}, "Log has no advanced of its own any more"),
        (replies, "Sequence", {"a": "b"}, "is no function"),
        (replies, "write_replies", {"path(rows, index)": "path(rows, 0)"}, "is used by pbft.core.service, too"),
    ],
)
def test_words_are_changed_only_where_they_stand_once(
    owner: type | ModuleType, attribute: str, words: dict[str, str], complaint: str
) -> None:
    with pytest.raises(NotThere, match=complaint):
        edit(owner, attribute, words)


def test_edits_change_functions_methods_and_properties() -> None:
    """Each stays of its kind, knows its module's names, and does otherwise what it did."""
    with Mutant("", "", (edit(Log, "high", {"self.low + self._size": "self.low + self._size + 1"}),)).planted():
        assert Log(8).high == 9
    assert Log(8).high == 8
    with Mutant("", "", (edit(Quorums, "of", {"faults + 1, quorum": "faults, quorum"}),)).planted():
        assert Quorums.of(4) == replace(TRUE, weak=1)
    assert Quorums.of(4) == TRUE
    changed = edit(view_change, "repropose", {"default=stable.sequence": "default=0"}).replacement
    original = vars(view_change)["repropose"]
    assert changed is not original
    assert changed.__globals__ is original.__globals__


TRUE = Quorums.of(4)


def test_counts_are_short_for_all_and_replicas_are_themselves() -> None:
    """A quorum one short is the group's, told to all alike, so its replicas need no change."""
    mutant = catalogue()["stable"]
    assert mutant.quorums(7) == replace(Quorums.of(7), stable=4)
    assert mutant.replica() is Replica
    assert catalogue()["votes-on-after-leaving"].quorums(7) is None
    assert vars(Agreement)["leave"] is not catalogue()["votes-on-after-leaving"].changes[0].replacement
