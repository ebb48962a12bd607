"""The machine: its clock, how many files may be open, its memory."""

from __future__ import annotations

import ctypes
import datetime as dt
import resource
from typing import Final

from config.settings import MIB, GatewaySettings
from gateway.cli.doctor import proc
from gateway.cli.doctor.finding import Report
from gateway.cli.words import size
from gateway.words import count

BUILT: Final = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
"""No clock that is right shows an earlier time."""
LATEST: Final = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
SPARE_FILES: Final = 100
"""What the gateway has open besides connections."""
OWN_BYTES: Final = 128 * MIB
"""What it takes without any queue, roughly."""

_STA_UNSYNC: Final = 0x0040
_TIME_ERROR: Final = 5


class _Timex(ctypes.Structure):
    """`struct timex` of adjtimex(2), as far as it is read; with room for what follows."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 512),
    )


def check_clock(now: dt.datetime, *, is_synchronised: bool | None) -> Report:
    """The time, and whether somebody keeps it right; None: nobody knows."""
    report = Report("clock")
    if not BUILT <= now < LATEST:
        report.wrong(
            f"it shows {now:%Y-%m-%d %H:%M} UTC, which can't be",
            "Set it (timedatectl set-time), and have it kept right: systemctl enable --now systemd-timesyncd.",
        )
    elif is_synchronised is None:
        report.skipped(f"it shows {now:%Y-%m-%d %H:%M:%S} UTC; whether it is kept right is not told here")
    elif is_synchronised:
        report.ok(f"it shows {now:%Y-%m-%d %H:%M:%S} UTC and is kept right")
    else:
        report.warning(
            f"it shows {now:%Y-%m-%d %H:%M:%S} UTC, and nobody keeps it right",
            "Have it synchronised (systemctl enable --now systemd-timesyncd, or chrony): records carry its time.",
        )
    return report


def kernel_clock_is_synchronised() -> bool | None:
    """What adjtimex(2) says."""
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return None
    timex = _Timex()
    state = int(adjtimex(ctypes.byref(timex)))
    if state < 0:
        return None
    return state != _TIME_ERROR and not timex.status & _STA_UNSYNC


def check_limits(settings: GatewaySettings, gateway: int | None) -> Report:
    """File descriptors: of the gateway that runs, else of who asks."""
    report = Report("limits")
    limit = proc.open_file_limit(proc.read(f"/proc/{gateway}/limits")) if gateway is not None else None
    whose = "the gateway that runs"
    if limit is None:
        limit, whose = resource.getrlimit(resource.RLIMIT_NOFILE)[0], "this shell (a service has its own)"
    wanted = SPARE_FILES + min(
        settings.limits.max_connections, sum(listener.max_connections for listener in settings.listeners)
    )
    if limit in {resource.RLIM_INFINITY, -1} or limit >= wanted:
        report.ok(f"{whose} may have {count(limit)} files open; {count(wanted)} are needed at most")
    else:
        report.warning(
            f"{whose} may have {count(limit)} files open, and {count(wanted)} are needed for all connections",
            f"Write LimitNOFILE={wanted} into the unit (or ulimit -n), or set limits.max_connections lower.",
        )
    return report


def check_memory(settings: GatewaySettings, available_bytes: int | None) -> Report:
    """What queues may come to, against what the machine has."""
    report = Report("memory")
    wanted = OWN_BYTES + settings.sessions.max_total_queued_bytes + settings.retained.max_bytes
    if available_bytes is None:
        report.skipped("how much is available is not told here")
    elif available_bytes >= wanted:
        report.ok(f"{size(available_bytes)} are available; the gateway takes up to {size(wanted)}, roughly")
    else:
        report.warning(
            f"{size(available_bytes)} are available, and the gateway may take {size(wanted)}",
            "Set sessions.max_total_queued_bytes and retained.max_bytes lower.",
        )
    return report
