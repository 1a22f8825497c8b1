"""What the standard library's names would do differently on two replicas, or what they cannot undo.

Owns: the table of names, and a sentence for each. Reads no source: it is told a name as it is called from outside, as
in `datetime.datetime.now`, however the source came by it.
"""

from __future__ import annotations

import ast
from typing import Final

from pbft.conformance.source.remarks import SourceRule

Verdict = tuple[SourceRule, str]

_INSTEAD: Final[dict[SourceRule, str]] = {
    SourceRule.CLOCK: "each replica's clock shows another time; use context.time_ms, the group's agreed time",
    SourceRule.RANDOM: "each replica draws something else; use random() or getrandbits() of context.random",
    SourceRule.UNIQUE: "it differs on every replica; make it of context.seed, or count in a field",
    SourceRule.INPUT_OUTPUT: (
        "what lies outside a machine differs between replicas and cannot be undone; keep in fields what operations "
        "need, and let a client do the rest"
    ),
    SourceRule.CONCURRENCY: (
        "operations run one after the other, each to its end, and what runs beside them is in no order; do it all in "
        "the operation itself"
    ),
    SourceRule.FLOAT: "sums differ with the order of their parts; use int in the smallest unit",
    SourceRule.CACHE: (
        "what it remembers is no part of the state, and another replica may not have it; compute it anew, or keep it "
        "in a field"
    ),
    SourceRule.ENVIRONMENT: "each replica's host and process have another; make it a parameter of the application",
    SourceRule.TIME_ZONE: "it follows each host's time zone, locale or database of zones; reckon with context.time_ms",
    SourceRule.MEMORY: (
        "when memory is cleared is each process's own matter; decide nothing by it, and remove items from fields"
    ),
    SourceRule.GLOBAL: "it outlives the operation and is no part of the state; keep it in a field",
    SourceRule.HIDDEN_FIELD: "what is kept that way is seen by nobody who reads the class; declare a field or a Table",
    SourceRule.PYTHON_RELEASE: "its bytes or values may differ between releases of Python; spell them out yourself",
}

_IO_MODULES: Final = (
    "sqlite3 socket socketserver urllib.request urllib.robotparser http.client http.server http.cookiejar requests "
    "httpx aiohttp urllib3 subprocess logging pathlib shutil tempfile glob fileinput select selectors ssl ftplib "
    "smtplib poplib imaplib telnetlib xmlrpc webbrowser shelve dbm syslog curses readline termios pty tty zipfile "
    "tarfile mmap fcntl psycopg psycopg2 redis boto3 sqlalchemy io.open io.FileIO io.open_code warnings.warn "
    "warnings.warn_explicit sys.stdin sys.stdout sys.stderr linecache pdb codecs.open"
)
_THREAD_MODULES: Final = "threading asyncio concurrent multiprocessing _thread sched trio anyio gevent signal"
_NAMES: Final[dict[str, SourceRule]] = {
    **dict.fromkeys(_IO_MODULES.split(), SourceRule.INPUT_OUTPUT),
    **dict.fromkeys(_THREAD_MODULES.split(), SourceRule.CONCURRENCY),
    **dict.fromkeys(["time", "datetime.datetime.now", "datetime.datetime.utcnow"], SourceRule.CLOCK),
    **dict.fromkeys(["datetime.datetime.today", "datetime.date.today"], SourceRule.CLOCK),
    **dict.fromkeys(["time.localtime", "time.mktime", "time.tzname", "time.timezone"], SourceRule.TIME_ZONE),
    **dict.fromkeys(["time.altzone", "time.daylight", "time.tzset", "zoneinfo"], SourceRule.TIME_ZONE),
    **dict.fromkeys(["time.strftime", "time.strptime", "locale", "gettext"], SourceRule.TIME_ZONE),
    **dict.fromkeys(["calendar.day_name", "calendar.month_name"], SourceRule.TIME_ZONE),
    **dict.fromkeys(["calendar.day_abbr", "calendar.month_abbr"], SourceRule.TIME_ZONE),
    **dict.fromkeys(["random", "numpy.random"], SourceRule.RANDOM),
    **dict.fromkeys(["uuid.uuid1", "uuid.uuid4", "uuid.uuid6", "uuid.uuid7", "uuid.uuid8"], SourceRule.UNIQUE),
    **dict.fromkeys(["uuid.getnode", "secrets", "os.urandom", "os.getrandom"], SourceRule.UNIQUE),
    **dict.fromkeys(["os.environ", "os.environb", "os.getenv", "os.getenvb", "os.getcwd"], SourceRule.ENVIRONMENT),
    **dict.fromkeys(["os.getpid", "os.getppid", "os.cpu_count", "os.uname", "os.name"], SourceRule.ENVIRONMENT),
    **dict.fromkeys(["os.sep", "os.linesep", "os.getlogin", "os.getuid", "platform"], SourceRule.ENVIRONMENT),
    **dict.fromkeys(["sys.argv", "sys.platform", "sys.version", "sys.version_info"], SourceRule.ENVIRONMENT),
    **dict.fromkeys(["sys.executable", "sys.path", "sys.flags", "sys.hash_info"], SourceRule.ENVIRONMENT),
    **dict.fromkeys(["sys.getrecursionlimit", "sys.setrecursionlimit", "getpass"], SourceRule.ENVIRONMENT),
    **dict.fromkeys(["sys.byteorder", "sys.implementation", "resource"], SourceRule.ENVIRONMENT),
    **dict.fromkeys(["weakref", "gc", "tracemalloc", "sys.getrefcount", "sys.getsizeof"], SourceRule.MEMORY),
    **dict.fromkeys(["functools.cache", "functools.lru_cache"], SourceRule.CACHE),
    **dict.fromkeys(["statistics", "math", "cmath"], SourceRule.FLOAT),
    **dict.fromkeys(["pickle", "marshal", "copyreg", "traceback"], SourceRule.PYTHON_RELEASE),
    **dict.fromkeys(["inspect.stack", "inspect.trace", "inspect.currentframe"], SourceRule.ENVIRONMENT),
    **dict.fromkeys(["sys._getframe", "sys._current_frames", "module.__file__"], SourceRule.ENVIRONMENT),
    **dict.fromkeys(["decimal.getcontext", "decimal.setcontext", "sys.modules"], SourceRule.GLOBAL),
    **dict.fromkeys(["contextvars", "atexit", "sys.settrace"], SourceRule.GLOBAL),
    "os": SourceRule.INPUT_OUTPUT,
}
"""The longest prefix of a name decides."""

