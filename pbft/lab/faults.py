"""The faults that people put into a lab's group, in words: `kill 2`, `loss 20%`, `byzantine 3 equivocate`, `heal`.

Owns: the grammar of these words, what each says as plain data, and the line of help on each. Knows no processes and no
sockets: the keeper does what is said here. What a byzantine replica may do is looked up only when somebody asks for
one, so that no program of correct replicas loads attack code for the sake of a grammar.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final, NoReturn

from pbft.core.envelope import Kind
from pbft.core.group import ReplicaId
from pbft.errors import PbftError
from pbft.net.verbs import BODIES, Sentence, parse
from pbft.wording import quote, suggest

MAX_DELAY_MS: Final = 60_000
"""The longest that a lab's link delays: longer is as good as cut."""

MAX_WORDS: Final = 256
"""More words than any fault has: what a stranger writes to the keeper is refused before it is read."""

MAX_COPIES: Final = 16
"""The most copies of one message that a sentence may ask for: nobody floods a machine by a slip."""

BETWEEN_REPLICAS: Final = frozenset(BODIES) - {Kind.REPLY} | {Kind.REQUEST}
"""What replicas say to each other, requests that they pass on included; answers go to clients alone."""

Pair = tuple[ReplicaId, ReplicaId]
"""Two replicas, the lower first: the link between them, both ways."""


class FaultError(PbftError):
    """A fault that cannot be. The message is one sentence that says what to write or to do instead."""


@dataclass(frozen=True, slots=True)
class _OnOne:
    """What is done to one replica and needs no more words."""

    replica: ReplicaId
    verb: ClassVar[str]

    def __str__(self) -> str:
        return f"{self.verb} {self.replica}"


@dataclass(frozen=True, slots=True)
class Kill(_OnOne):
    """A replica's process ends at once (SIGKILL)."""

    verb = "kill"


@dataclass(frozen=True, slots=True)
class Pause(_OnOne):
    """A replica's process stands still (SIGSTOP)."""

    verb = "pause"


@dataclass(frozen=True, slots=True)
class Resume(_OnOne):
    """A paused replica's process goes on (SIGCONT)."""

    verb = "resume"


@dataclass(frozen=True, slots=True)
class Restart(_OnOne):
    """A replica starts again, correct and without what it had in memory, whatever became of it before."""

    verb = "restart"


@dataclass(frozen=True, slots=True)
class Byzantine:
    """A replica's place is taken by a program that lies under its key."""

    replica: ReplicaId
    how: str
    """What `pbft.lab.misbehaviours.find_misbehaviour` takes: "equivocate", "censor alice", "mine.py:Class"."""

    def __str__(self) -> str:
        return f"byzantine {self.replica} {self.how}"


@dataclass(frozen=True, slots=True)
class Cut:
    """Nothing passes between two replicas, or between one and all others."""

    replica: ReplicaId
    other: ReplicaId | None = None
    """None: all others."""

    def __str__(self) -> str:
        return f"cut {self.replica}" + ("" if self.other is None else f" {self.other}")


@dataclass(frozen=True, slots=True)
class Loss:
    """A share of the datagrams between replicas is lost. The last word on a link holds; 0 percent ends it."""

    percent: int
    link: Pair | None = None
    """None: every link."""

    def __str__(self) -> str:
        return f"loss {self.percent}%" + _spell_link(self.link)


@dataclass(frozen=True, slots=True)
class Delay:
    """The datagrams between replicas arrive later, in their order. The last word on a link holds; 0 ms ends it."""

    later_ms: int
    link: Pair | None = None
    """None: every link."""

    def __str__(self) -> str:
        return f"delay {self.later_ms}ms" + _spell_link(self.link)


@dataclass(frozen=True, slots=True)
class Let:
    """A sentence about messages between replicas comes true: "prepares from 3 to 1: drop" (`pbft.net.verbs`)."""

    sentence: Sentence

    def __str__(self) -> str:
        return f"let {self.sentence}"


@dataclass(frozen=True, slots=True)
class Step:
    """Every message between replicas is held; each step after the first lets one of them through."""

    def __str__(self) -> str:
        return "step"


@dataclass(frozen=True, slots=True)
class Heal:
    """All faults of the network end, and what was held is delivered."""

    def __str__(self) -> str:
        return "heal"


