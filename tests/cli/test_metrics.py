"""`pbft init --metrics-port`: what it writes and says."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbft.group_file import Address, read_group
from pbft.node import exposition
from tests.cli.conftest import LEDGER, Run


def test_init_writes_where_metrics_are_shown(run: Run, tmp_path: Path):
    """Loopback, replica i at the given port + i; and it says so."""
    ran = run("init", "group", "--app", LEDGER, "--metrics-port", "9500")
    assert ran.code == 0
    assert "metrics of replica 0 will be at http://127.0.0.1:9500/metrics" in ran.out
    assert "pip install" not in ran.out
    assert read_group(tmp_path / "group").metrics_address(3) == Address("127.0.0.1", 9503)


def test_without_the_option_nothing_listens(run: Run, tmp_path: Path):
    """Metrics are shown to whoever can reach the port, so somebody has to want them."""
    ran = run("init", "group", "--app", LEDGER)
    assert "metrics" not in ran.out
    assert read_group(tmp_path / "group").metrics is None


def test_a_missing_package_is_told_at_once(run: Run, monkeypatch: pytest.MonkeyPatch):
    """Rather than when the replicas do not start."""
    monkeypatch.setattr(exposition, "_PACKAGE", "prometheus_client_that_nobody_installed")
    ran = run("init", "group", "--app", LEDGER, "--metrics-port", "9500")
    assert ran.code == 0
    assert "pip install 'pbft[metrics]'" in ran.out


@pytest.mark.parametrize("port", ["80", "65533"])
def test_a_port_that_cannot_be_is_refused(run: Run, tmp_path: Path, port: str):
    """One sentence, and no folder."""
    ran = run("init", "group", "--app", LEDGER, "--metrics-port", port)
    assert ran.code != 0
    assert ran.err == "pbft: the port of metrics must lie within 1024 and 65532, for 4 ports in a row\n"
    assert not (tmp_path / "group").exists()
