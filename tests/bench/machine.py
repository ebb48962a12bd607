"""What the machine is and what its disk can do."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

from simulators.load import mosquitto
from simulators.load.disk import fsync_rate


def describe(disk: Path) -> dict[str, str]:
    """The facts that a reader needs to judge the figures."""
    per_s, median_ms = fsync_rate(disk)
    return {
        "CPU": _cpu(),
        "Cores": str(os.cpu_count()),
        "Memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB",
        "Kernel": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "Event loop": _event_loop(),
        "Mosquitto": mosquitto.version(),
        "File system": _file_system(disk),
        "fsync": f"{per_s:,.0f}/s one after the other, each behind a write of 4 KiB (median {median_ms:.2f} ms)",
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _event_loop() -> str:
    try:
        return f"uvloop {importlib.metadata.version('uvloop')}"
    except importlib.metadata.PackageNotFoundError:
        return "asyncio"


def _file_system(disk: Path) -> str:
    done = subprocess.run(["df", "--output=fstype", str(disk)], capture_output=True, text=True, check=False)
    return done.stdout.split()[-1] if done.returncode == 0 and done.stdout.split() else sys.platform
