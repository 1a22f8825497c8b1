"""A way to call a ledger: what its tests share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pbft.machine import Context, Outcome, Result, encode_operation
from pbft_apps.ledger import Ledger


@dataclass
class Bank:
    """A ledger with a clock that goes on by a second a call."""

    ledger: Ledger
    now_ms: int = 0

    def call(self, client: str, name: str, *args: Any, **kwargs: Any) -> Result:
        self.now_ms += 1_000
        context = Context(time_ms=self.now_ms, client=client, sequence=self.now_ms // 1_000, seed=bytes(32))
        return self.ledger.execute(encode_operation(name, args, kwargs), context)

    def does(self, client: str, name: str, *args: Any, **kwargs: Any) -> Any:
        result = self.call(client, name, *args, **kwargs)
        assert result.outcome is Outcome.OK, result.value
        return result.value

    def refuses(self, client: str, name: str, *args: Any, **kwargs: Any) -> str:
        before = self.ledger.digest()
        result = self.call(client, name, *args, **kwargs)
        assert result.outcome is Outcome.REJECTED, result
        assert self.ledger.digest() == before
        assert type(result.value) is str
        return result.value
