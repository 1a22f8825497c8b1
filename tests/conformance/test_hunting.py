"""The search: a plant is found, and shrunk to the least sequence that shows it; a seed stands for one search."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbft.conformance.aspects import Aspect
from pbft.conformance.findings import Rule
from pbft.conformance.hunting import Hunt, hunt
from pbft.conformance.minimal import same_fault
from pbft.conformance.subject import Subject
from pbft.conformance.worlds import Worlds
from tests.conformance.honest import RAW
from tests.conformance.plants import write_application

pytestmark = pytest.mark.processes

CLIENTS = ("alice", "bob", "carol")

AUCTION = """
class Auction(StateMachine):
    bids: Table[str, int]
    bidders: Table[str, list[str]]
    winners: Table[str, str]

    @operation
    def open(self, item: str) -> None:
        if item in self.bids:
            raise Rejected("it is open already")
        self.bids[item] = 0
        self.bidders[item] = []

    @operation
    def bid(self, item: str, amount: int, context: Context) -> int:
        if item not in self.bids:
            raise Rejected("it is not open")
        if amount <= self.bids[item]:
            raise Rejected("that is too little")
        self.bids[item] = amount
        self.bidders[item] = [*self.bidders[item], context.client]
        return amount

    @operation
    def close(self, item: str) -> None:
        if not self.bidders.get(item):
            raise Rejected("nobody has bid")
        self.winners[item] = CHOICE
        del self.bids[item]
        del self.bidders[item]

    @query
    def winner(self, item: str) -> str | None:
        return self.winners.get(item)

    @query
    def best(self, item: str) -> int:
        return self.bids.get(item, 0)
"""

PLANTED = AUCTION.replace("CHOICE", "list(set(self.bidders[item]))[0]")
MENDED = AUCTION.replace("CHOICE", "self.bidders[item][-1]")


def search(subject: Subject, examples: int = 60, seed: int = 2, patience_s: float = 5.0) -> Hunt:
    return hunt(subject, CLIENTS, seed=seed, examples=examples, patience_s=patience_s)


@pytest.fixture(scope="module")
def auction(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return write_application(tmp_path_factory.mktemp("auction"), PLANTED)


@pytest.fixture(scope="module")
def found(auction: Subject) -> Hunt:
    return search(auction)


def test_a_plant_is_shrunk_to_the_least_sequence_that_shows_it(found: Hunt):
    """An item, two bids of two clients, and the end: with less there is no set of two to choose from."""
    assert found.found is not None
    case = found.found.case

    assert [each.told.partition("(")[0] for each in case.steps] == ["open", "bid", "bid", "close"]
    assert len({each.client for each in case.steps[1:3]}) == 2
    assert case.restores == ()
    assert found.found.drawn > len(case.steps)
    assert (case.finding.rule, case.finding.place) == (Rule.STATE_DIFFERS, 3)
    assert case.finding.where.endswith("of winners")
    assert found.found.steady
    assert found.found.enough == (Aspect.HASH_SEED,)


def test_no_step_can_go(auction: Subject, found: Hunt):
    assert found.found is not None
    case = found.found.case
    with Worlds(auction) as worlds:
        for place in range(len(case.steps)):
            fewer = worlds.attempt(case.steps[:place] + case.steps[place + 1 :]).finding
            assert fewer is None or not same_fault(fewer, case.finding)


def test_a_seed_stands_for_one_search(auction: Subject, found: Hunt):
    assert search(auction) == found


def test_what_is_mended_passes_and_every_operation_was_seen(tmp_path: Path):
    """Deep operations too: without learning what passes, hardly an item would ever be closed."""
    hunted = search(write_application(tmp_path, MENDED), examples=30)

    assert hunted.found is None
    assert hunted.sequences >= 30
    assert hunted.restored > 10
    assert all(each.accepted > 5 for each in hunted.tallies.values())
    assert any(data[2:7] == b"close" for data in hunted.bank)


def test_what_needs_a_fresh_process_is_found_with_the_place_where_it_starts(tmp_path: Path):
    """A cache beside the fields: the state that was taken over has none of it."""
    source = """
    SEEN: dict[str, int] = {}

    class Cached(StateMachine):
        rows: Table[str, int]

        @operation
        def put(self, name: str) -> int:
            self.rows[name] = self.rows.get(name, 0) + 1
            return SEEN.setdefault(name, len(SEEN)) * 0

        @operation
        def clear(self) -> int:
            return len(SEEN)
    """
    hunted = search(write_application(tmp_path, source), examples=20)

    assert hunted.found is not None
    assert hunted.found.case.finding.rule in (Rule.ANSWER_DIFFERS, Rule.OUTSIDE_CHANGED)
    assert len(hunted.found.case.steps) <= 2


def test_an_operation_that_does_not_end_is_found_soon(tmp_path: Path):
    source = """
    class Endless(StateMachine):
        last: str = "no word at all"

        @operation
        def put(self, name: str) -> None:
            self.last = name

        @operation
        def spin(self, name: str) -> None:
            while self.last == name:
                pass
    """
    hunted = search(write_application(tmp_path, source), examples=20, patience_s=1.0)

    assert hunted.found is not None
    assert hunted.found.case.finding.rule is Rule.HANGS
    assert sorted(each.told for each in hunted.found.case.steps) == ['put("a")', 'spin("a")']


def test_bytes_are_drawn_for_an_application_that_is_no_state_machine(tmp_path: Path):
    hunted = search(write_application(tmp_path, RAW, "Tally"), examples=20)

    assert hunted.found is None
    assert hunted.operations > 100
    assert hunted.tallies == {}
