"""Sentences about the network: what each says, which envelopes it means, and what to write instead of a bad one."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import (
    BEGINNING,
    Checkpoint,
    CommitCertificate,
    Prepare,
    PrePrepare,
    Reply,
    Status,
    ViewChange,
    pack,
)
from pbft.core.state_messages import BATCHES, TOP, Fetch, NodeAt, Nodes, Recall, Recalled
from pbft.net.verbs import RESERVED, Sentence, Verb, parse, place_of
from pbft.testing.network import Network

DROP, DELIVER = Verb(copies=0), Verb()
P = (Kind.PREPARE,)
DIGEST = bytes(32)


def prepare(view: int, sequence: int) -> Envelope:
    return Envelope(Kind.PREPARE, 3, pack(Prepare(view, sequence, DIGEST)), bytes(64))


def quiet() -> Network:
    return Network(random.Random(1), delay_ms=(5, 5))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("messages: drop", Sentence(verb=DROP)),
        ("all messages: drop", Sentence(verb=DROP)),
        ("prepares from 3 to 1: drop", Sentence((Kind.PREPARE,), (3,), (1,), verb=DROP)),
        ("for prepares from 3 to 1: drop", Sentence((Kind.PREPARE,), (3,), (1,), verb=DROP)),
        ("  prepares   to r1 from r3 :  drop ", Sentence((Kind.PREPARE,), (3,), (1,), verb=DROP)),
        ("prepare: deliver", Sentence((Kind.PREPARE,), verb=DELIVER)),
        ("View Changes from 0, 2: duplicate", Sentence((Kind.VIEW_CHANGE,), (0, 2), verb=Verb(2))),
        ("PRE_PREPARE, new-view to 0, 2: drop", Sentence((Kind.PRE_PREPARE, Kind.NEW_VIEW), dst=(0, 2), verb=DROP)),
        ("requests from alice, alice/2 and 3: drop", Sentence((Kind.REQUEST,), ("alice", "alice/2", 3), verb=DROP)),
        ("replies to alice: duplicate 3 times", Sentence((Kind.REPLY,), None, ("alice",), verb=Verb(3))),
        ("commits of view 2: delay by 50 ms", Sentence((Kind.COMMIT,), views=(2, 2), verb=Verb(later_ms=50))),
        ("commits of views 0 to 2: drop", Sentence((Kind.COMMIT,), views=(0, 2), verb=DROP)),
        ("prepares of sequence 5 to 2: drop", Sentence((Kind.PREPARE,), None, (2,), sequences=(5, 5), verb=DROP)),
        ("prepares of sequences 3 to 8 to 2: drop", Sentence((Kind.PREPARE,), None, (2,), sequences=(3, 8), verb=DROP)),
        ("prepares from 1 of sequence 3 of view 1: drop", Sentence(P, (1,), None, (1, 1), (3, 3), verb=DROP)),
        ("the first 3 checkpoints: drop", Sentence((Kind.CHECKPOINT,), first=3, verb=DROP)),
        ("for the first status from 2: drop", Sentence((Kind.STATUS,), (2,), first=1, verb=DROP)),
        ("the first 2 messages to 1: drop", Sentence(None, None, (1,), first=2, verb=DROP)),
        ("fetches and nodes: drop", Sentence((Kind.FETCH, Kind.NODES), verb=DROP)),
        ("commit-certificates, checkpoint proofs: drop", Sentence((Kind.COMMITTED, Kind.CHECKPOINT_PROOF), verb=DROP)),
        ("committed: drop", Sentence((Kind.COMMITTED,), verb=DROP)),
    ],
)  # fmt: skip
def test_what_sentences_say(text: str, said: Sentence) -> None:
    assert parse(text) == said


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_its_words(kind: Kind) -> None:
    """One and many, and the kind's own name as a trace shows it."""
    plural = str(Sentence((kind,))).removesuffix(": deliver")
    singular = str(Sentence((kind,), first=1)).removesuffix(": deliver").removeprefix("the first ")
    for words in (plural, singular, plural.upper(), plural.replace("-", " "), kind.name):
        assert parse(f"{words}: drop").kinds == (kind,)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("prepares from 3 to 1", "a sentence says what is meant, then a colon and what becomes of it"),
        (": drop", "a sentence begins with a kind of message"),
        ("from 3: drop", "a sentence begins with a kind of message"),
        ("prepars from 3: drop", 'there is no kind of message "prepars"; did you mean "prepares"?'),
        ("mesages: drop", 'there is no kind of message "mesages"; did you mean "messages"?'),
        ("prepares: dorp", 'there is no verb "dorp"; did you mean "drop"?'),
        ("prepares: ", "after the colon comes what becomes of them: drop, delay, duplicate or deliver"),
        ("prepares: drop it", 'after "drop" comes nothing more, not "drop it"'),
        ("prepares: delay", 'a delay is said in milliseconds, as in "delay by 50 ms", not "delay"'),
        ("prepares: delay by 50", 'a delay is said in milliseconds, as in "delay by 50 ms", not "delay by 50"'),
        ("prepares: delay by 0 ms", 'a delay is at least 1 ms, as in "delay by 50 ms", not "0"'),
        ("prepares: duplicate twice", 'to duplicate is said as in "duplicate" or "duplicate 3 times"'),
        ("prepares: duplicate 1 times", 'what is duplicated arrives twice or more, as in "duplicate 3 times", not "1"'),
        ("prepares of term 2: drop", 'after "of" comes a view or a sequence, as in "of view 2", not "term"'),
        ("prepares of: drop", 'after "of" comes a view or a sequence'),
        ("prepares of vew 2: drop", 'did you mean "view"?'),
        ("prepares of view two: drop", 'a view is a whole number, as in "of view 2" or "of views 3 to 8", not "two"'),
        ("prepares of sequences 8 to 3: drop", "from the lower to the higher"),
        ("prepares of sequence -1: drop", "a sequence is a whole number"),
        ("prepares from: drop", "after \"from\" comes a replica's number or a client's label"),
        ("prepares to from 3: drop", "after \"to\" comes a replica's number or a client's label"),
        ("prepares from 1 from 2: drop", 'a sentence says "from" once for each thing'),
        ("prepares from 1 2: drop", 'several are joined by commas or "and", as in "from 0, 2 and alice", not "1 2"'),
        ("the first 0 prepares: drop", 'the first so many are at least 1, not "0"'),
        ("requests of view 2: drop", 'requests name no view; leave out "of view 2"'),
        ("prepares and view-changes of sequences 2 to 3: drop", "view-changes name no sequence; leave out"),
        ("checkpoints of view 1: drop", 'checkpoints name no view; leave out "of view 1"'),
    ],
)  # fmt: skip
def test_bad_sentences_are_told_what_to_write(text: str, sentence: str) -> None:
    """One sentence, which names the word and what to put in its place."""
    with pytest.raises(ValueError, match=r".") as refused:
        parse(text)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


