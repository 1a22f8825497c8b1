"""The list of the paper's rules, and of the tests that hold the code to them.

Owns: how a test names its rule, and what became of each rule in this run. The first line of a test's docstring says it,
"4.2: A backup prepares what it accepts.": the section of OSDI'99, and the rule in our words. A paragraph that begins
with "Differs:" says what we do in another way than the paper, and why.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

_HEADING = re.compile(r"(\d+(?:\.\d+)*): (\S.*\.)")
_DIFFERS = "Differs: "
_WIDTH = 120


class NoRule(ValueError):
    """A test of the paper whose docstring names no rule."""


@dataclass
class Rule:
    """One rule, the test that shows it, and how that went."""

    section: str
    words: str
    differs: str
    test: str
    cases: int = 0
    failures: int = 0

    @classmethod
    def of(cls, test: str, docstring: str | None) -> Rule:
        """Return the rule that a test's docstring names. Raises NoRule."""
        text = inspect.cleandoc(docstring or "")
        heading = _HEADING.fullmatch(text.partition("\n")[0])
        if heading is None:
            raise NoRule(
                f"{test} must name its rule in the first line of its docstring: a section, a colon, a sentence"
            )
        paragraphs = (" ".join(each.split()) for each in text.split("\n\n"))
        differs = next((each for each in paragraphs if each.startswith(_DIFFERS)), "")
        return cls(heading[1], heading[2], differs.removeprefix(_DIFFERS), test)

    def lines(self) -> Iterator[str]:
        """Yield the rule as the list shows it."""
        counted = f" ({self.cases} cases)" if self.cases > 1 else ""
        yield from _wrapped(f"{self.section:<6}", self.words)
        yield f"{'':6}{'FAILED ' if self.failures else ''}{self.test}{counted}"
        if self.differs:
            yield from _wrapped(f"{'':6}differs: ", self.differs)


class Rules:
    """Every rule that this run looked at, in the order of the tests."""

    def __init__(self) -> None:
        self._rules: dict[str, Rule] = {}

    def rule(self, test: str, docstring: str | None) -> Rule:
        """Return the rule of a test, the same for each of its cases. Raises NoRule."""
        rule = self._rules.get(test) or Rule.of(test, docstring)
        self._rules[test] = rule
        return rule

    def lines(self) -> list[str]:
        """Return the list by section, with a line of counts at its end; nothing where nothing was looked at."""
        rules = sorted(self._rules.values(), key=lambda rule: [int(part) for part in rule.section.split(".")])
        if not rules:
            return []
        sections = len({rule.section for rule in rules})
        broken = sum(1 for rule in rules if rule.failures)
        differing = sum(1 for rule in rules if rule.differs)
        counts = (
            f"{len(rules)} rules of {sections} sections in {sum(rule.cases for rule in rules)} cases: "
            f"{broken or 'none'} broken, {differing} kept in a way of our own"
        )
        return [*(line for rule in rules for line in rule.lines()), counts]


def _wrapped(label: str, text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=label, subsequent_indent=" " * len(label))
