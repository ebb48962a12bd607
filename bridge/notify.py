"""Telling systemd how the program stands (sd_notify, the watchdog), where it asks for it; else nothing happens.

The watchdog is fed while the event loop turns and the store makes progress, and starved when one of them stands still:
systemd then restarts the program, which loses nothing that was acknowledged. Neither a full disk nor an absent cloud is
a reason: a commit that is refused has ended, too. `probe` asks the store to do nothing at all, and is awaited: a disk
that does not answer holds it up, like every commit.

    READY=1  RELOADING=1 + MONOTONIC_USEC  STOPPING=1  STATUS=…  WATCHDOG=1        sd_notify(3), sd_watchdog_enabled(3)
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final

STATUS_EVERY_S: Final = 30.0
MIN_INTERVAL_S: Final = 0.05
EXTEND_EVERY_S: Final = 20.0
MAX_STATUS_BYTES: Final = 400

Probe = Callable[[], Awaitable[None]]
Status = Callable[[], str]


class Notifier:
    """Sends datagrams to the socket of the service manager; one that is not there, or full, is no error of ours."""

    def __init__(self, address: str | None, *, watchdog_s: float | None = None) -> None:
        """`address`: a path, or a name that begins with `@` (abstract); None: nobody wants to know."""
        self._address = address
        self.watchdog_s = watchdog_s if address is not None else None
        """It has to be fed within so long; None: there is none."""

    @classmethod
    def of(cls, environ: Mapping[str, str], *, pid: int | None = None) -> Notifier:
        """As the service manager says in the environment."""
        address = environ.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):
            return cls(None)
        asked_of = environ.get("WATCHDOG_PID", "")
        usec = environ.get("WATCHDOG_USEC", "")
        is_ours = asked_of in {"", str(os.getpid() if pid is None else pid)}
        is_watched = is_ours and usec.isascii() and usec.isdecimal() and int(usec) > 0
        return cls(address, watchdog_s=int(usec) / 1e6 if is_watched else None)

    @property
    def is_wanted(self) -> bool:
        """Whether anybody listens."""
        return self._address is not None

    def ready(self, status: str = "") -> None:
        """The start, or a reload, is over."""
        self._send("READY=1", *_status(status))

    def reloading(self) -> None:
        """A reload begins; `ready` ends it. The time tells the manager which of its reloads is meant."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The program stops in order."""
        self._send("STOPPING=1", *_status("Stopping."))

    def status(self, sentence: str) -> None:
        """What `systemctl status` shows."""
        self._send(*_status(sentence))

    def extend(self, time_s: float) -> None:
        """The start needs more time: so much from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(time_s * 1e6)}")

    def feed(self) -> None:
        """Everything works."""
        self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if self._address is None or not lines:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        # Nobody there, or he does not read: nothing that we could do about it.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
        ):
            sock.setblocking(False)
            sock.sendto("\n".join(lines).encode(), address)


def _status(sentence: str) -> list[str]:
    """One line, whatever a device is called."""
    plain = "".join(one if one.isprintable() else " " for one in sentence)
    return [f"STATUS={plain.encode()[:MAX_STATUS_BYTES].decode(errors='ignore')}"] if plain else []


async def keep_telling(notifier: Notifier, *, probe: Probe, status: Status, every_s: float = STATUS_EVERY_S) -> None:
    """Feed the watchdog at half of its time, after each probe that ended, and tell the status; until cancelled.

    Whatever the probe raises ends this, and with it the program: the store has failed.
    """
    if not notifier.is_wanted:
        await asyncio.Event().wait()
    watchdog_s = notifier.watchdog_s
    interval_s = every_s if watchdog_s is None else max(MIN_INTERVAL_S, min(every_s, watchdog_s / 2))
    loop = asyncio.get_running_loop()
    told_at_s = loop.time() - every_s
    while True:
        due_s = loop.time() + interval_s
        if watchdog_s is not None:
            await probe()
            notifier.feed()
        if loop.time() - told_at_s >= every_s:
            told_at_s = loop.time()
            notifier.status(status())
        await asyncio.sleep(max(0.0, due_s - loop.time()))


@contextlib.asynccontextmanager
async def waiting(notifier: Notifier, *, every_s: float = EXTEND_EVERY_S) -> AsyncIterator[None]:
    """Around a start that may be long: ask the service manager for more time, again and again.

    The watchdog is fed, too: a gateway that finds its database damaged starts over while it is being watched.
    """
    interval_s = every_s if notifier.watchdog_s is None else max(MIN_INTERVAL_S, min(every_s, notifier.watchdog_s / 2))

    async def ask() -> None:
        while True:
            notifier.extend(3 * every_s)
            if notifier.watchdog_s is not None:
                notifier.feed()
            await asyncio.sleep(interval_s)

    asking = asyncio.create_task(ask())
    try:
        yield
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
