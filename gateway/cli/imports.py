"""Imports at the start of a long-running command."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Import without looking for garbage meanwhile, and never look through what was imported.

    Nothing of it is garbage, and to find that out again and again takes an eighth of a second of a start.
    """
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
