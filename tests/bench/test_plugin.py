"""What `pbft bench plugin` measures and prints: the modules that pytest loads because of the plugin, and the time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pbft.bench.plugin import ALLOWED_MODULES, PluginCost, PluginNotMeasured, measure_plugin
from tests.cli.conftest import Run, run

__all__ = ["run"]


def test_one_module_more_breaks_the_bound() -> None:
    """Which is no secret; time has no bound, and may seem to be gained."""
    assert PluginCost(ALLOWED_MODULES, 1, 1.0, 2.0).added_ms == -1.0
    assert PluginCost(ALLOWED_MODULES, 1, 1.0, 2.0).held
    assert not PluginCost((*ALLOWED_MODULES, "pbft.errors"), 1, 2.0, 1.0).held


def test_a_run_that_does_not_use_the_plugin_loads_three_modules(run: Run) -> None:
    """Counted as what is there with it and not without it, so that whatever they import counts, too."""
    ran = run("bench", "plugin", "--rounds", "1", "--json")
    assert (ran.code, ran.err) == (0, ""), ran
    told = json.loads(ran.out)
    cost = told["plugin"]
    assert told["held"] is cost["held"] is True
    assert cost["modules"] == list(ALLOWED_MODULES)
    assert cost["rounds"] == 1
    assert min(cost["with_ms"], cost["without_ms"]) > 0


def test_figures_are_printed_for_people(run: Run) -> None:
    """What is loaded, by name, and what it takes."""
    ran = run("bench", "plugin", "--rounds", "1")
    assert (ran.code, ran.err) == (0, ""), ran
    assert "modules  3: pbft, pbft.plugin, pbft.plugin.hooks" in ran.out
    assert "ms with the plugin" in ran.out


def test_wrong_rounds_are_refused(run: Run) -> None:
    """One sentence, before anything is measured."""
    ran = run("bench", "plugin", "--rounds", "0")
    assert ran.code == 2
    assert "--rounds takes a number from 1 to 1000, not 0" in ran.err


def test_where_pytest_does_not_work_that_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With what it printed."""
    (tmp_path / "pytest.py").write_text("raise SystemExit('not today')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(PluginNotMeasured, match=r"(?s)pytest failed on an empty test.*not today"):
        measure_plugin(rounds=1)
