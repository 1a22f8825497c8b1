"""What counts as the truth where replicas recall different things: what f+1 others recall alike, and nothing less."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from pbft.core.comparison import Comparison, Verdict


def compare(own: str, *others: str, n: int = 4, split: bool = False, final: bool = False) -> tuple[Verdict, int]:
    """Return how far replicas' answers lead; a letter is an item, a blank one that is not remembered."""
    made, verdict = _made(own, others, n, split, final)
    return verdict, made.place


def _made(own: str, others: Sequence[str], n: int, split: bool, final: bool) -> tuple[Comparison, Verdict]:
    faults = (n - 1) // 3
    comparison = Comparison(_items(own), n - 1, faults + 1, faults, split=split)
    comparison.answers = {replica: _items(told) for replica, told in enumerate(others, 1)}
    return comparison, comparison.go_on(final=final)


def _items(told: str) -> list[bytes]:
    return [each.strip().encode() for each in told]


def test_the_first_place_at_which_f_1_others_agree_on_something_else():
    """One's own may be equal again later: the first counts."""
    assert compare("abcd", "abxd", "abxd", "abcd") == (Verdict.DIFFERS, 2)
    assert compare("abcd", "abcd", "abcd") == (Verdict.NOWHERE, 4)
    assert compare("", "", "") == (Verdict.NOWHERE, 0)


def test_f_others_decide_nothing():
    """Not against one's own, nor in its favour: the answers that decide are waited for."""
    assert compare("abcd", "xxxx") == (Verdict.OPEN, 0)
    assert compare("abcd", "abcd", "xxxx") == (Verdict.OPEN, 0)
    assert compare("abcd", "xxxx", "abcy", "abcy") == (Verdict.DIFFERS, 3)
    assert compare("abcd", "xbcd", "xbcd", "abcd", n=7) == (Verdict.OPEN, 0)


def test_answers_that_end_early_are_compared_as_far_as_they_go():
    """Whoever tells on is waited for."""
    assert compare("abcd", "ab", "abx") == (Verdict.OPEN, 2)
    assert compare("abcd", "ab", "abx", "abx") == (Verdict.DIFFERS, 2)


def test_what_is_not_remembered_is_passed_over_and_told():
    """Where too few remember, and where this replica does not."""
    comparison, verdict = _made("abcd", [" bxd", " bxd", " bxd"], 4, False, False)
    assert (verdict, comparison.place, comparison.compared_from) == (Verdict.DIFFERS, 2, 1)
    comparison, verdict = _made("ab  ", ["abcd", "abcd"], 4, False, False)
    assert (verdict, comparison.compared_from, comparison.own_missing) == (Verdict.NOWHERE, 4, True)


def test_what_comes_too_late_is_said():
    """When no more answers come, what is open is not decided by those that did."""
    assert compare("abcd", "axcd", final=True) == (Verdict.LATE, 0)
    assert compare("abcd", final=True) == (Verdict.LATE, 0)


def test_a_split_is_a_place_without_agreement():
    """Only where the group is known to be split, and as many tell of it as must be correct or more."""
    assert compare("aab", "aac", "aad", "aae", split=True) == (Verdict.SPLIT, 2)
    assert compare("aab", "aac", "aad", split=True) == (Verdict.OPEN, 2)
    assert compare("aab", "aac", "aad", split=True, final=True) == (Verdict.SPLIT, 2)
    assert compare("aab", "aac", split=True, final=True) == (Verdict.LATE, 0)
    assert compare("aab", "aac", "aad", "aae") == (Verdict.NOWHERE, 3)


def test_accounts_are_told_with_those_who_give_them():
    """What most recall first; who forgot gives none."""
    comparison, _ = _made("ab", ["ax", "ay", "ay", "a ", "az", "ay"], 7, False, False)
    assert comparison.accounts() == [(b"y", (2, 3, 6)), (b"x", (1,)), (b"z", (5,))]


@given(
    st.integers(1, 3),
    st.lists(st.sampled_from("ab"), min_size=1, max_size=6),
    st.integers(0, 6),
    st.data(),
)
def test_f_liars_never_move_the_place(faults, truth, differing, data):
    """Whatever f of the others tell, in whatever order answers come: where correct ones agree, that decides."""
    n = 3 * faults + 1
    own = [each if place < differing else each.upper() for place, each in enumerate(truth)]
    lie = st.lists(st.sampled_from("abAB "), max_size=len(truth))
    lies = ["".join(data.draw(lie)) for _ in range(faults)]
    others = data.draw(st.permutations(lies + ["".join(truth)] * (n - 1 - faults)))
    expected = (Verdict.DIFFERS, differing) if differing < len(truth) else (Verdict.NOWHERE, len(truth))
    assert compare("".join(own), *others, n=n) == expected
