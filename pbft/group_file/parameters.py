"""Application parameters in TOML, which has no null and no byte strings.

Owns: how the two are spelled, as tables of one marked entry, and back.
"""

from __future__ import annotations

import re
from typing import Any, Final

from pbft.encoding import Plain
from pbft.group_file.layout import FILE_NAME, GroupFileError
from pbft.group_file.section import Section

_BYTES: Final = "$bytes"
_NOTHING: Final = "$none"


def to_toml(name: str, value: Plain) -> Any:
    """Return what TOML can hold for a parameter's value. Raises GroupFileError for keys that would be mistaken."""
    kind = type(value)
    if value is None:
        return {_NOTHING: True}
    if kind is bytes:
        return {_BYTES: value.hex()}
    if kind is tuple or kind is list:
        return [to_toml(name, item) for item in value]
    if kind is dict:
        if any(key.startswith("$") for key in value):
            raise GroupFileError(f"the parameter {name} has a key that begins with $, which {FILE_NAME} cannot hold")
        return {key: to_toml(name, item) for key, item in value.items()}
    return value


def from_toml(section: Section, name: str, value: Any) -> Plain:
    """Return the value that `to_toml` wrote. Raises GroupFileError for what it never writes."""
    kind = type(value)
    if kind in (int, str, bool):
        return value
    if kind is list:
        return tuple(from_toml(section, name, item) for item in value)
    if kind is dict:
        if value == {_NOTHING: True}:
            return None
        if list(value) == [_BYTES] and re.fullmatch(r"([0-9a-f]{2})*", str(value[_BYTES])):
            return bytes.fromhex(value[_BYTES])
        if any(key.startswith("$") for key in value):
            section.fail(
                f'parameter {name}: write bytes as {{ "$bytes" = "00ff" }} and nothing as {{ "$none" = true }}'
            )
        return {key: from_toml(section, name, item) for key, item in value.items()}
    section.fail(f"parameter {name}: a {kind.__name__} cannot be a parameter; use a whole number or a text")
