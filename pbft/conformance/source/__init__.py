"""A reading of an application's source for what replicas would not do alike: clocks, chance, the order of sets.

A warning is a place to look at, no proof of a fault; and what gives no warning may be wrong all the same. A line that
is known to do the same everywhere says so at its end, `# pbft: fine, REASON`, and is passed over.
"""

from __future__ import annotations

from pbft.conformance.source.remarks import SourceRule, SourceWarning
from pbft.conformance.source.scanning import scan

__all__ = ["SourceRule", "SourceWarning", "scan"]
