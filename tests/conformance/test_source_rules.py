"""Every rule of the source scan: a snippet that it warns of, and a near miss that it leaves alone."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from pbft.conformance.source import SourceRule, scan
from pbft.loading import load_application

HEAD = """
from __future__ import annotations
from pbft import Context, Rejected, StateMachine, Table, operation, query
"""
TEMPLATE = """
class App(StateMachine):
    total: int = 0
    name: str = ""
    accounts: Table[str, dict[str, int]]

    @operation
    def act(self, word: str, number: int, words: list[str], context: Context) -> None:
"""

# Each row: the rule, module-level lines, the operation's body. Rows of one rule stand together.
WARNED: list[tuple[SourceRule, str, str]] = [
    (SourceRule.CLOCK, "import time", "self.total = int(time.time())"),
    (SourceRule.CLOCK, "import time", "self.total = time.monotonic_ns()"),
    (SourceRule.CLOCK, "import time as clock", "self.total = clock.time_ns()"),
    (SourceRule.CLOCK, "from time import time_ns as now", "self.total = now()"),
    (SourceRule.CLOCK, "import time\nnow = time.time_ns", "self.total = now()"),
    (SourceRule.CLOCK, "from time import *", "self.total = time_ns()"),
    (SourceRule.CLOCK, "import time", "now = time.time_ns\nself.total = now()"),
    (SourceRule.CLOCK, "", "import time\nself.total = time.time_ns()"),
    (SourceRule.CLOCK, "from datetime import datetime", "self.name = datetime.now().isoformat()"),
    (SourceRule.CLOCK, "import datetime as dt", "self.name = dt.datetime.utcnow().isoformat()"),
    (SourceRule.CLOCK, "from datetime import date", "self.name = date.today().isoformat()"),
    (SourceRule.CLOCK, "import time", "self.name = str(time.gmtime())"),
    (SourceRule.CLOCK, "import time\nSTARTED = time.time_ns()", "self.total = STARTED"),
    (SourceRule.RANDOM, "import random", "self.total = random.randrange(6)"),
    (SourceRule.RANDOM, "from random import choice", "self.name = choice(words)"),
    (SourceRule.RANDOM, "from random import SystemRandom", "self.total = SystemRandom().getrandbits(8)"),
    (SourceRule.RANDOM, "import random", "self.total = random.Random().getrandbits(8)"),
    (SourceRule.RANDOM, "import random\nDICE = random.Random(7)", "self.total = DICE.getrandbits(8)"),
    (SourceRule.PYTHON_RELEASE, "", "self.name = context.random.choice(words)"),
    (SourceRule.PYTHON_RELEASE, "", "dice = context.random\ndice.shuffle(words)"),
    (SourceRule.PYTHON_RELEASE, "import random", "self.total = random.Random(number).randrange(6)"),
    (SourceRule.PYTHON_RELEASE, "import pickle", "self.name = pickle.dumps(words).hex()"),
    (SourceRule.PYTHON_RELEASE, "import traceback", "self.name = traceback.format_exc()"),
    (SourceRule.UNIQUE, "import uuid", "self.name = uuid.uuid4().hex"),
    (SourceRule.UNIQUE, "from uuid import uuid1", "self.name = uuid1().hex"),
    (SourceRule.UNIQUE, "import secrets", "self.name = secrets.token_hex()"),
    (SourceRule.UNIQUE, "import os", "self.name = os.urandom(4).hex()"),
    (SourceRule.IDENTITY, "", "self.total = hash(word)"),
    (SourceRule.IDENTITY, "", "self.total = id(word)"),
    (SourceRule.IDENTITY, "", "words.sort(key=hash)"),
    (SourceRule.IDENTITY, "", "self.total = word.__hash__()"),
    (SourceRule.IDENTITY, "", "five = 5\nif five is self.total:\n    self.total = 1"),
    (SourceRule.IDENTITY, "", "if word is not self.name:\n    self.total = 1"),
    (SourceRule.IDENTITY, "", "if number is len(words):\n    self.total = 1"),
    (SourceRule.SET_ORDER, "", "for each in set(words):\n    self.name += each"),
    (SourceRule.SET_ORDER, "", "for each in {word, 'b'}:\n    self.name += each"),
    (SourceRule.SET_ORDER, "", "seen = set()\nseen.add(word)\nfor each in seen:\n    self.name += each"),
    (SourceRule.SET_ORDER, "", "seen = {each for each in words}\nself.name = ','.join(seen)"),
    (SourceRule.SET_ORDER, "", "kept = [each for each in frozenset(words)]\nself.name = kept[0]"),
    (SourceRule.SET_ORDER, "", "ranks = {each: 1 for each in set(words)}\nself.name = str(ranks)"),
    (SourceRule.SET_ORDER, "", "self.name = list(set(words))[0]"),
    (SourceRule.SET_ORDER, "", "self.name = tuple(set(words) | {word})[0]"),
    (SourceRule.SET_ORDER, "", "self.name = tuple(set(words).union(words))[0]"),
    (SourceRule.SET_ORDER, "", "self.total = sum({number, 2})"),
    (SourceRule.SET_ORDER, "", "self.total = sum(len(each) for each in set(words))"),
    (SourceRule.SET_ORDER, "", "self.name = ''.join(map(str, {number, 2}))"),
    (SourceRule.SET_ORDER, "", "for place, each in enumerate(set(words)):\n    self.name += each"),
    (SourceRule.SET_ORDER, "", "self.name = min(set(words), key=len)"),
    (SourceRule.SET_ORDER, "", "self.name = sorted(set(words), key=len)[0]"),
    (SourceRule.SET_ORDER, "", "self.name = next(iter(set(words)))"),
    (SourceRule.SET_ORDER, "", "self.name = set(words).pop()"),
    (SourceRule.SET_ORDER, "", "rest = [*set(words)]\nself.name = rest[0]"),
    (SourceRule.SET_ORDER, "", "first, *rest = set(words)\nself.name = first"),
    (SourceRule.SET_ORDER, "", "self.name = f'{set(words)}'"),
    (SourceRule.SET_ORDER, "", "self.name = str(set(words))"),
    (SourceRule.SET_ORDER, "", "both = {'a': 1}.keys() & {'b': 1}.keys()\nself.name = ''.join(both)"),
    (SourceRule.SET_ORDER, "", "kept = set(words) if number else words\nfor each in kept:\n    self.name += each"),
    (SourceRule.SET_ORDER, "NAMES = frozenset({'a', 'b'})", "for each in NAMES:\n    self.name += each"),
    (SourceRule.SET_ORDER, "def names() -> set[str]:\n    return {'a'}", "self.name = ''.join(names())"),
    (SourceRule.SET_ORDER, "def glue(names: set[str]) -> str:\n    return ''.join(names)", "self.name = glue({word})"),
    (SourceRule.SET_ORDER, "import functools", "self.name = functools.reduce(max, set(words))"),
    (SourceRule.SET_ORDER, "import itertools", "self.name = ''.join(itertools.islice(set(words), 2))"),
    (
        SourceRule.SET_ORDER,
        "class Bag:\n  def __init__(self):\n    self.all = set()\n  def spell(self):\n    return ''.join(self.all)",
        "self.name = Bag().spell()",
    ),
    (SourceRule.INPUT_OUTPUT, "", "print(word)"),
    (SourceRule.INPUT_OUTPUT, "", "self.name = open(word).read()"),
    (SourceRule.INPUT_OUTPUT, "", "self.name = input()"),
    (SourceRule.INPUT_OUTPUT, "from pathlib import Path", "self.name = Path(word).read_text()"),
    (SourceRule.INPUT_OUTPUT, "import os", "self.name = os.listdir(word)[0]"),
    (SourceRule.INPUT_OUTPUT, "import os.path", "self.total = os.path.getsize(word)"),
    (SourceRule.INPUT_OUTPUT, "import sqlite3", "sqlite3.connect(word)"),
    (SourceRule.INPUT_OUTPUT, "import socket", "socket.create_connection((word, number))"),
    (SourceRule.INPUT_OUTPUT, "from urllib.request import urlopen", "urlopen(word)"),
    (SourceRule.INPUT_OUTPUT, "import http.client", "http.client.HTTPConnection(word)"),
    (SourceRule.INPUT_OUTPUT, "import subprocess", "subprocess.run([word])"),
    (SourceRule.INPUT_OUTPUT, "import logging\nlog = logging.getLogger(__name__)", "log.info(word)"),
    (SourceRule.INPUT_OUTPUT, "import sys", "sys.stderr.write(word)"),
    (SourceRule.CONCURRENCY, "import threading", "threading.Thread(target=print).start()"),
    (SourceRule.CONCURRENCY, "import threading\nLOCK = threading.Lock()", "with LOCK:\n    self.total = 1"),
    (SourceRule.CONCURRENCY, "import asyncio", "asyncio.run(None)"),
    (SourceRule.CONCURRENCY, "from concurrent.futures import ThreadPoolExecutor", "ThreadPoolExecutor()"),
    (SourceRule.CONCURRENCY, "import multiprocessing", "multiprocessing.Queue()"),
    (SourceRule.CONCURRENCY, "async def later() -> None:\n    pass", "later()"),
    (SourceRule.FLOAT, "", "self.total = int(number * 1.5)"),
    (SourceRule.FLOAT, "", "self.total = int(number / 3)"),
    (SourceRule.FLOAT, "", "number /= 2\nself.total = int(number)"),
    (SourceRule.FLOAT, "", "self.total = int(float(word))"),
    (SourceRule.FLOAT, "", "self.total = sum(int(each) for each in map(float, words))"),
    (SourceRule.FLOAT, "import math", "self.total = int(math.sqrt(number))"),
    (SourceRule.FLOAT, "from math import pi", "self.total = int(pi)"),
    (SourceRule.FLOAT, "import statistics", "self.total = int(statistics.mean([number]))"),
    (SourceRule.FLOAT, "", "self.total = int(number ** -1)"),
    (SourceRule.FLOAT, "", "self.total = int(pow(number, -1))"),
    (SourceRule.FLOAT, "", "self.total = int(round(sum(map(len, words)), 2))"),
    (SourceRule.FLOAT, "RATE = 0.2", "self.total = int(RATE * number)"),
    (SourceRule.GLOBAL, "COUNT = 0", "global COUNT\nCOUNT += 1\nself.total = COUNT"),
    (SourceRule.GLOBAL, "SEEN = {}", "SEEN[word] = 1"),
    (SourceRule.GLOBAL, "SEEN: dict[str, int] = {}", "del SEEN[word]"),
    (SourceRule.GLOBAL, "SEEN = []", "SEEN.append(word)"),
    (SourceRule.GLOBAL, "SEEN = set()", "kept = SEEN\nkept.add(word)"),
    (SourceRule.GLOBAL, "SEEN = {'a': []}", "SEEN['a'].append(word)\nSEEN['a'][0] = word"),
    (SourceRule.GLOBAL, "import collections\nSEEN = collections.Counter()", "SEEN[word] += 1"),
    (SourceRule.GLOBAL, "import itertools\nNUMBERS = itertools.count()", "self.total = next(NUMBERS)"),
    (SourceRule.GLOBAL, "def count() -> int:\n    count.calls = 1\n    return 1", "self.total = count()"),
    (SourceRule.GLOBAL, "class Shop:\n    open = False\nSHOP = Shop()", "SHOP.open = True"),
    (SourceRule.GLOBAL, "class Shop:\n    open = False", "Shop.open = True"),
    (SourceRule.GLOBAL, "", "type(self).count = 1"),
    (SourceRule.GLOBAL, "", "self.__class__.count = 1"),
    (SourceRule.GLOBAL, "", "App.count = 1"),
    (SourceRule.GLOBAL, "", "globals()['COUNT'] = 1"),
    (SourceRule.GLOBAL, "import decimal", "decimal.getcontext().prec = 4"),
    (
        SourceRule.GLOBAL,
        "def make():\n  n = 0\n  def step():\n    nonlocal n\n    n += 1\n    return n\n  return step\nSTEP = make()",
        "self.total = STEP()",
    ),
    (SourceRule.DEFAULT, "def keep(word: str, kept: list[str] = []) -> None:\n    kept.append(word)", "keep(word)"),
    (SourceRule.DEFAULT, "def keep(word: str, *, kept=dict()) -> None:\n    kept[word] = 1", "keep(word)"),
    (
        SourceRule.CACHE,
        "import functools\n@functools.lru_cache(maxsize=None)\ndef look(word: str) -> int:\n    return len(word)",
        "self.total = look(word)",
    ),
    (
        SourceRule.CACHE,
        "from functools import cache\n@cache\ndef look(word: str) -> int:\n    return 1",
        "self.total = look(word)",
    ),
    (SourceRule.HIDDEN_FIELD, "", "self.__dict__['kept'] = 1"),
    (SourceRule.HIDDEN_FIELD, "", "vars(self)['kept'] = 1"),
    (SourceRule.HIDDEN_FIELD, "", "setattr(self, word, 1)"),
    (SourceRule.HIDDEN_FIELD, "", "object.__setattr__(self, word, 1)"),
    (SourceRule.CATCHING, "", "try:\n    self.total = 1\nexcept RecursionError:\n    self.total = 2"),
    (SourceRule.CATCHING, "", "try:\n    self.total = 1\nexcept (KeyError, MemoryError):\n    self.total = 2"),
    (SourceRule.CATCHING, "", "try:\n    self.total = 1\nexcept BaseException:\n    self.total = 2"),
    (SourceRule.CATCHING, "", "try:\n    self.total = 1\nexcept:\n    self.total = 2"),
    (SourceRule.ENVIRONMENT, "import os", "self.name = os.environ['HOME']"),
    (SourceRule.ENVIRONMENT, "from os import getenv", "self.name = getenv('HOME')"),
    (SourceRule.ENVIRONMENT, "import sys", "self.name = sys.platform"),
    (SourceRule.ENVIRONMENT, "import platform", "self.name = platform.node()"),
    (SourceRule.ENVIRONMENT, "", "self.name = __file__"),
    (SourceRule.ENVIRONMENT, "import inspect", "self.total = len(inspect.stack())"),
    (SourceRule.TIME_ZONE, "import time", "self.total = time.localtime(number).tm_hour"),
    (SourceRule.TIME_ZONE, "from datetime import datetime", "self.total = datetime.fromtimestamp(number).hour"),
    (SourceRule.TIME_ZONE, "import locale", "locale.setlocale(locale.LC_ALL, '')"),
    (SourceRule.TIME_ZONE, "from zoneinfo import ZoneInfo", "self.name = str(ZoneInfo(word))"),
    (SourceRule.MEMORY, "import weakref\nKEPT = weakref.WeakValueDictionary()", "self.total = len(KEPT)"),
    (SourceRule.MEMORY, "import gc", "self.total = gc.collect()"),
    (
        SourceRule.MEMORY,
        "class Thing:\n    def __del__(self) -> None:\n        pass",
        "Thing()",
    ),
    (SourceRule.OBJECT_TEXT, "", "self.name = str(self)"),
    (SourceRule.OBJECT_TEXT, "class Bid:\n    pass", "self.name = f'{Bid()}'"),
    (SourceRule.OBJECT_TEXT, "class Bid:\n    pass", "bid = Bid()\nself.name = repr(bid)"),
    (SourceRule.OBJECT_TEXT, "def look() -> None:\n    pass", "self.name = str(look)"),
    (SourceRule.LOST_WRITE, "", "account = self.accounts[word]\naccount['held'] = number"),
    (SourceRule.LOST_WRITE, "", "account = self.accounts.get(word, {})\naccount.update(held=number)"),
    (SourceRule.LOST_WRITE, "", "account = self.accounts.setdefault(word, {})\naccount['held'] += number"),
    (SourceRule.LOST_WRITE, "", "self.accounts[word]['held'] = number"),
    (SourceRule.LOST_WRITE, "", "self.accounts.setdefault(word, {})['held'] = number"),
    (SourceRule.LOST_WRITE, "", "for key, account in self.accounts.items():\n    account['held'] = 0"),
    (SourceRule.LOST_WRITE, "", "account = self.accounts[word]\nif len(account) < 3:\n    account['held'] = 1"),
    (
        SourceRule.LOST_WRITE,
        "def rob(accounts: Table[str, dict[str, int]]) -> None:\n    one = accounts['a']\n    one['held'] = 0",
        "rob(self.accounts)",
    ),
    (SourceRule.UNEXPLAINED, "", "self.total = hash(word)  # pbft: fine"),
]

FINE: list[tuple[SourceRule, str, str]] = [
    (SourceRule.CLOCK, "", "self.total = context.time_ms"),
    (SourceRule.CLOCK, "import time", "self.total = number"),
    (SourceRule.CLOCK, "import time", "time = {'time': 1}\nself.total = time['time']"),
    (SourceRule.CLOCK, "import time", "self.total = time.gmtime(number).tm_hour"),
    (SourceRule.CLOCK, "from datetime import datetime, timedelta", "self.name = datetime(2000, 1, 1).isoformat()"),
    (SourceRule.RANDOM, "", "self.total = context.random.getrandbits(8)"),
    (SourceRule.RANDOM, "import random", "dice: random.Random = context.random\nself.total = dice.getrandbits(3)"),
    (SourceRule.RANDOM, "import random", "self.total = random.Random(context.seed).getrandbits(8)"),
    (SourceRule.UNIQUE, "import uuid", "self.name = uuid.uuid5(uuid.NAMESPACE_URL, word).hex"),
    (SourceRule.UNIQUE, "import secrets", "self.total = int(secrets.compare_digest(word, self.name))"),
    (SourceRule.IDENTITY, "", "id = number\nself.total = id"),
    (SourceRule.IDENTITY, "def hash(word: str) -> int:\n    return len(word)", "self.total = hash(word)"),
    (SourceRule.IDENTITY, "", "if context is None or word is None:\n    self.total = 1"),
    (SourceRule.IDENTITY, "", "if type(number) is int:\n    self.total = 1"),
    (SourceRule.IDENTITY, "import enum\nclass Way(enum.Enum):\n    UP = 1", "if Way(1) is Way.UP:\n    self.total = 1"),
    (SourceRule.SET_ORDER, "", "for each in sorted(set(words)):\n    self.name += each"),
    (SourceRule.SET_ORDER, "", "self.total = len(set(words)) + int(word in set(words))"),
    (SourceRule.SET_ORDER, "", "if set(words) == {word}:\n    self.total = 1"),
    (SourceRule.SET_ORDER, "", "kept = set(words)\nkept = sorted(kept)\nself.name = kept[0]"),
    (SourceRule.SET_ORDER, "", "kept = sorted(each.lower() for each in set(words))\nself.name = kept[0]"),
    (SourceRule.SET_ORDER, "", "kept = sorted([each.lower() for each in set(words)])\nself.name = kept[0]"),
    (SourceRule.SET_ORDER, "", "kept = sorted(list(set(words)))\nself.name = kept[0]"),
    (SourceRule.SET_ORDER, "", "kept = list(set(words))\nkept.sort()\nself.name = kept[0]"),
    (SourceRule.SET_ORDER, "", "self.name = min(set(words))"),
    (SourceRule.SET_ORDER, "", "self.name = min(set(words), key=lambda each: (len(each), each))"),
    (SourceRule.SET_ORDER, "", "self.total = int(any(each == word for each in set(words)))"),
    (SourceRule.SET_ORDER, "", "self.name = words.pop()"),
    (SourceRule.SET_ORDER, "", "for each in dict.fromkeys(words):\n    self.name += each"),
    (SourceRule.SET_ORDER, "", "for key in self.accounts:\n    self.name += key"),
    (SourceRule.SET_ORDER, "", "kept = {each.lower() for each in set(words)}\nself.total = len(kept)"),
    (SourceRule.INPUT_OUTPUT, "import os.path", "self.name = os.path.join(word, 'a')"),
    (SourceRule.INPUT_OUTPUT, "from urllib.parse import quote", "self.name = quote(word)"),
    (SourceRule.INPUT_OUTPUT, "import io", "out = io.StringIO()\nself.name = out.getvalue()"),
    (SourceRule.INPUT_OUTPUT, "from http import HTTPStatus", "self.total = HTTPStatus.OK.value"),
    (
        SourceRule.INPUT_OUTPUT,
        "class Door:\n    def open(self) -> int:\n        return 1",
        "self.total = Door().open()",
    ),
    (SourceRule.CONCURRENCY, "import threading", "self.total = 1"),
    (SourceRule.FLOAT, "", "self.total = number // 3 + number ** 2 + round(number, -2)"),
    (SourceRule.FLOAT, "from decimal import Decimal", "self.total = int(Decimal(word) / Decimal(3))"),
    (SourceRule.FLOAT, "from fractions import Fraction", "share = Fraction(number, 3)\nself.total = int(share / 2)"),
    (SourceRule.FLOAT, "import math", "self.total = math.isqrt(number) + math.gcd(number, 2)"),
    (SourceRule.FLOAT, "", "self.total = int(isinstance(word, float))"),
    (SourceRule.GLOBAL, "PRICES = {'a': 1}", "self.total = PRICES[word] + PRICES.get(word, 0)"),
    (SourceRule.GLOBAL, "PRICES = {'a': 1}", "PRICES = dict()\nPRICES[word] = 1"),
    (SourceRule.GLOBAL, "PRICES = {'a': 1}", "mine = dict(PRICES)\nmine[word] = 1\nself.total = len(mine)"),
    (SourceRule.GLOBAL, "", "n = 0\ndef step() -> None:\n    nonlocal n\n    n += 1\nstep()\nself.total = n"),
    (SourceRule.GLOBAL, "import itertools", "numbers = itertools.count()\nself.total = next(numbers)"),
    (SourceRule.GLOBAL, "class Shop:\n    open = False", "shop = Shop()\nshop.open = True\nself.total = 1"),
    (SourceRule.GLOBAL, "import re\nNAME = re.compile('a')", "self.total = int(NAME.match(word) is None)"),
    (SourceRule.DEFAULT, "def keep(word: str, kept: tuple[str, ...] = ()) -> int:\n    return 1", "keep(word)"),
    (SourceRule.CACHE, "import functools", "self.total = functools.partial(int, word)()"),
    (SourceRule.HIDDEN_FIELD, "", "self.total = getattr(self, 'total')"),
    (SourceRule.CATCHING, "", "try:\n    self.total = 1\nexcept (KeyError, ValueError):\n    self.total = 2"),
    (SourceRule.CATCHING, "", "try:\n    self.total = 1\nexcept BaseException:\n    self.total = 2\n    raise"),
    (SourceRule.ENVIRONMENT, "import sys", "self.name = sys.intern(word)"),
    (
        SourceRule.TIME_ZONE,
        "from datetime import datetime, timezone",
        "self.total = datetime.fromtimestamp(number, timezone.utc).hour",
    ),
    (
        SourceRule.OBJECT_TEXT,
        "class Bid:\n    def __str__(self) -> str:\n        return 'bid'",
        "self.name = f'{Bid()}'",
    ),
    (
        SourceRule.OBJECT_TEXT,
        "from dataclasses import dataclass\n@dataclass\nclass Bid:\n    price: int = 1",
        "self.name = str(Bid())",
    ),
    (SourceRule.LOST_WRITE, "", "account = self.accounts[word]\naccount['held'] = 1\nself.accounts[word] = account"),
    (SourceRule.LOST_WRITE, "", "account = {**self.accounts[word]}\naccount['held'] = 1\nself.total = len(account)"),
    (SourceRule.LOST_WRITE, "", "account = self.accounts[word]\naccount['held'] = 1\nself.keep(account)"),
    (
        SourceRule.LOST_WRITE,
        "",
        "account = self.accounts[word]\nfor each in words:\n  account[each] = 1\nself.accounts.update({word: account})",
    ),
    (
        SourceRule.LOST_WRITE,
        "",
        "for key, account in list(self.accounts.items()):\n    account['held'] = 0\n    self.accounts[key] = account",
    ),
    (SourceRule.UNEXPLAINED, "", "self.total = hash(word)  # pbft: fine, the word is always empty"),
    (SourceRule.UNEXPLAINED, "", "self.name = '# pbft: fine'"),
]


def rules(folder: Path, level: str, body: str) -> list[SourceRule]:
    """Return the rules that a snippet breaks."""
    path = folder / "app.py"
    path.write_text(f"{HEAD}{level}\n{TEMPLATE}{textwrap.indent(body, '        ')}\n", encoding="utf-8")
    return [each.rule for each in scan(load_application(f"{path}:App"))]


@pytest.mark.parametrize(("rule", "level", "body"), WARNED)
def test_it_warns_of(tmp_path: Path, rule: SourceRule, level: str, body: str) -> None:
    """A snippet that breaks one rule is warned of under that rule."""
    assert rule in rules(tmp_path, level, body)


@pytest.mark.parametrize(("rule", "level", "body"), FINE)
def test_it_lets_pass(tmp_path: Path, rule: SourceRule, level: str, body: str) -> None:
    """A near miss gives no warning at all."""
    assert rules(tmp_path, level, body) == []


def test_every_rule_has_its_snippets() -> None:
    """No rule is without one: what cannot be read has tests of its own."""
    shown = dict.fromkeys(rule for rule, _, _ in WARNED)
    assert [rule for rule in SourceRule if rule not in shown] == [SourceRule.UNREADABLE]
