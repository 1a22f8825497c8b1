"""`pbft liar` and `up --liar`: what they list, and what they refuse before anything starts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pbft.cli import main
from pbft.lab.faults import HOWS
from pbft.lab.making import make_group
from pbft.testing.byzantine import ADVERSARIES


@pytest.fixture
def group(tmp_path: Path) -> str:
    """Return the folder of a group that does not run."""
    make_group(tmp_path / "g", "pbft_apps.counter:Counter")
    return str(tmp_path / "g")


def test_the_list_of_misbehaviours(capsys: pytest.CaptureFixture[str]):
    """One line each, for people and for programs."""
    assert main(["liar", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [*HOWS, *(each.__name__ for each in ADVERSARIES)]
    assert [line.split()[0] for line in lines] == names
    assert "Puts a lie in place of each result" in lines[len(HOWS) + 1]
    assert main(["liar", "--list", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in told] == names
    assert all(each["summary"] for each in told)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("liar",), "say where, in whose place and how to lie, as in pbft liar DIR 3 wrong-reply"),
        (("liar", "GROUP", "3", "WrongRply"), 'there is no misbehaviour "WrongRply"'),
        (("liar", "GROUP", "3", "censor", "carol"), 'no client is called "carol"; there are alice, bob'),
        (("liar", "GROUP", "3", "censor"), 'censor is followed by a client\'s name, as in "censor alice"'),
        (("liar", "GROUP", "3", "Silent", "--colluders", "1,carol"), 'is called "carol"'),
        (("up", "GROUP", "--liar", "2"), '--liar takes NUMBER=MISBEHAVIOUR, as in --liar 2=WrongReply, not "2"'),
        (("up", "GROUP", "--liar", "x=Silent"), "--liar takes NUMBER=MISBEHAVIOUR"),
        (("up", "GROUP", "--liar", "4=Silent"), "there is no replica 4 to lie; they are 0 to 3"),
        (("up", "GROUP", "--liar", "2=Silnt"), 'did you mean "Silent"?'),
        (("up", "GROUP", "--liar", "2=censor carol"), 'no client is called "carol"'),
        (("up", "GROUP", "--liar", "2=Silent", "--liar", "2=Censor"), "--liar names replica 2 twice; put +"),
        (
            ("up", "GROUP", *(word for i in range(4) for word in ("--liar", f"{i}=Silent"))),
            "somebody in the group must not lie",
        ),
    ],
)
def test_what_cannot_be_is_one_sentence(
    group: str, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
):
    """Exit code 2, and nothing was started."""
    assert main([word.replace("GROUP", group) for word in words]) == 2
    out, said = capsys.readouterr()
    assert (out, said.count("\n")) == ("", 1)
    assert says in said
