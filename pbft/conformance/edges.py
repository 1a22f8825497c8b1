"""Values at the edges of what is allowed, and bytes beyond them: what people forget, and what only attackers send.

Owns: lists of them. Draws nothing.
"""

from __future__ import annotations

from typing import Any, Final

from pbft.encoding import MAX_DEPTH, MAX_INTEGER, MIN_INTEGER, encode

EDGES: Final = (
    *(-1, -2, 255, 256, 2**31 - 1, 2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63)),
    *(MAX_INTEGER, MIN_INTEGER, MAX_INTEGER - 1),
)
"""Where machines, databases and other languages change how they count."""

ODD_WORDS: Final = (
    *(
        "",
        "A",
        "0",
        "-1",
        " ",
        "a ",
        "a b",
        "a/b",
        "a:b",
        "../a",
        ".",
        "null",
        "None",
        "True",
        "__class__",
        "%s",
        "{0}",
    ),
    *(
        "\n",
        "\x00",
        "\u00e9",
        "e\u0301",
        "\u00df",
        "\u017f",
        "\u0130",
        "\u65e5\u672c",
        "\u202eabc",
        "\U0001f600",
        "\uffff",
    ),
    *("a" * 64, "a" * 65, "a" * 300, "\u00e9" * 2_000),
)
"""Empty and long; what formats and paths mean something by; letters with two spellings, or whose case has traps."""

ODD_BYTES: Final = (b"\x00", b"\xff", b"\x80", b"a" * 64, b"a" * 300, bytes(range(256)), b"a" * 4_000)

ODD_NAMES: Final = ("no_such", "", "__init__", "execute", "restore", "_run", "a" * 300)
"""Operations that no application has, though its class may have such a method."""

MISFITS: Final[tuple[Any, ...]] = (True, False, None, 1.5, MAX_INTEGER + 1, "1", b"a", (), {}, 0, ((),), 10**50)
"""Arguments of every kind: most of them fit no given parameter, and some no parameter at all."""

NOT_AN_OPERATION: Final = (
    *(b"", b"\xff", b"\x00", b"\x80", b"\x81", b"\xa0", b"\xf6", b"\x82\x61a", b"\x82\x01\x80", b"\x82\x61a\xa0"),
    *(
        b"\x83\x61a\x80\x80",
        b"\x9f\x61a\x80\xff",
        b"\xc2\x41\x00",
        b"\xd8\x1c\x81\xd8\x1d\x00",
        b"\x82\x62\xff\xfe\x80",
    ),
    *(b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff", b"{}", b"a" * 500),
)
"""Bytes that no client of ours sends: cut off, of other shapes, with tags, of indefinite or absurd length."""


def near_misses(name: str) -> tuple[bytes, ...]:
    """Return bytes that are almost a call of an operation: cut, with more behind, spelled otherwise, too deep."""
    whole = encode((name, ()))
    deep: Any = ()
    for _ in range(MAX_DEPTH + 8):
        deep = (deep,)
    return whole[:-1], whole + b"\x00", whole + whole, b"\x9f" + whole[1:] + b"\xff", encode((name, deep))