ProcessFault = Kill | Pause | Resume | Restart | Byzantine
"""What is done to a replica's process."""

LinkFault = Cut | Loss | Delay | Let | Step | Heal
"""What is done to the links between replicas."""

Fault = ProcessFault | LinkFault


@dataclass(frozen=True, slots=True)
class FaultHelp:
    """How a fault is written, and what it does."""

    usage: str
    summary: str
    example: str


FAULTS: Final[Mapping[str, FaultHelp]] = MappingProxyType(
    {
        "kill": FaultHelp("kill I", "End a replica's process at once (SIGKILL).", "kill 2"),
        "pause": FaultHelp("pause I", "Make a replica's process stand still (SIGSTOP).", "pause 2"),
        "resume": FaultHelp("resume I", "Let a paused replica go on (SIGCONT).", "resume 2"),
        "restart": FaultHelp("restart I", "Start a replica again, correct, whatever became of it.", "restart 2"),
        "byzantine": FaultHelp(
            "byzantine I HOW",
            "Let a program that lies take a replica's place; restart ends it.",
            "byzantine 2 equivocate",
        ),
        "cut": FaultHelp("cut A [B]", "Let nothing pass between two replicas, or one and all others.", "cut 0 1"),
        "loss": FaultHelp("loss PERCENT% [A B]", "Lose a share of the datagrams between replicas.", "loss 20%"),
        "delay": FaultHelp("delay MS [A B]", "Let datagrams between replicas arrive later.", "delay 50ms"),
        "let": FaultHelp(
            "let SENTENCE", "Say what becomes of which messages between replicas.", "let prepares from 3 to 1: drop"
        ),
        "step": FaultHelp("step", "Hold all messages between replicas; each further step lets one through.", "step"),
        "heal": FaultHelp("heal", "End all faults of the network, and deliver what is held.", "heal"),
    }
)
"""Every verb with its help, in the order in which help shows them."""

CENSOR: Final = "censor"
"""The one misbehaviour that another word follows: the client's name."""

HOWS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "equivocate": "Say two different things in every place, which is evidence against it.",
        "silent": "Hear everything and say nothing.",
        "wrong-reply": "Answer clients with wrong results.",
        "bad-signature": "Sign everything badly.",
        "slow": "Do each step just before the others lose patience.",
        CENSOR: "Be deaf to one client, named by the next word, as in censor alice.",
        "stale-view-change": "Ask for views with votes that are long out of date.",
        "bad-state": "Vouch for a state that nobody has, and hand out spoilt nodes of the true one.",
    }
)
"""The everyday words of `byzantine I HOW`, each with a line of help. `misbehaviours` knows what stands behind each."""


def parse_fault(words: Sequence[str], n: int, clients: Sequence[str]) -> Fault:
    """Return the fault that `words` say, in a group of `n` replicas whose clients have these names.

    Raises FaultError with one sentence that says what to write. A misbehaviour of the user's own, `path.py:Class`, is
    not loaded here: whoever lies loads it.
    """
    if not words:
        _refuse(f"say what is to fail, as in {quote('kill 2')}; there are {', '.join(FAULTS)}")
    verb, *rest = words
    if verb not in FAULTS:
        _refuse(f"there is no fault {quote(verb)}{suggest(verb, FAULTS)}")
    if len(words) > MAX_WORDS:
        _refuse(f"{verb} is written {quote(FAULTS[verb].usage)}, not with {len(rest)} words after it")
    match verb:
        case "byzantine":
            return _read_byzantine(rest, n, clients)
        case "let":
            return _read_let(rest, n)
        case "cut":
            return _read_cut(rest, n)
        case "loss" | "delay":
            return _read_amount(verb, rest, n)
        case "step" | "heal":
            if rest:
                _refuse(f"after {verb} comes nothing more, not {quote(' '.join(rest))}")
            return Step() if verb == "step" else Heal()
    if len(rest) != 1:
        _refuse_shape(verb, rest)
    return _ON_ONE[verb](_replica(rest[0], n, verb))


_ON_ONE: Final[Mapping[str, Callable[[ReplicaId], Fault]]] = MappingProxyType(
    {kind.verb: kind for kind in (Kill, Pause, Resume, Restart)}
)


