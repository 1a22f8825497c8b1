"""A scenario played twice: on our core, which must pass, and on a build with a published defect, which must fail.

Owns: the rule of these tests, and messages of their own making. A scenario that its defect does not spoil would show
nothing, so each test says how it goes wrong.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pbft.core.envelope import Envelope, Kind, seal
from pbft.core.messages import Request, pack
from pbft.encoding import Plain
from pbft.machine import encode_operation
from pbft.testing import Cluster

Change = tuple[object, str, object]
"""What a defect replaces: a class or module, the name of something in it, and what stands there instead."""


def both(scenario: Callable[[], None], *defect: Change, fails: type[BaseException], words: str) -> None:
    """Play a scenario as we are, then with a defect planted, where it must fail with an exception of exactly this type.

    `words` is a pattern that the failure's message contains.
    """
    scenario()
    with pytest.MonkeyPatch.context() as build:
        for owner, name, planted in defect:
            build.setattr(owner, name, planted)
        with pytest.raises(fails, match=words) as failure:
            scenario()
    assert failure.type is fails, f"it failed in another way than the defect did: {failure.value}"


def request(group: Cluster, client: str, session: bytes, timestamp: int, name: str, *args: Plain) -> Envelope:
    """Return a request that a registered client signed, byte for byte as its session would."""
    keys = group.identity(f"client {client}")
    body = pack(Request(keys.public_key, session, timestamp, (encode_operation(name, args),)))
    return seal(group.group, keys.signer, Kind.REQUEST, keys.public_key, body)
