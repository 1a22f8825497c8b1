"""Why a datagram or message was dropped before the core saw it.

Owns: the words. The core has its own (`pbft.core.effects.Reason`); no word stands in both, so that both fit one table
of counts. A word counts datagrams up to and including `INCOMPLETE`, and whole messages below it.
"""

from __future__ import annotations

from enum import Enum


class Drop(Enum):
    """A reason, as the word that status and metrics show."""

    INBOX_FULL = "inbox full"
    """It reached this process faster than the process could look at it."""
    TRUNCATED = "truncated"
    WRONG_VERSION = "wrong version"
    MISADDRESSED = "misaddressed"
    """For the other socket, or our own come back."""
    UNKNOWN_SENDER = "unknown sender"
    MALFORMED_HEADER = "malformed header"
    OVERSIZE = "oversize"
    BAD_TAG = "bad tag"
    REPLAYED = "replayed"
    INCOMPLETE = "incomplete"
    """Fragments whose message never became whole."""
    OVER_QUOTA = "over quota"
    """Its sender already fills its share of the queue."""
    UNPROVEN_ADDRESS = "unproven address"
    """A client's session speaks from an address that it has not shown to be its own."""
    BAD_COOKIE = "bad cookie"
    TOO_OFTEN = "too often"
    """A client asks for more reports than its share."""
