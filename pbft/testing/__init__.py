"""A group on virtual time: seeded runs, adversaries and oracles, for this project's tests and for its users'."""

from pbft.testing.clients import Call, CallFailed, SimulatedClient
from pbft.testing.cluster import Cluster, NotFinished
from pbft.testing.oracles import OracleFailure

__all__ = ["Call", "CallFailed", "Cluster", "NotFinished", "OracleFailure", "SimulatedClient"]
