"""Network faults in words: "prepares of view 1 from 3 to 1: drop".

Owns: the grammar of these sentences, what each says as plain data, and which envelopes it speaks of. Knows no network:
whoever lets envelopes pass asks a `Sentence` about each, in a simulation or between real processes.

    [for] [the first [N]] WHAT [of view V] [of sequence S] [from WHO] [to WHO]: VERB

- WHAT is a kind of message in the papers' words (prepares, view-changes, requests ...), several ("prepares and
  commits"), or all "messages".
- "of views 1 to 3" and "of sequences 3 to 8" name several. Messages that name none are not meant, then.
- WHO is a replica's number, as in "3" or "r3", or a client's label, as in "alice/2"; or several: "0, 2 and alice".
- VERB is "drop", "delay by 50 ms", "duplicate", "duplicate 3 times" (so many arrive), or "deliver", which lets pass
  what a later sentence would catch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, NoReturn

from pbft.core.envelope import Envelope, Kind
from pbft.core.group import ReplicaId
from pbft.core.messages import (
    Checkpoint,
    CheckpointProof,
    Commit,
    CommitCertificate,
    NewView,
    Prepare,
    PrePrepare,
    Reply,
    Status,
    ViewChange,
    unpack,
)
from pbft.core.state_messages import Fetch, Nodes, Recall, Recalled
from pbft.encoding import EncodingError
from pbft.wording import quote, suggest

Party = ReplicaId | str
"""A replica by its number, a client's session by its label."""

Span = tuple[int, int]
"""The first and the last of a row of numbers."""

EXAMPLE: Final = '"prepares from 3 to 1: drop"'

BODIES: Final[Mapping[Kind, type[Any]]] = {
    Kind.PRE_PREPARE: PrePrepare,
    Kind.PREPARE: Prepare,
    Kind.COMMIT: Commit,
    Kind.REPLY: Reply,
    Kind.CHECKPOINT: Checkpoint,
    Kind.VIEW_CHANGE: ViewChange,
    Kind.NEW_VIEW: NewView,
    Kind.STATUS: Status,
    Kind.CHECKPOINT_PROOF: CheckpointProof,
    Kind.FETCH: Fetch,
    Kind.NODES: Nodes,
    Kind.RECALL: Recall,
    Kind.RECALLED: Recalled,
    Kind.COMMITTED: CommitCertificate,
}
"""What replicas say that names a view, a sequence or both."""

_NAMED: Final = {kind: tuple(each.name for each in fields(body)) for kind, body in BODIES.items()}

_NAMES: Final[Mapping[Kind, str]] = {kind: kind.name.lower().replace("_", "-") for kind in Kind}
_PLURALS: Final[Mapping[Kind, str]] = {
    **{kind: f"{name}s" for kind, name in _NAMES.items()},
    Kind.REPLY: "replies",
    Kind.STATUS: "statuses",
    Kind.FETCH: "fetches",
    Kind.NODES: "nodes",
    Kind.COMMITTED: "commit-certificates",
    Kind.RECALLED: "recalled",
    Kind.INSPECT: "inspections",
}
_SINGULARS: Final[Mapping[Kind, str]] = {
    **{kind: plural.removesuffix("s") for kind, plural in _PLURALS.items()},
    Kind.REPLY: "reply",
    Kind.STATUS: "status",
    Kind.FETCH: "fetch",
}
_KINDS: Final = {word: kind for words in (_NAMES, _SINGULARS, _PLURALS) for kind, word in words.items()}
_ALL: Final = ("message", "messages")
_JOINING: Final = (",", "and", "or")
_CLAUSES: Final = ("of", "from", "to")
RESERVED: Final = (*_JOINING, *_CLAUSES)
"""Words that no client's label may be where it is to be named in a sentence."""

_REPLICA: Final = re.compile(r"r?([0-9]{1,18})")
_NUMBER: Final = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Verb:
    """What becomes of an envelope: how many copies of it arrive, and how much later than they would."""

    copies: int = 1
    later_ms: int = 0

    def __str__(self) -> str:
        if self.copies == 0:
            return "drop"
        if self.copies == 1:
            return f"delay by {self.later_ms} ms" if self.later_ms else "deliver"
        return "duplicate" if self.copies == 2 else f"duplicate {self.copies} times"


