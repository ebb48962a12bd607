"""What a disk can do: the bound of every durable acknowledgement."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path


def fsync_rate(folder: Path, *, duration_s: float = 2.0) -> tuple[float, float]:
    """How many fsyncs a second the disk does, one at a time behind a 4-KiB append, and the median's milliseconds."""
    times_s = []
    page = os.urandom(4096)
    with tempfile.NamedTemporaryFile(dir=folder, prefix="fieldgate-fsync-") as file:
        end_s = time.monotonic() + duration_s
        while (began_s := time.monotonic()) < end_s:
            os.write(file.fileno(), page)
            os.fsync(file.fileno())
            times_s.append(time.monotonic() - began_s)
    return len(times_s) / sum(times_s), 1000 * statistics.median(times_s)
