"""How people name misbehaviours, and what they are told where there is none of that name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pbft.lab.misbehaviours import MisbehaviourError, check_misbehaviour, find_misbehaviour, tell
from pbft.loading import AppError
from pbft.testing import Cluster
from pbft.testing.byzantine import (
    ADVERSARIES,
    Adversary,
    BadSignature,
    BadState,
    Censor,
    Equivocator,
    Flooder,
    NodeForger,
    Silent,
    SlowVoter,
    StaleViewChange,
    TimeLiar,
    TwoFaced,
    WrongReply,
)
from pbft.testing.byzantine.naming import MISBEHAVIOURS
from pbft_apps.counter import Counter

MINE = '''
"""Misbehaviours that live outside the project."""

from pbft.testing.byzantine import Adversary, Silent


class Deaf(Adversary):
    """Hears nothing.

    Not even itself.
    """

    def receive(self, envelope, sender, now):
        return []


nothing = 5
'''


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Return a file that defines one misbehaviour, and imports another."""
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


def test_every_misbehaviour_has_a_name_and_a_line():
    """Each that a run may draw can be started by its class's name, and says what it does."""
    assert list(MISBEHAVIOURS.values()) == list(ADVERSARIES)
    for name, kind in MISBEHAVIOURS.items():
        assert find_misbehaviour(name) is kind
        assert tell(kind).endswith((".", ":"))


def test_a_misbehaviour_of_ones_own(mine: Path):
    """It is named by where it lies, and the only one of a file needs no name."""
    kind = find_misbehaviour(f"{mine}:Deaf")
    assert (kind.__name__, tell(kind)) == ("Deaf", "Hears nothing.")
    assert find_misbehaviour(str(mine)).__name__ == "Deaf"
    assert find_misbehaviour("pbft.testing.byzantine.flooder:Flooder") is Flooder


def test_several_at_once(mine: Path):
    """What is named with + between is one replica's, as a class that derives from all of them."""
    kind = find_misbehaviour("Censor+TimeLiar")
    assert kind.__bases__ == (Censor, TimeLiar)
    assert kind.__name__ == "Censor+TimeLiar"
    assert [each.__name__ for each in find_misbehaviour(f"{mine}:Deaf+TimeLiar").__bases__] == ["Deaf", "TimeLiar"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            "Wrongreply",
            'there is no misbehaviour "Wrongreply" (one of your own is named as path.py:Class); did you mean',
        ),
        ("", '"" lacks a misbehaviour; write a name'),
        ("Silent+", '"Silent+" lacks a misbehaviour; write a name, or several with + between'),
        ("Silent+Censor", 'the misbehaviours in "Silent+Censor" do not go together in this order'),
        ("Silent+Silent", 'the misbehaviours in "Silent+Silent" do not go together in this order; name none twice'),
        ("MINE:Def", 'mine.py has no class "Def"; did you mean "Deaf"?'),
        ("MINE:nothing", '"nothing" in mine.py is no misbehaviour; derive it from pbft.testing.byzantine.Adversary'),
        (
            "pbft.testing.byzantine.proposer:Set",
            'pbft.testing.byzantine.proposer has no class "Set"; there is Proposer',
        ),
    ],
)
def test_what_cannot_be_found_is_a_sentence(mine: Path, words: str, says: str):
    """The nearest name, or what to write instead."""
    with pytest.raises(MisbehaviourError, match=re.escape(says)):
        find_misbehaviour(words.replace("MINE", str(mine)))


@pytest.mark.parametrize(
    ("words", "name", "shows"),
    [
        ("equivocate", "TwoFaced+Equivocator", (TwoFaced, Equivocator)),
        ("silent", "Silent", (Silent,)),
        ("wrong-reply", "WrongReply", (WrongReply,)),
        ("bad-signature", "BadSignature", (BadSignature,)),
        ("slow", "SlowVoter", (SlowVoter,)),
        ("censor bob", "Censor(bob)", (Censor,)),
        ("stale-view-change", "StaleViewChange", (StaleViewChange,)),
        ("bad-state", "BadState+NodeForger", (BadState, NodeForger)),
        ("censor alice+bad-signature", "Censor(alice)+BadSignature", (Censor, BadSignature)),
    ],
)
def test_everyday_words(words: str, name: str, shows: tuple[type[Adversary], ...]):
    """What people say stands for what the testing kit brings, alone or joined with others."""
    kind = find_misbehaviour(words)
    assert kind.__name__ == name
    assert all(issubclass(kind, each) for each in shows)
    assert find_misbehaviour(check_misbehaviour(words, ("alice", "bob"))).__name__ == name


def test_a_place_is_checked_and_not_loaded(tmp_path: Path):
    """Whoever reads the words runs no code of others; what stands beside is checked none the less."""
    place = f"{tmp_path / 'missing.py'}:Any"
    assert check_misbehaviour(f" {place} + WrongReply", ()) == f"{place}+WrongReply"
    with pytest.raises(MisbehaviourError, match="there is no misbehaviour"):
        check_misbehaviour(f"{place}+WrongRply", ())


def test_a_censor_of_nobody_cannot_be_made():
    """A name that the group does not know is an error where the liar starts, not a replica that censors nobody."""
    with pytest.raises(ValueError, match="the group has no client 'carol'"):
        Cluster(Counter, byzantine={1: find_misbehaviour("censor carol")})


def test_code_that_does_not_import_is_a_sentence(tmp_path: Path):
    """As for applications: the file, the error and its line."""
    (tmp_path / "broken.py").write_text("import nosuchmodule")
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(AppError, match=r"broken.py does not import: ModuleNotFoundError.* \(broken.py, line 1\)"):
        find_misbehaviour(f"{tmp_path / 'broken.py'}:Any")
    with pytest.raises(AppError, match="there is no file"):
        find_misbehaviour(f"{tmp_path / 'missing.py'}:Any")
    with pytest.raises(AppError, match=r'"a-b:C" names no misbehaviour; write path\.py:Class or module:Class'):
        find_misbehaviour("a-b:C")
    with pytest.raises(MisbehaviourError, match="must hold one misbehaviour to go without a class name, and has none"):
        find_misbehaviour(str(tmp_path / "empty.py"))
