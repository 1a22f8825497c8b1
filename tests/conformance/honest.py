"""Applications without a mistake, which look a little like ones that have some."""

RAW = """
import hashlib
from pbft.application import Outcome, Result

class Tally:
    '''Counts bytes; one that is not below 128 is refused.'''

    def __init__(self) -> None:
        self.counts = [0] * 128

    def execute(self, operation: bytes, context: Context) -> Result:
        if len(operation) != 1 or operation[0] > 127:
            return Result.of(Outcome.INVALID, "one byte below 128")
        self.counts[operation[0]] += 1
        return Result.of(Outcome.OK, self.counts[operation[0]])

    def digest(self) -> bytes:
        return hashlib.blake2b(bytes(self.counts), digest_size=32).digest()

    def snapshot(self):
        return [bytes(self.counts)]

    def restore(self, pieces) -> None:
        pieces = list(pieces)
        if len(pieces) != 1 or len(pieces[0]) != 128:
            raise ValueError("no snapshot of a Tally")
        self.counts = list(pieces[0])
"""

LIKE_A_LIAR = """
import functools, logging, re, sys
from dataclasses import dataclass
from enum import Flag

LOG = logging.getLogger("shop")
NAME = re.compile("[a-z]+")
PRICES = {"lamp": 5, "chair": 7}
HIDDEN = None

class Sort(Flag):
    OLD = 1
    RARE = 2

@dataclass
class Item:
    name: str
    price: int

@functools.cache
def double(price: int) -> int:
    return 2 * price

def pattern():
    global HIDDEN
    if HIDDEN is None:
        HIDDEN = re.compile("l.*")
    return HIDDEN

class Shop(StateMachine):
    sold: Table[str, dict[str, int]]

    @operation
    def sell(self, word: str, context: Context) -> dict[str, int]:
        '''Sell something.'''
        import string
        LOG.info("sold %s", word)
        if not NAME.fullmatch(word):
            raise Rejected("no such thing")
        item = Item(word, PRICES.get(word, 1))
        entry = self.sold.get(word, {"count": 0, "price": 0})
        entry["count"] += 1
        entry["price"] = double(item.price) + context.random.randrange(5)
        self.sold[word] = entry
        pattern().match(word)
        return sorted({(Sort.OLD | Sort.RARE).value, 5}) and entry

    @query
    def look(self, word: str) -> dict[str, int]:
        entry = self.sold.get(word, {})
        entry["asked"] = 1
        return entry
"""
