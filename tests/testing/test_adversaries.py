"""Adversaries of the testing kit: small, named after their row, of one mind with others, keyless, and really wicked."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable
from itertools import combinations

import pytest

from pbft.core.effects import Answer, Broadcast, Effect, Send
from pbft.core.envelope import SIGNED, Envelope, Kind, Sender, genuine, seal
from pbft.core.messages import Prepare, pack
from pbft.core.replica import Replica
from pbft.core.settings import Now
from pbft.testing import Cluster, byzantine
from pbft.testing.byzantine import (
    ADVERSARIES,
    Adversary,
    Amnesiac,
    BadState,
    BatchStuffer,
    BogusNewView,
    Braggart,
    Censor,
    CheckpointLiar,
    Complainer,
    Equivocator,
    ForkedView,
    Hoarder,
    Impostor,
    Means,
    NodeForger,
    Replayer,
    Restless,
    SequenceFlooder,
    SilentSource,
    SlowPrimary,
    SlowSource,
    SlowVoter,
    StaleViewChange,
    TimeLiar,
    TwoFaced,
    Ventriloquist,
    ViewFlooder,
    WrongReply,
)
from pbft_apps.counter import Counter
from tests.scenarios.stories import SMALL_LOG, Load

KINDS = [each for each in vars(byzantine).values() if isinstance(each, type) and issubclass(each, Adversary)]
"""All that the kit offers, those too that only help to write one."""

EVERY_ONE = pytest.mark.parametrize("kind", ADVERSARIES, ids=lambda kind: kind.__name__)
CLASS_LINES = 60
ROW = re.compile(r"\b(?:[CKPRTX]\d|P, R)\b")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_misbehaviour_is_a_small_class(kind: type[Adversary]) -> None:
    """Whoever reads one has it in mind: one class, of sixty lines at most."""
    assert len(inspect.getsource(kind).splitlines()) <= CLASS_LINES


@EVERY_ONE
def test_a_misbehaviour_says_what_it_does_and_for_which_row(kind: type[Adversary]) -> None:
    """The class or its file names the row of the catalogue of attacks; the class says in a sentence what it does."""
    assert kind.__doc__
    assert kind.__doc__.splitlines()[0].rstrip().endswith(".")
    module = inspect.getmodule(kind)
    assert module is not None
    assert ROW.search(f"{kind.__doc__} {module.__doc__}"), "no row like (R4)"


def own_names(kind: type[Adversary]) -> set[str]:
    """Return the private names that a class gives to methods or to what it keeps, and those of its settings."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    kept = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    methods = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    private = {name for name in kept | methods if name.startswith("_") and not name.startswith("__")}
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    settings = {
        each.target.id for each in body if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    }
    # A share is a number between 0 and 1 to whoever has one, and says how much of it: two may well agree on that.
    return private | settings - {"share"}


def test_no_two_misbehaviours_use_one_name() -> None:
    """Put together in one class, they would overwrite each other's."""
    names = {kind: own_names(kind) for kind in KINDS}
    clashes = [
        f"{one.__name__} and {other.__name__}: {', '.join(sorted(names[one] & names[other]))}"
        for one, other in combinations(KINDS, 2)
        if names[one] & names[other] and not issubclass(one, other) and not issubclass(other, one)
    ]
    assert clashes == []