LABELS = st.from_regex(r"[a-z]{2,8}(/[1-9])?", fullmatch=True).filter(lambda label: label not in RESERVED)
PARTIES = st.none() | st.lists(st.integers(0, 30) | LABELS, min_size=1, max_size=4, unique=True).map(tuple)
SPANS = st.none() | st.tuples(st.integers(0, 10**15), st.integers(0, 10**15)).map(lambda two: (min(two), max(two)))
VERBS = (
    st.sampled_from([DROP, DELIVER]) | st.integers(2, 9).map(Verb) | st.integers(1, 10**6).map(lambda ms: Verb(1, ms))
)
PLACED = (Kind.PRE_PREPARE, Kind.PREPARE, Kind.COMMIT, Kind.COMMITTED)
SENTENCES = st.builds(
    Sentence,
    st.none() | st.lists(st.sampled_from(PLACED), min_size=1, max_size=3, unique=True).map(tuple),
    PARTIES, PARTIES, SPANS, SPANS,
    first=st.none() | st.integers(1, 99),
    verb=VERBS,
) | st.builds(
    Sentence,
    st.lists(st.sampled_from(Kind), min_size=1, max_size=3, unique=True).map(tuple),
    PARTIES, PARTIES,
    first=st.none() | st.integers(1, 99),
    verb=VERBS,
)  # fmt: skip


@given(SENTENCES)
def test_a_sentence_reads_back_from_its_words(sentence: Sentence) -> None:
    assert parse(str(sentence)) == sentence


@given(
    st.lists(st.sampled_from([*RESERVED, "the", "first", "for", "prepares", "view", "2", ":", "drop", "delay", "x"]))
)
def test_whatever_words_come_one_sentence_answers(words: list[str]) -> None:
    """It is understood, and then its own words mean the same, or refused with one line."""
    try:
        sentence = parse(" ".join(words))
    except ValueError as refused:
        told = str(refused).splitlines()
    else:
        assert parse(str(sentence)) == sentence
        told = ["understood"]
    assert len(told) == 1


