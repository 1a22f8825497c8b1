"""Run a plain Python class as a group of replicas that agree, even while some of them lie."""

from pbft.machine import Context, Rejected, StateMachine, operation, query
from pbft.table import Table

__all__ = ["Context", "Rejected", "StateMachine", "Table", "operation", "query"]
