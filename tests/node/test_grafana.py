"""The Grafana dashboard: it can be imported, and asks for nothing that a replica does not tell."""

from __future__ import annotations

import asyncio
import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from pbft.node.exposition import open_exposition
from tests.node.groups import running
from tests.node.scraping import Page, scrape
from tests.node.test_exposition import with_metrics

FILE = Path(__file__).parents[2] / "scripts" / "grafana.json"


@pytest.fixture(scope="module")
def board() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text())
    return found


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """What a replica tells."""

    async def body() -> Page:
        files = with_metrics(tmp_path_factory.mktemp("grafana") / "group")
        async with running(files, 0) as group:
            exposition = await open_exposition(files, group.drivers[0])
            assert exposition is not None
            try:
                return await scrape(exposition.port)
            finally:
                await exposition.close()

    return asyncio.run(body())


def charts(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def queries(board: dict[str, Any]) -> list[str]:
    asked = [target["expr"] for panel in charts(board) for target in panel["targets"]]
    return asked + [each["definition"] for each in board["templating"]["list"] if each["type"] == "query"]


def test_it_can_be_imported(board: dict[str, Any]):
    """Its data source is a variable, no id is of somebody else's server, and every panel has a place of its own."""
    assert board["title"]
    assert board["schemaVersion"] >= 36
    assert "id" not in board
    names = {each["name"] for each in board["templating"]["list"]}
    assert names == {"datasource", "group"}
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in charts(board):
        assert panel["targets"]
        assert panel["description"]
        assert {each["datasource"]["uid"] for each in (panel, *panel["targets"])} == {"${datasource}"}
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


def test_every_query_asks_for_what_a_replica_tells(board: dict[str, Any], page: Page):
    """Each name that begins with pbft_ is a sample of the page; each label is one that a sample has."""
    told = page.samples()
    names = {name for name, _ in told}
    labels = {label for _, pairs in told for label, _ in pairs} | {"job", "instance"}
    asked = queries(board)
    assert len(asked) > 20
    for query in asked:
        assert query.count("(") == query.count(")")
        mentioned = re.findall(r"\bpbft_\w+", query)
        assert mentioned, query
        assert set(mentioned) <= names, query
        grouped = re.findall(r"(?:by|on|group_left) \(([^)]*)\)", query)
        selected = re.findall(r"{(\w+)[!=]", query)
        used = {word.strip() for words in grouped for word in words.split(",")} | set(selected)
        assert used <= labels, query


def test_only_what_grows_is_turned_into_a_rate(board: dict[str, Any], page: Page):
    """A counter is shown by its rate or increase and a gauge never is, save where the sum so far is what is meant."""
    kinds = {sample.name: family.type for family in page.families() for sample in family.samples}
    as_they_are = {"pbft_evidence_total"}
    for query in queries(board):
        rated = set(re.findall(r"(?:rate|increase)\((pbft_\w+)", query))
        for name in re.findall(r"\bpbft_\w+", query):
            assert (kinds[name] in ("counter", "histogram") and name not in as_they_are) == (name in rated), query


def test_it_shows_the_groups_of_one_replica_variable_only(board: dict[str, Any]):
    """Every panel keeps to the chosen group: two groups on one server must not be added up."""
    for panel in charts(board):
        for target in panel["targets"]:
            assert 'pbft_replica_info{group="$group"}' in target["expr"], panel["title"]
