"""Ports for local groups: free ones, and none that a neighbour has claimed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pbft.group_file import Address
from pbft.lab import ports
from pbft.lab.making import make_group
from pbft.lab.ports import PortError, choose_ports, is_free, refuse_taken


@pytest.fixture
def taken() -> Iterator[int]:
    """Return a port that somebody listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        yield listening.getsockname()[1]


def test_a_port_in_use_is_named(taken: int):
    """Whoever starts a group is told which port is taken, and what to do."""
    assert not is_free(Address("127.0.0.1", taken))
    with pytest.raises(PortError, match=f"port {taken} on 127.0.0.1 is in use by another program; stop that one"):
        refuse_taken([Address("127.0.0.1", taken)])


def test_an_address_that_cannot_be_resolved_is_not_in_use():
    """What is wrong with a name is for whoever listens there to say."""
    assert is_free(Address("no-such-host.invalid", 7000))


def test_taken_ports_are_passed_over(taken: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A block with one port in use is not chosen; with no other block left, the sentence says what to do."""
    monkeypatch.setattr(ports, "FIRST_PORT", taken)
    monkeypatch.setattr(ports, "LAST_PORT", taken)
    with pytest.raises(PortError, match="no 1 free ports in a row were found; name where to begin with --base-port"):
        choose_ports(1, tmp_path)


def test_claimed_ports_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A neighbour that does not run keeps its ports; a damaged one claims nothing."""
    claimed = choose_ports(8, tmp_path)
    make_group(tmp_path / "neighbour", "pbft_apps.counter:Counter", base_port=claimed)
    monkeypatch.setattr(ports, "FIRST_PORT", claimed)
    monkeypatch.setattr(ports, "LAST_PORT", claimed + 7)
    with pytest.raises(PortError):
        choose_ports(8, tmp_path)
    (tmp_path / "neighbour" / "group.toml").write_text("damaged")
    assert choose_ports(8, tmp_path) == claimed
