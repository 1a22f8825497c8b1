"""The base of all errors that are for people.

Owns: the one class that says "this message is a sentence for whoever asked". What went wrong is each room's own matter.
"""

from __future__ import annotations


class PbftError(Exception):
    """What cannot be done as asked. The message is one sentence that says why, and what to do where that is known."""