@pytest.mark.parametrize(
    ("kind", "body", "place"),
    [
        (Kind.PRE_PREPARE, PrePrepare(1, 2, DIGEST), (1, 2)),
        (Kind.PREPARE, Prepare(1, 2, DIGEST), (1, 2)),
        (Kind.COMMIT, Prepare(1, 2, DIGEST), (1, 2)),
        (Kind.COMMITTED, CommitCertificate(1, 2, DIGEST, ()), (1, 2)),
        (Kind.CHECKPOINT, Checkpoint(2, DIGEST), (None, 2)),
        (Kind.CHECKPOINT_PROOF, BEGINNING, (None, 0)),
        (Kind.REPLY, Reply(2, DIGEST), (None, 2)),
        (Kind.FETCH, Fetch(2, DIGEST, (TOP,)), (None, 2)),
        (Kind.NODES, Nodes(2, (NodeAt(TOP, b""),)), (None, 2)),
        (Kind.VIEW_CHANGE, ViewChange(1, BEGINNING, ()), (1, None)),
        (Kind.STATUS, Status(1, 1, 0, 0, 0, False, b"", (), ()), (1, None)),
    ],
    ids=lambda value: value.name if isinstance(value, Kind) else "",
)
def test_where_messages_stand(kind: Kind, body: object, place: tuple[int | None, int | None]) -> None:
    assert place_of(Envelope(kind, 3, pack(body))) == place


@pytest.mark.parametrize("body", [Recall(BATCHES, 3, 9, 0), Recalled(Recall(BATCHES, 3, 9, 0), ())])
def test_a_recall_names_no_one_place(body: Recall | Recalled) -> None:
    """It asks for several sequences, and a sentence that names one does not mean it."""
    kind = Kind.RECALL if isinstance(body, Recall) else Kind.RECALLED
    assert place_of(Envelope(kind, 3, pack(body))) == (None, None)


@pytest.mark.parametrize("kind", [Kind.REQUEST, Kind.HELLO, Kind.PREPARE, Kind.NEW_VIEW])
def test_what_says_nothing_stands_nowhere(kind: Kind) -> None:
    """Kinds that name no place, and bytes that say nothing at all."""
    assert place_of(Envelope(kind, 3, b"\x80")) == (None, None)


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("prepares: drop", [True, True, True, True]),
        ("commits: drop", [False] * 4),
        ("prepares of view 1: drop", [False, True, True, True]),
        ("prepares of sequence 5: drop", [True, False, True, False]),
        ("messages of sequences 5 to 6 of view 1: drop", [False, True, True, False]),
        ("messages of views 0 to 0: drop", [True, False, False, False]),
    ],
)
def test_which_envelopes_are_meant(text: str, met: list[bool]) -> None:
    envelopes = [prepare(0, 5), prepare(1, 6), prepare(1, 5), prepare(1, 7)]
    assert [parse(text).means(3, 1, each) for each in envelopes] == met


def test_who_is_meant() -> None:
    """Senders and receivers are those of the link, replicas by number and clients by label."""
    sentence = parse("messages from 3, alice to 1: drop")
    assert sentence.means(3, 1, prepare(0, 1))
    assert sentence.means("alice", 1, prepare(0, 1))
    assert not sentence.means("alice/2", 1, prepare(0, 1))
    assert not sentence.means(3, 2, prepare(0, 1))


def test_a_network_lets_a_sentence_come_true() -> None:
    """The rule that comes of it counts, stops, and tells its sentence."""
    network = quiet()
    rule = network.let("the first 2 prepares of view 1 from 3 to 1: drop")
    passed = [bool(network.delays(3, 1, prepare(view, 9))) for view in (1, 0, 1, 1)]
    assert passed == [False, True, False, True]
    assert rule.met == 2
    assert str(rule) == "the first 2 prepares of view 1 from 3 to 1: drop"

    rule = network.let("prepares: delay by 50 ms")
    assert network.delays(3, 1, prepare(0, 1)) == [55]
    rule.stop()
    assert network.delays(3, 1, prepare(0, 1)) == [5]
    network.let("prepares: duplicate 3 times")
    assert network.delays(3, 1, prepare(0, 1)) == [5, 5, 5]
    network.heal()
    assert network.delays(3, 1, prepare(0, 1)) == [5]


def test_deliver_exempts_from_what_comes_after() -> None:
    network = quiet()
    network.let("prepares of sequence 1: deliver")
    network.let("prepares: drop")
    assert network.delays(3, 1, prepare(0, 1)) == [5]
    assert network.delays(3, 1, prepare(0, 2)) == []


def test_rules_made_by_calls_tell_their_sentence_too() -> None:
    network = quiet()
    assert str(network.on(Kind.PREPARE, src=3, dst=(1, "alice")).drop(first=2)) == (
        "the first 2 prepares from 3 to 1 and alice: drop"
    )
    assert str(network.on().delay(7)) == "messages: delay by 7 ms"


def test_somebody_else_may_decide() -> None:
    """Asked before any rule, about every envelope, until the network heals."""
    network = quiet()
    network.let("messages: duplicate")
    network.lose(lambda src, dst, envelope: (src, dst) == (3, 1) and envelope.kind is Kind.PREPARE)
    assert network.delays(3, 1, prepare(0, 1)) == []
    assert network.delays(3, 2, prepare(0, 1)) == [5, 5]
    network.heal()
    assert network.delays(3, 1, prepare(0, 1)) == [5]