@dataclass(frozen=True, slots=True)
class Sentence:
    """What is said of which envelopes. None says nothing of a thing: every kind, every sender, every view."""

    kinds: tuple[Kind, ...] | None = None
    src: tuple[Party, ...] | None = None
    dst: tuple[Party, ...] | None = None
    views: Span | None = None
    sequences: Span | None = None
    first: int | None = None
    """To how many envelopes this applies, those that come first; None for all."""
    verb: Verb = Verb()

    def means(self, src: Party, dst: Party, envelope: Envelope) -> bool:
        """Say whether the sentence speaks of an envelope on its way from one address to another."""
        return (
            (self.kinds is None or envelope.kind in self.kinds)
            and (self.src is None or src in self.src)
            and (self.dst is None or dst in self.dst)
            and ((self.views is None and self.sequences is None) or self._is_placed(envelope))
        )

    def _is_placed(self, envelope: Envelope) -> bool:
        view, sequence = place_of(envelope)
        return _within(view, self.views) and _within(sequence, self.sequences)

    def __str__(self) -> str:
        one = self.first == 1
        words = _SINGULARS if one else _PLURALS
        what = _joined([words[kind] for kind in self.kinds], "or" if one else "and") if self.kinds else _ALL[not one]
        if self.first is not None:
            what = f"the first {what}" if one else f"the first {self.first} {what}"
        told = [what, _spell_span("view", self.views), _spell_span("sequence", self.sequences)]
        for word, parties in (("from", self.src), ("to", self.dst)):
            told.append("" if parties is None else f"{word} {_joined([str(each) for each in parties], 'and')}")
        return f"{' '.join(filter(None, told))}: {self.verb}"


def place_of(envelope: Envelope) -> tuple[int | None, int | None]:
    """Return the view and the sequence that an envelope's body names, each None where it names none."""
    body = BODIES.get(envelope.kind)
    if body is None:
        return None, None
    try:
        said = unpack(body, envelope.body)
    except EncodingError:
        return None, None
    return getattr(said, "view", None), getattr(said, "sequence", None)


def parse(text: str) -> Sentence:
    """Return what a sentence says. Raises ValueError with words that say what to write instead."""
    what, colon, verb = text.partition(":")
    if not colon:
        _refuse(f"a sentence says what is meant, then a colon and what becomes of it, as in {EXAMPLE}", text)
    words = what.replace(",", " , ").split()
    if words[:1] == ["for"]:
        del words[0]
    first = _take_first(words)
    kinds = _take_kinds(words)
    found: dict[str, Any] = {}
    while words:
        _take_clause(words, found)
    sentence = Sentence(kinds=kinds, first=first, **found, verb=_read_verb(verb))
    _check_places(sentence)
    return sentence


def _take_first(words: list[str]) -> int | None:
    if words[:1] == ["all"]:
        del words[0]
    if words[:2] != ["the", "first"]:
        return None
    del words[:2]
    if not words or not _NUMBER.fullmatch(words[0]):
        return 1
    return _number(words.pop(0), 1, "the first so many are at least 1")


def _take_kinds(words: list[str]) -> tuple[Kind, ...] | None:
    kinds: dict[Kind, None] = {}
    named = _take_until(words, _CLAUSES)
    for each in named:
        # "view changes", "VIEW_CHANGE" and "view-changes" are one.
        word = each.lower().replace("_", "-").replace(" ", "-")
        if word in _ALL and len(named) == 1:
            return None
        if word not in _KINDS:
            _refuse(f"there is no kind of message {quote(each)}{suggest(word, [*_PLURALS.values(), 'messages'])}")
        kinds[_KINDS[word]] = None
    if not kinds:
        _refuse(f"a sentence begins with a kind of message, as in {EXAMPLE}; all of them are called messages")
    return tuple(kinds)


def _take_clause(words: list[str], found: dict[str, Any]) -> None:
    word = words.pop(0)
    name: str
    value: Span | tuple[Party, ...]
    if word == "of":
        name, value = _take_span(words)
    else:
        name, value = _take_parties(word, words)
    if name in found:
        _refuse(f'a sentence says "{word}" once for each thing; several are joined, as in "from 0, 2 and alice"')
    found[name] = value


