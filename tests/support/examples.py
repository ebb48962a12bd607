"""How long the property tests search.

The quick suites give the same answer each time: hypothesis derives its examples from the test itself, so the gate does
not turn on luck. With PROPERTY_FACTOR=20 each property is tried with twenty times as many examples, and with other ones
at every run: that is `make test-properties`. What it finds is printed as an `@reproduce_failure`, and becomes a test of
its own.
"""

from __future__ import annotations

import os
from typing import Final

FACTOR: Final = int(os.environ.get("PROPERTY_FACTOR", "1"))
"""Above 1: so many times as many examples, and random ones."""
_USUAL: Final = 100


def examples(number: int = _USUAL) -> int:
    """How many examples a property is to be tried with, where `number` are enough for the quick suites."""
    return number * FACTOR
