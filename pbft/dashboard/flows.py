"""How the group agreed on each sampled sequence, put together from what its replicas saw.

Owns: each replica's latest accounts of sequences, which sequence is shown, and its phases and arrows. One replica's
accounts never push another's out, and a batch is shown as most replicas tell of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pbft.dashboard.checks import digits, items, mapping, members, moment, moments, text, whole
from pbft.dashboard.views import PHASES, Arrow, Cell, FlowView, Phase, PhaseView
from pbft.wording import count

KEPT: Final = 64
"""Accounts kept of each replica; fewer in groups so large that this would cost megabytes."""

_KEPT_IN_ALL: Final = 4_096
_SHOWN_REQUESTS: Final = 3
_NAME_CELLS: Final = 24
_ALONE_AFTER_US: Final = 1_000_000
"""For how long what f+1 replicas tell of must have been quiet before a primary's own word is shown."""
_OLDEST_US: Final = 60_000_000
"""How long before all others a replica can say that a sequence began."""


@dataclass(frozen=True, slots=True)
class Account:
    """What one replica says that it saw of one sequence."""

    sequence: int
    view: int
    digest: str
    requests: tuple[str, ...]
    client: str
    request_us: int | None
    pre_prepare_us: int | None
    prepares: Mapping[int, int]
    prepared_us: int | None
    commits: Mapping[int, int]
    committed_us: int | None
    executed_us: int | None
    differing: tuple[int, ...]

    @classmethod
    def read(cls, event: Mapping[str, Any], n: int, now_us: int) -> Account | None:
        """Return the account that an event gives, None where it names no sequence of a view."""
        sequence, view = whole(event.get("sequence")), whole(event.get("view"))
        if sequence is None or view is None:
            return None
        requests = event.get("requests")
        told = [mapping(each) for each in items(requests, _SHOWN_REQUESTS)]
        shown = [_spell_request(each) for each in told]
        named = len(requests) if isinstance(requests, list) else 0
        more = (whole(event.get("request_count")) or named) - len(shown)
        if more > 0 and shown:
            shown.append(f"and {more} more")
        prepares = moments(event.get("prepares"), n, now_us)
        # The primary's vote is its pre-prepare: whatever else is told as a prepare of its own is none.
        prepares.pop(view % n, None)
        return cls(
            sequence,
            view,
            digits(event.get("digest"), 64),
            tuple(shown),
            text(told[0].get("client"), _NAME_CELLS) if told else "",
            moment(event.get("request_us"), now_us),
            moment(event.get("pre_prepare_us"), now_us),
            prepares,
            moment(event.get("prepared_us"), now_us),
            moments(event.get("commits"), n, now_us),
            moment(event.get("committed_us"), now_us),
            moment(event.get("executed_us"), now_us),
            members(event.get("differing"), n),
        )

    def times(self) -> list[int]:
        """Return all that happened here, in no order."""
        own = (self.request_us, self.pre_prepare_us, self.prepared_us, self.committed_us, self.executed_us)
        return [*(each for each in own if each is not None), *self.prepares.values(), *self.commits.values()]


