"""What Linux tells of itself under /proc, read from its text. Pure, but for `holders`."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path


def file_system(mountinfo: str, path: Path) -> tuple[str, str] | None:
    """(mount point, type) of the file system that `path` (resolved) is on; of /proc/self/mountinfo, proc(5)."""
    best: tuple[str, str] | None = None
    for line in mountinfo.splitlines():
        left, separator, right = line.partition(" - ")
        fields = left.split()
        if not separator or len(fields) < 5 or not right.split():
            continue
        point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[4])
        is_under = path == Path(point) or Path(point) in path.parents
        if is_under and (best is None or len(point) >= len(best[0])):
            best = point, right.split()[0]
    return best


def lock_holder(locks: str, device: int, inode: int) -> int | None:
    """The process that holds a flock on the file; of /proc/locks."""
    wanted = f"{os.major(device):02x}:{os.minor(device):02x}:{inode}"
    for line in locks.splitlines():
        fields = line.split()
        if len(fields) >= 6 and fields[1] == "FLOCK" and fields[5] == wanted and fields[4].isdigit():
            return int(fields[4])
    return None


def open_file_limit(limits: str) -> int | None:
    """The soft limit of open files; of /proc/PID/limits. None: unlimited, or not said."""
    found = re.search(r"^Max open files\s+(\d+)", limits, re.MULTILINE)
    return int(found[1]) if found else None


def available_bytes(meminfo: str) -> int | None:
    """MemAvailable of /proc/meminfo."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def listening_inodes(table: str, port: int) -> set[str]:
    """The inodes of sockets that listen on the port; of /proc/net/tcp and tcp6."""
    wanted, found = f"{port:04X}", set()
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == "0A" and fields[1].rpartition(":")[2] == wanted:
            found.add(fields[9])
    return found


def read(path: str) -> str:
    """A file's text; empty when it can't be read."""
    with contextlib.suppress(OSError):
        return Path(path).read_text(errors="replace")
    return ""


def holders(port: int) -> dict[int, str]:
    """The processes that listen on a TCP port, and their names, as far as this user may see them."""
    inodes = {
        f"socket:[{inode}]" for name in ("tcp", "tcp6") for inode in listening_inodes(read(f"/proc/net/{name}"), port)
    }
    found: dict[int, str] = {}
    for process in Path("/proc").iterdir() if inodes else ():
        if not process.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if str(descriptor.readlink()) in inodes:
                        found[int(process.name)] = read(f"{process}/comm").strip()
                        break
    return found
