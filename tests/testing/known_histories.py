"""Histories of which it is known whether they have an order: the literature's classics, and the anomalies by name."""

from __future__ import annotations

from typing import Any, Final

from pbft_apps.counter import Counter
from tests.testing.drawings import Queue, Register, Shift

RIGHT: Final[dict[str, tuple[type[Any], str]]] = {
    "nothing happened": (Register, ""),
    "overlapping reads see old and new": (
        Register,
        """
        alice [write 1------------]
        bob     [read=0]  [read=1]
        """,
    ),
    "two writes overlap and each read agrees with one order": (
        Register,
        """
        alice [write 1-----]    [read=1]
        bob   [write 2-----]             [read=1]
        """,
    ),
    "an unanswered write took effect": (
        Register,
        """
        alice [write 1->
        bob      [read=0] [read=1]
        """,
    ),
    "an unanswered write took effect late, and another never": (
        Register,
        """
        alice [write 1->
        bob    [write 2->
        carol     [write 3]  [read=3]     [read=1] [read=1]
        """,
    ),
    "swaps race and one is rejected": (
        Register,
        """
        alice [swap 0 1-------]
        bob     [swap 0 2=!no---]  [read=1]
        """,
    ),
    "a swap in doubt explains another's rejection": (
        Register,
        """
        alice [swap 0 1->
        bob              [swap 0 2=!no] [swap 1 3]
        """,
    ),
    "Herlihy and Wing's H1: each takes the other's item": (
        Queue,
        """
        A [enq x-------]             [deq=y] [enq z->
        B    [enq y--]   [deq=x--]
        """,
    ),
    "Herlihy and Wing's H3: what is taken was not acknowledged": (
        Queue,
        """
        A [enq x->
        B          [deq=x]
        """,
    ),
    "an empty queue": (
        Queue,
        """
        A [deq=!empty-----] [deq=x] [deq=!empty]
        B      [enq x]
        """,
    ),
    "one doctor stays": (
        Shift,
        """
        alice [leave=gone-----]
        bob     [leave=!stay----]  [on_call=1]
        """,
    ),
}
"""What is drawn can be explained."""

WRONG: Final[dict[str, tuple[type[Any], str, str]]] = {
    "a stale read": (
        Register,
        """
        alice [write 1]
        bob              [read=0]
        """,
        "bob.read() -> 0",
    ),
    "a read that goes back": (
        Register,
        """
        alice [write 1------------------------]
        bob      [read=1]
        carol               [read=0]
        """,
        "carol.read() -> 0",
    ),
    "reads that disagree on the order of two writes": (
        Register,
        """
        alice [write 1--------------------]
        bob   [write 2--------------------]
        carol    [read=1] [read=2] [read=1]
        """,
        "carol.read() -> 1",
    ),
    "a lost update": (
        Counter,
        """
        alice [add 1=1------]
        bob   [add 1=1------]
        """,
        "bob.add(1) -> 1",
    ),
    "an effect that came twice": (
        Counter,
        """
        alice [add 1=1--]
        bob               [value=2]
        """,
        "bob.value() -> 2",
    ),
    "an answer from the future": (
        Register,
        """
        alice              [write 7]
        bob   [read=7---]
        """,
        "bob.read() -> 7",
    ),
    "a value that nobody wrote": (
        Register,
        """
        alice [write 1-->
        bob              [read=3]
        """,
        "bob.read() -> 3",
    ),
    "an unanswered write that took effect before its call": (
        Register,
        """
        alice             [write 1-->
        bob     [read=1]
        """,
        "bob.read() -> 1",
    ),
    "an unanswered write that took effect, and then had not": (
        Register,
        """
        alice [write 1-->
        bob             [read=1] [read=0]
        """,
        "bob.read() -> 0",
    ),
    "an unanswered addition that took effect twice": (
        Counter,
        """
        alice [add 5->
        bob           [value=5] [value=10]
        """,
        "bob.value() -> 10",
    ),
    "two swaps succeed where one can": (
        Register,
        """
        alice [swap 0 1---]
        bob   [swap 0 1---]
        """,
        "bob.swap(0, 1) -> None",
    ),
    "a rejection without a reason": (
        Register,
        """
        alice [swap 0 1=!no]
        """,
        "alice.swap(0, 1) -> REJECTED 'no'",
    ),
    "Herlihy and Wing's H2: the second item comes first": (
        Queue,
        """
        A [enq x]            [deq=y---]
        B          [enq y----------]
        """,
        "A.deq() -> 'y'",
    ),
    "Herlihy and Wing's H4: one item is taken twice": (
        Queue,
        """
        A [enq x----]    [deq=y----]
        B   [enq y----]
        C                  [deq=y----]
        """,
        "C.deq() -> 'y'",
    ),
    "an item that is lost": (
        Queue,
        """
        A [enq x]
        B          [deq=!empty]
        """,
        "B.deq() -> REJECTED 'empty'",
    ),
    "both doctors leave": (
        Shift,
        """
        alice [leave=gone---]
        bob   [leave=gone---]
        """,
        "bob.leave() -> 'gone'",
    ),
}
"""What is drawn cannot, from the answer named last on."""
