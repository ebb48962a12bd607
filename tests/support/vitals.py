"""What a process takes of the machine: memory, file descriptors, processor time (Linux)."""

from __future__ import annotations

import os
from pathlib import Path

MB = 1024 * 1024


def rss_bytes(pid: int) -> int:
    """The memory it holds now (resident set)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)


def descriptors(pid: int) -> list[str]:
    """What its open file descriptors stand for."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(str(link.readlink()))
        except FileNotFoundError:  # closed since it was listed
            continue
    return sorted(found)


def cpu_s(pid: int) -> float:
    """The processor time it has used, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