class Flows:
    """Keeps the latest accounts of each replica, and draws the flow of a sequence from them."""

    def __init__(self, n: int, faults: int) -> None:
        self._n = n
        self._weak = faults + 1
        self._quorum = (n + faults + 2) // 2
        self._kept = max(4, min(KEPT, _KEPT_IN_ALL // n))
        self._told: list[OrderedDict[int, Account]] = [OrderedDict() for _ in range(n)]
        self._changed_us: list[dict[int, int]] = [{} for _ in range(n)]
        self._version = 0
        self._drawn: tuple[tuple[int, int], FlowView] | None = None

    def apply(self, replica: int, event: Mapping[str, Any], now_us: int) -> float | None:
        """Take an account. Return how many milliseconds the sequence took at its primary, the first time it tells."""
        account = Account.read(event, self._n, now_us)
        if account is None:
            return None
        told, changed = self._told[replica], self._changed_us[replica]
        before = told.get(account.sequence)
        if before == account:
            return None
        told[account.sequence] = account
        told.move_to_end(account.sequence)
        changed[account.sequence] = now_us
        if len(told) > self._kept:
            gone, _ = told.popitem(last=False)
            del changed[gone]
        self._version += 1
        if replica != account.view % self._n or account.request_us is None or account.executed_us is None:
            return None
        if before is not None and before.executed_us is not None:
            return None
        return max(0, account.executed_us - account.request_us) / 1000

    def forget(self, replica: int) -> None:
        """Drop a replica's accounts: another process of it begins, perhaps at the first sequence."""
        self._told[replica].clear()
        self._changed_us[replica].clear()
        self._version += 1

    def latest(self, primary: int | None, highest: int | None, now_us: int) -> FlowView | None:
        """Return the latest sequence that f+1 replicas tell of.

        The group's primary is the first to know of a sequence and the only one while its proposal is held up, so a
        later one on its word alone is shown once the others are quiet, if it is not beyond `highest`, the watermark.
        """
        sequence = self._choose(primary, highest, now_us)
        if sequence is None:
            return None
        if self._drawn is None or self._drawn[0] != (self._version, sequence):
            accounts = {each: told[sequence] for each, told in enumerate(self._told) if sequence in told}
            self._drawn = ((self._version, sequence), draw(accounts, self._n, self._weak, self._quorum))
        return self._drawn[1]

    def _choose(self, primary: int | None, highest: int | None, now_us: int) -> int | None:
        tellers: dict[int, int] = {}
        for told in self._told:
            for sequence in told:
                tellers[sequence] = tellers.get(sequence, 0) + 1
        shared = max((each for each, number in tellers.items() if number >= self._weak), default=None)
        speaking = [each for each, told in enumerate(self._told) if told]
        if len(speaking) < self._weak:
            alone = speaking
        else:
            alone = [primary] if primary is not None and self._told[primary] else []
        believed = [each for replica in alone for each in self._told[replica] if highest is None or each <= highest]
        own = max(believed, default=None)
        if shared is None or own is None or own <= shared:
            return own if shared is None else shared
        changed_us = max(changed.get(shared, 0) for changed in self._changed_us)
        return own if now_us - changed_us > _ALONE_AFTER_US else shared


def draw(accounts: Mapping[int, Account], n: int, weak: int, quorum: int) -> FlowView:
    """Put together what replicas say of one sequence; there is at least one account."""
    view, digest = _batch(accounts)
    # Who has votes and no proposal yet contradicts nobody.
    tellers = tuple(
        each for each in sorted(accounts) if accounts[each].view == view and accounts[each].digest in ("", digest)
    )
    others = tuple(each for each in sorted(accounts) if each not in tellers and accounts[each].digest)
    primary = view % n
    start_us, oldest_us = _start(accounts, weak)
    phases = tuple(_phase(name, accounts, n, weak, quorum, start_us, tellers) for name in PHASES)
    source = next((accounts[each] for each in (primary, *tellers) if each in tellers and accounts[each].requests), None)
    first = accounts[tellers[0]] if source is None else source
    finished = sum(accounts[each].executed_us is not None for each in tellers) >= weak
    arrows = [
        arrow for each in sorted(accounts) for arrow in _arrows(each, accounts[each], n, start_us, oldest_us, others)
    ]
    order = {name: place for place, name in enumerate(PHASES)}
    arrows.sort(key=lambda each: (each.after_us, order[each.phase], _id(each.sender), _id(each.receiver)))
    return FlowView(
        sequence=first.sequence,
        view=view,
        primary=primary,
        n=n,
        digest=digest[:8],
        requests=first.requests,
        client=first.client or "client",
        tellers=tuple(sorted(accounts)),
        others=others,
        phases=phases,
        arrows=tuple(arrows),
        finished=finished,
    )


def _batch(accounts: Mapping[int, Account]) -> tuple[int, str]:
    """Return the view and digest that most replicas tell of; among equals the later view, where it came again."""
    followers: dict[tuple[int, str], int] = {}
    for account in accounts.values():
        followers[account.view, account.digest] = followers.get((account.view, account.digest), 0) + 1
    return max(followers, key=lambda key: (bool(key[1]), followers[key], key))


def _start(accounts: Mapping[int, Account], weak: int) -> tuple[int, int]:
    """Return when the sequence began, and the oldest time that is believed."""
    firsts = sorted(min(times) for each in accounts.values() if (times := each.times()))
    if not firsts:
        return 0, 0
    # A liar may tell of a beginning long ago; what f+1 tell bounds how long.
    oldest_us = firsts[min(weak, len(firsts)) - 1] - _OLDEST_US
    return min(each for each in firsts if each >= oldest_us), oldest_us


def _phase(
    name: Phase,
    accounts: Mapping[int, Account],
    n: int,
    weak: int,
    quorum: int,
    start_us: int,
    tellers: tuple[int, ...],
) -> PhaseView:
    cells = tuple(_cell(name, accounts.get(each), n, quorum, start_us) for each in range(n))
    done = sum(cells[each].done for each in tellers)
    needed = {"request": 1, "reply": weak}.get(name, quorum)
    return PhaseView(name, cells, done, needed)


def _cell(name: Phase, account: Account | None, n: int, quorum: int, start_us: int) -> Cell:
    if account is None:
        return Cell(False, 0, 1, False, None, ())
    primary = account.view % n
    received, needed, differing = 0, 1, tuple[int, ...]()
    done_us: int | None
    match name:
        case "request":
            done_us = account.request_us
        case "pre-prepare":
            done_us = account.pre_prepare_us
            differing = tuple(each for each in account.differing if each == primary)
        case "prepare":
            done_us, received, needed = account.prepared_us, len(account.prepares), quorum - 1
            differing = tuple(each for each in account.differing if each != primary and each not in account.prepares)
        case "commit":
            done_us, received, needed = account.committed_us, len(account.commits), quorum
            votes = account.differing
            differing = tuple(each for each in votes if each in account.prepares and each not in account.commits)
        case _:
            done_us = account.executed_us
    if needed == 1:
        received = int(done_us is not None)
    after_us = None if done_us is None else max(0, done_us - start_us)
    return Cell(True, received, needed, done_us is not None, after_us, differing)


def _arrows(
    replica: int, account: Account, n: int, start_us: int, oldest_us: int, others: tuple[int, ...]
) -> list[Arrow]:
    """Return the messages that one replica tells of."""
    primary = account.view % n
    found: list[tuple[int | None, Phase, int | None, int | None]] = [
        (account.request_us, "request", None, replica),
        (account.pre_prepare_us if replica != primary else None, "pre-prepare", primary, replica),
        *((us, "prepare", each, replica) for each, us in account.prepares.items() if each != replica),
        *((us, "commit", each, replica) for each, us in account.commits.items() if each != replica),
        (account.executed_us, "reply", replica, None),
    ]
    return [
        Arrow(max(0, us - start_us), phase, sender, receiver, sender in account.differing or replica in others)
        for us, phase, sender, receiver in found
        if us is not None and us >= oldest_us
    ]


def _id(party: int | None) -> int:
    return -1 if party is None else party


def _spell_request(told: Mapping[str, Any]) -> str:
    client = text(told.get("client"), _NAME_CELLS) or "a client"
    timestamp, operations = whole(told.get("timestamp")), whole(told.get("operations"))
    number = "" if timestamp is None else f" #{timestamp}"
    return f"{client}{number}" if operations is None else f"{client}{number}: {count(operations, 'operation')}"
