"""What a check says besides its findings: which operations it hardly got through to, and what to do about it."""

from __future__ import annotations

from pbft.conformance.hunting import Tally
from pbft.conformance.telling import seldom_accepted


def test_an_operation_that_fails_is_to_be_mended_and_one_that_refuses_wants_values():
    """What raises TypeError each time is no matter of values, and replicas do it alike, so that nothing else tells."""
    failing, refusing, fine, unseen = Tally(40, 0, 30), Tally(40, 0, 0), Tally(40, 20, 20), Tally()

    said = list(seldom_accepted({"vote": failing, "put": refusing, "add": fine, "end": unseen}))

    assert said == [
        "vote was accepted in 0 of 40 tries and failed in 30, so little was seen of it: mend that first",
        (
            "put was accepted in 0 of 40 tries, so little was seen of it: "
            "name values that it takes in a classmethod check_values"
        ),
        "end was never called with arguments that fit, so nothing was seen of it; draw more: --examples",
    ]