class Diary:
    """What one replica received and sent in a run."""

    def __init__(self) -> None:
        self.received: list[Envelope] = []
        self.sent: list[tuple[object, Envelope]] = []

    def write(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self.sent.append((effect.to, effect.envelope))
            elif isinstance(effect, Answer):
                self.sent.append((effect.client, effect.envelope))
            elif isinstance(effect, Broadcast):
                self.sent.append(("all", effect.envelope))


def keeping(kind: type[Adversary], diary: Diary) -> type[Adversary]:
    """Return an adversary of this kind that writes down what it does."""

    class Watched(kind):  # type: ignore[misc,valid-type]
        outermost = True

        def receive(self, envelope: Envelope, sender: Sender, now: Now) -> list[Effect]:
            was, self.outermost = self.outermost, False
            effects: list[Effect] = super().receive(envelope, sender, now)
            self.outermost = was
            if was:
                diary.received.append(envelope)
                diary.write(effects)
            return effects

        def tick(self, now: Now) -> list[Effect]:
            self.outermost = False
            effects: list[Effect] = super().tick(now)
            self.outermost = True
            diary.write(effects)
            return effects

    return Watched


def eventful(kind: type[Adversary], liar: int) -> tuple[Cluster, Diary]:
    """Let one of four be of this kind in a run in which everything happens, and return what it did.

    Clients are served; a replica misses so much that it needs a state; what has prepared is carried over into another
    view, whose primary fails as well.
    """
    diary = Diary()
    group = Cluster(
        Counter,
        seed=140,
        byzantine={liar: keeping(kind, diary)},
        clients=("alice", "bob", "mallory"),
        colluders=("mallory",),
        limits=SMALL_LOG,
    )
    load = Load(group, "alice", "bob", think_ms=60)
    group.run(200)
    group.network.isolate(3)
    group.run(400)
    group.network.heal()
    group.run(300)
    uncommitted = group.network.on(Kind.COMMIT).drop()
    group.run(150)
    uncommitted.stop()
    group.network.on(Kind.PRE_PREPARE, src=(0, 1)).drop()
    group.run(1_500)
    group.heal()
    group.finish(*load.stop())
    return group, diary


RUNS: dict[tuple[type[Adversary], int], tuple[Cluster, Diary]] = {}
"""What was played already: two tests look at each run."""


def played(kind: type[Adversary], liar: int) -> tuple[Cluster, Diary]:
    """Return an eventful run, the same one each time."""
    if (kind, liar) not in RUNS:
        RUNS[kind, liar] = eventful(kind, liar)
    return RUNS[kind, liar]


@EVERY_ONE
def test_an_adversary_does_something_else_than_a_correct_replica(kind: type[Adversary]) -> None:
    """In one and the same run, as the first primary or as the one of view 1, it says what a correct replica does not.

    Up to then the two runs are equal, so that the difference is its own doing. The group is none the worse for it.
    """
    differs = False
    for liar in (0, 1):
        group, diary = played(kind, liar)
        _, correct = played(Adversary, liar)
        differs = differs or diary.sent != correct.sent
        assert group.histories_agree()
    assert differs


@EVERY_ONE
def test_an_adversary_signs_for_nobody_but_itself(kind: type[Adversary]) -> None:
    """What it says in a correct replica's or client's name and what verifies, it has heard, in whatever wrapping."""
    group, diary = played(kind, 1)
    mallory = group.identity("client mallory").public_key
    heard = b"".join(part for each in diary.received for part in (each.signature, each.body, each.beside))
    forged = [
        each
        for _, each in diary.sent
        if each.kind in SIGNED
        and each.sender not in (1, mallory)
        and each.signature not in heard
        and genuine(group.group, group.verifier, each)
    ]
    assert forged == []


def test_what_an_adversary_holds_signs_for_itself_and_its_colluders_only() -> None:
    """It cannot make a vote of anybody else that verifies, whichever of its keys it tries."""
    met: list[Means] = []

    class Curious(Adversary):
        def __init__(self, core: Replica, means: Means) -> None:
            super().__init__(core, means)
            met.append(means)

    group = Cluster(Counter, n=7, byzantine={2: Curious, 5: Curious}, colluders=("bob",))

    assert [means.me for means in met] == [2, 5]
    for means in met:
        assert sorted(means.signers) == [2, 5]
        assert list(means.clients) == [group.identity("client bob").public_key]
        vote = pack(Prepare(0, 1, bytes(32)))
        tried = {
            member: [
                genuine(group.group, group.verifier, seal(group.group, signer, Kind.PREPARE, member, vote))
                for signer in (*means.signers.values(), *means.clients.values())
            ]
            for member in range(7)
        }
        assert [member for member, verified in tried.items() if any(verified)] == [2, 5]


PAIRS = [
    (Censor, TimeLiar),
    (SlowPrimary, Censor),
    (SlowVoter, Complainer),
    (SlowSource, WrongReply),
    (Equivocator, WrongReply),
    (ForkedView, WrongReply),
    (Hoarder, BogusNewView),
    (Restless, Braggart),
    (ViewFlooder, SequenceFlooder),
    (NodeForger, CheckpointLiar),
    (SilentSource, Impostor),
    (Complainer, Replayer),
    (Amnesiac, WrongReply),
    (Ventriloquist, BatchStuffer),
    (TwoFaced, Equivocator),
    (BadState, WrongReply),
    (StaleViewChange, WrongReply),
]
"""Misbehaviours of which each pair is as wicked as the two: one adds to the other, or acts where that does not."""


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=lambda kind: kind.__name__)
def test_misbehaviours_go_together(one: type[Adversary], other: type[Adversary]) -> None:
    """In either order: together they do something that neither does alone, and the group is none the worse for it."""
    for bases in ((one, other), (other, one)):
        both: type[Adversary] = type("Both", bases, {})
        assert any(adds(both, one, liar) for liar in (0, 1))
        assert any(adds(both, other, liar) for liar in (0, 1))


def adds(both: type[Adversary], one: type[Adversary], liar: int) -> bool:
    """Say whether two misbehaviours together do what one of them alone does not; the group is none the worse for it."""
    group, diary = played(both, liar)
    assert group.histories_agree()
    return diary.sent != played(one, liar)[1].sent