_HARMLESS_NAMES: Final = (
    "os.path.join os.path.basename os.path.dirname os.path.splitext os.path.normpath os.path.split "
    "os.path.commonprefix os.path.commonpath os.fspath time.gmtime time.struct_time math.gcd math.lcm math.isqrt "
    "math.comb math.perm math.factorial math.floor math.ceil math.trunc math.prod math.sumprod math.isnan "
    "math.isinf math.isfinite statistics.median_low statistics.median_high statistics.mode "
    "statistics.multimode secrets.compare_digest logging.getLogger random.Random pathlib.PurePath "
    "pathlib.PurePosixPath pathlib.PureWindowsPath"
)
_HARMLESS: Final = dict.fromkeys(_HARMLESS_NAMES.split())
"""Names below those of the table that do the same everywhere."""

_LOGGER: Final = "logging.getLogger()"
"""To have a logger is nothing yet, to use it is."""

_BUILTINS: Final[dict[str, Verdict]] = {
    "hash": (
        SourceRule.IDENTITY,
        "hash() differs between processes; take a digest from hashlib, or the value itself as the key",
    ),
    "id": (
        SourceRule.IDENTITY,
        "id() is an address, another one on each replica; give each thing a number from a field",
    ),
    **{
        name: (SourceRule.INPUT_OUTPUT, f"{name}(): {_INSTEAD[SourceRule.INPUT_OUTPUT]}")
        for name in ("open", "print", "input", "breakpoint")
    },
    "float": (SourceRule.FLOAT, f"float(): {_INSTEAD[SourceRule.FLOAT]}"),
    "complex": (SourceRule.FLOAT, f"complex(): {_INSTEAD[SourceRule.FLOAT]}"),
    **{
        name: (SourceRule.HIDDEN_FIELD, f"{name}(): {_INSTEAD[SourceRule.HIDDEN_FIELD]}")
        for name in ("vars", "setattr", "delattr")
    },
    "globals": (SourceRule.GLOBAL, f"globals(): {_INSTEAD[SourceRule.GLOBAL]}"),
}


def judge(name: str, call: ast.Call | None) -> Verdict | None:
    """Return the rule that a name from outside breaks, with the sentence, or None; `call` is its call, if it is one."""
    if name == "builtins.object.__setattr__":
        return _sentence(SourceRule.HIDDEN_FIELD, name.removeprefix("builtins."), call)
    if name.startswith("builtins."):
        return _BUILTINS.get(name.removeprefix("builtins."))
    if "()" in name and name.partition("()")[0] in _HARMLESS and not name.startswith(_LOGGER):
        return None
    if name == "random.Random":
        # With a seed that is the same everywhere it draws the same everywhere.
        return _sentence(SourceRule.RANDOM, name, call) if call is not None and not call.args else None
    if name in ("datetime.datetime.fromtimestamp", "datetime.date.fromtimestamp"):
        given = call is not None and len(call.args) + len(call.keywords) > 1
        return None if given else _sentence(SourceRule.TIME_ZONE, name, call)
    if name == "time.gmtime" and call is not None and not call.args:
        return _sentence(SourceRule.CLOCK, name, call)
    parts = name.split(".")
    if name in _HARMLESS or parts[0] in ("typing", "collections"):
        return None
    for length in range(len(parts), 0, -1):
        prefix = ".".join(parts[:length])
        if prefix in _NAMES:
            # A module by itself does nothing yet, and neither do its constants.
            return None if len(parts) == 1 or parts[-1].isupper() else _sentence(_NAMES[prefix], name, call)
    return None


def is_told_already(name: str) -> bool:
    """Say whether a name is of something that a call made, which was judged where it was called."""
    return "()" in name and not name.startswith(_LOGGER)


def instead(rule: SourceRule) -> str:
    """Return what to do in place of something that breaks a rule."""
    return _INSTEAD[rule]


def _sentence(rule: SourceRule, name: str, call: ast.Call | None) -> Verdict:
    called = "()" if call is not None else ""
    return rule, f"{name.replace('()', '')}{called}: {_INSTEAD[rule]}"
