"""Give freed memory back to the system.

glibc's allocator learns from the first large buffer that is freed to keep such buffers for itself (the dynamic
threshold of mallopt(3)). A gateway reads, packs and compresses in buffers of a few hundred KiB all the time, and would
keep 80 MB of holes. Setting one of the thresholds by hand switches the learning off. Guarded by tests/bench (backlog).
"""

from __future__ import annotations

import ctypes
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_TRIM_FROM_BYTES: Final = 256 * 1024


def return_freed_memory() -> bool:
    """Tell glibc; call once, early. False on another C library, where there is nothing to tell."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_TRIM_THRESHOLD, _TRIM_FROM_BYTES))