def _take_parties(word: str, words: list[str]) -> tuple[str, tuple[Party, ...]]:
    parties = tuple(dict.fromkeys(map(_party, _take_until(words, _CLAUSES))))
    if not parties:
        _refuse(f"after \"{word}\" comes a replica's number or a client's label, as in {EXAMPLE}")
    return {"from": "src", "to": "dst"}[word], parties


def _take_span(words: list[str]) -> tuple[str, Span]:
    noun = words.pop(0) if words else ""
    known = {"view": "views", "views": "views", "sequence": "sequences", "sequences": "sequences"}
    if noun not in known:
        _refuse(f'after "of" comes a view or a sequence, as in "of view 2", not {quote(noun)}{suggest(noun, known)}')
    wanted = f'a {known[noun][:-1]} is a whole number, as in "of {known[noun][:-1]} 2" or "of {known[noun]} 3 to 8"'
    low = high = _number(words.pop(0) if words else "", 0, wanted)
    if noun.endswith("s") and words[:1] == ["to"]:
        del words[0]
        high = _number(words.pop(0) if words else "", low, f"{wanted}, from the lower to the higher")
    return known[noun], (low, high)


def _read_verb(text: str) -> Verb:
    words = text.split()
    match words:
        case ["drop"]:
            return Verb(copies=0)
        case ["deliver"]:
            return Verb()
        case ["duplicate"]:
            return Verb(copies=2)
        case ["duplicate", times, "times"]:
            return Verb(copies=_number(times, 2, 'what is duplicated arrives twice or more, as in "duplicate 3 times"'))
        case ["delay", "by", later, "ms"]:
            return Verb(later_ms=_number(later, 1, 'a delay is at least 1 ms, as in "delay by 50 ms"'))
        case ["delay", *_]:
            _refuse('a delay is said in milliseconds, as in "delay by 50 ms"', text)
        case ["duplicate", *_]:
            _refuse('to duplicate is said as in "duplicate" or "duplicate 3 times"', text)
        case ["drop" | "deliver", *_]:
            _refuse(f'after "{words[0]}" comes nothing more', text)
        case []:
            _refuse(f"after the colon comes what becomes of them: drop, delay, duplicate or deliver, as in {EXAMPLE}")
        case _:
            known = suggest(words[0], ["drop", "delay by 50 ms", "duplicate", "deliver"])
            _refuse(f"there is no verb {quote(words[0])}{known}")


def _check_places(sentence: Sentence) -> None:
    for name, span in (("view", sentence.views), ("sequence", sentence.sequences)):
        for kind in sentence.kinds or ():
            if span is not None and name not in _NAMED.get(kind, ()):
                _refuse(f'{_PLURALS[kind]} name no {name}; leave out "{_spell_span(name, span)}"')


def _take_until(words: list[str], ends: tuple[str, ...]) -> list[str]:
    """Take out the words up to one of the ends, and return them as they are joined: "view changes, 2 and alice"."""
    phrases: list[list[str]] = [[]]
    while words and words[0] not in ends:
        word = words.pop(0)
        if word in _JOINING:
            phrases.append([])
        else:
            phrases[-1].append(word)
    return [" ".join(phrase) for phrase in phrases if phrase]


def _party(word: str) -> Party:
    if " " in word:
        _refuse(f'several are joined by commas or "and", as in "from 0, 2 and alice", not {quote(word)}')
    found = _REPLICA.fullmatch(word)
    return word if found is None else int(found[1])


def _number(word: str, least: int, sentence: str) -> int:
    if not _NUMBER.fullmatch(word) or int(word) < least:
        _refuse(sentence, word)
    return int(word)


def _within(number: int | None, span: Span | None) -> bool:
    return span is None or (number is not None and span[0] <= number <= span[1])


def _spell_span(name: str, span: Span | None) -> str:
    if span is None:
        return ""
    return f"of {name} {span[0]}" if span[0] == span[1] else f"of {name}s {span[0]} to {span[1]}"


def _joined(words: list[str], last: str) -> str:
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _refuse(sentence: str, said: str | None = None) -> NoReturn:
    raise ValueError(sentence if said is None else f"{sentence}, not {quote(said.strip())}")
