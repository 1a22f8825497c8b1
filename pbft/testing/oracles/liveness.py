"""How long a healed group may take (O15).

Owns: the bound, as a formula over settings and over how far timers have come. That it is kept is demanded where a run
has healed: `Cluster.finish`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pbft.core.group import Group
from pbft.core.settings import ReplicaSettings, SessionSettings
from pbft.core.status import ReplicaStatus

LIVENESS: Final = "O15"


def recovery_ms(
    group: Group,
    settings: ReplicaSettings,
    session: SessionSettings,
    living: Sequence[ReplicaStatus],
    wrong_clocks: int,
    longest_ms: int,
) -> int:
    """Return within how many milliseconds a healed group answers what is pending, and is level again.

    Healed: no message is lost, none takes longer than `longest_ms`, no replica stands still; `living` are the correct
    replicas that have not crashed, as they stand at the beginning of the wait; they are at least n-f even without those
    whose wall clocks are wrong, of which there are `wrong_clocks`. Then

        recovery = client + sum(timeout * 2^i for i in 0 .. views-1) + views * repair + step

    - *round* is 2 * longest; *repair* = status_interval_max + 2 rounds: whatever was lost before is asked for and told.
    - *client* = 2 * (retransmit_max + round): a session greets once more, and sends its request to all.
    - *catch_up* = 3 * repair + n * transfer_timeout: a replica that is behind a stable checkpoint asks in vain twice,
      learns of the checkpoint, and fetches its state; each of the others may be a source that stalls.
    - *step* = catch_up + 5 rounds: what a view with a correct primary takes at most, from a quorum's VIEW-CHANGEs over
      the NEW-VIEW, the votes and batches that it names, and a replica that the quorum cannot do without, to a reply.
    - *timeout* is the longest that any of them now waits for a primary; it doubles with every view that fails.
    - *views* = 1 + the replicas missing from `living` + the wrong clocks, since the views of all these may come one
      after the other and nobody votes there, + the doublings until the timeout is at least a step: a shorter one may
      end even a correct primary's view too soon, + 1 where slow primaries are replaced: one may still be blamed for
      what the network did before, and then replicas rest (`pbft.core.pace`).
    """
    round_ms = 2 * longest_ms
    repair_ms = settings.status_interval_max_ms + 2 * round_ms
    client_ms = 2 * (session.retransmit_max_ms + round_ms)
    step_ms = 3 * repair_ms + group.n * settings.transfer_timeout_ms + 5 * round_ms
    timeout_ms = max(status.timeout_ms for status in living)
    doublings = 0
    while timeout_ms << doublings < step_ms:
        doublings += 1
    views = 1 + group.n - len(living) + wrong_clocks + doublings + settings.replace_slow_primary
    waits_ms = sum(timeout_ms << i for i in range(views))
    return client_ms + waits_ms + views * repair_ms + step_ms


__all__ = ["LIVENESS", "recovery_ms"]
