"""Whether what clients were told could have come from one copy of the application, used by one client at a time.

That is linearizability (Herlihy and Wing, TOPLAS 1990): each operation takes effect in one moment between its call and
its answer, and the answers are those of the application executing them in the order of these moments. Hand `check` the
operations of a history and your application's class:

    history = [
        Operation("alice", "add", (5,), called=1, ended=4, value=5),
        Operation("bob", "value", called=2, ended=3, value=0),
        Operation("carol", "add", (1,), called=5),                  # never answered: it may have run, or not
    ]
    verdict = check(history, Counter)
    assert verdict.holds, verdict

The history may be of anybody's making: a test's, a simulated cluster's (`Cluster.check_linearizable` does all this), or
a log of real clients' calls.
"""

from pbft.testing.linearizability.operation import Execute, Operation, execute_plainly
from pbft.testing.linearizability.order import find_flaw
from pbft.testing.linearizability.search import MOST_MOVES, check
from pbft.testing.linearizability.verdict import Linearizable, Misfit, NotLinearizable, Undecided, Verdict

__all__ = [
    "MOST_MOVES",
    "Execute",
    "Linearizable",
    "Misfit",
    "NotLinearizable",
    "Operation",
    "Undecided",
    "Verdict",
    "check",
    "execute_plainly",
    "find_flaw",
]