def _read_byzantine(rest: list[str], n: int, clients: Sequence[str]) -> Fault:
    # Here and not above: the testing kit is loaded only where somebody is about to lie.
    from pbft.lab.misbehaviours import MisbehaviourError, check_misbehaviour

    if not rest:
        _refuse_shape("byzantine", rest)
    replica = _replica(rest[0], n, "byzantine")
    try:
        return Byzantine(replica, check_misbehaviour(" ".join(rest[1:]), clients))
    except MisbehaviourError as error:
        raise FaultError(str(error)) from None


def _read_let(rest: list[str], n: int) -> Let:
    if not rest:
        _refuse_shape("let", rest)
    try:
        sentence = parse(" ".join(rest))
    except ValueError as error:
        _refuse(str(error))
    for party in (*(sentence.src or ()), *(sentence.dst or ())):
        if isinstance(party, str):
            _refuse(f"a lab's faults are on links between replicas, 0 to {n - 1}, and {quote(party)} is none of them")
        if party >= n:
            _refuse(f"there is no replica {party}; they are 0 to {n - 1}")
    for kind in sentence.kinds or ():
        if kind not in BETWEEN_REPLICAS:
            what = str(Sentence((kind,))).partition(":")[0]
            _refuse(f"{what} never pass between replicas, and a lab's faults are on the links between those only")
    if sentence.verb.later_ms > MAX_DELAY_MS:
        _refuse(f"a lab delays by at most {MAX_DELAY_MS} ms, not {sentence.verb.later_ms}; cut the link instead")
    if sentence.verb.copies > MAX_COPIES:
        _refuse(f"a lab duplicates at most {MAX_COPIES} times, not {sentence.verb.copies}")
    return Let(sentence)


def _read_cut(rest: list[str], n: int) -> Cut:
    if not 1 <= len(rest) <= 2:
        _refuse_shape("cut", rest)
    if len(rest) == 1:
        return Cut(_replica(rest[0], n, "cut"))
    return Cut(*_link(rest, n, "cut"))


def _read_amount(verb: str, rest: list[str], n: int) -> Loss | Delay:
    # "50 ms" and "20 %" are what people write, too.
    if len(rest) in (2, 4) and rest[1] in ("ms", "%"):
        rest = [rest[0] + rest[1], *rest[2:]]
    if len(rest) not in (1, 3):
        _refuse_shape(verb, rest)
    link = _link(rest[1:], n, verb) if len(rest) == 3 else None
    if verb == "loss":
        return Loss(_amount(rest[0], "%", 100, "a loss is a whole number of percent, 0 to 100, as in loss 20%"), link)
    wanted = f"a delay is a whole number of milliseconds, 0 to {MAX_DELAY_MS}, as in delay 50ms"
    return Delay(_amount(rest[0], "ms", MAX_DELAY_MS, wanted), link)


def _amount(word: str, unit: str, most: int, wanted: str) -> int:
    found = re.fullmatch(rf"([0-9]{{1,9}})(?:{unit})?", word)
    if found is None or int(found[1]) > most:
        _refuse(f"{wanted}, not {quote(word)}")
    return int(found[1])


def _replica(word: str, n: int, verb: str) -> ReplicaId:
    if re.fullmatch("[0-9]{1,9}", word) is None:
        _refuse(f"{verb} takes a replica's number, as in {quote(FAULTS[verb].example)}, not {quote(word)}")
    if int(word) >= n:
        _refuse(f"there is no replica {int(word)}; they are 0 to {n - 1}")
    return int(word)


def _link(words: list[str], n: int, verb: str) -> Pair:
    one, other = sorted(_replica(word, n, verb) for word in words)
    if one == other:
        _refuse(f"a link lies between two replicas, and replica {one} has none to itself")
    return one, other


def _spell_link(link: Pair | None) -> str:
    return "" if link is None else f" {link[0]} {link[1]}"


def _refuse_shape(verb: str, rest: Sequence[str]) -> NoReturn:
    said = f", not {quote(' '.join((verb, *rest)))}" if rest else ""
    _refuse(f"{verb} is written {quote(FAULTS[verb].usage)}, as in {quote(FAULTS[verb].example)}{said}")


def _refuse(sentence: str) -> NoReturn:
    raise FaultError(sentence)
