"""Processes to be measured: started with a log, watched, and stopped by their process id."""

from __future__ import annotations

import atexit
import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

_TAIL_BYTES = 2000


class ProcessFailed(Exception):
    """A process did not start, ended on its own, or did not become ready; the message has the end of its log."""


_held = contextlib.ExitStack()
atexit.register(_held.close)


def free_port() -> int:
    """A TCP port on 127.0.0.1 where nobody listens, held until this process ends.

    The system gives it to nobody who takes any, so that whoever is told it finds it free: a server binds it all the
    same, as long as nobody listens.
    """
    holder = _held.enter_context(socket.socket())
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    port: int = holder.getsockname()[1]
    return port


class Child:
    """One process; a context manager that ends it."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        name: str,
        log: Path,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        quiet: bool = False,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.name = name
        self._log = log
        with log.open("ab") as output:
            # The command is put together here from a program's path and options of our own, without a shell.
            self._process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL if quiet else output,
                stderr=output,
                cwd=cwd,
                pass_fds=pass_fds,
                env={**os.environ, **(environment or {})},
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def tail(self) -> str:
        """The end of its log."""
        with contextlib.suppress(OSError):
            return self._log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace").strip()
        return ""

    def check(self) -> None:
        """Raises ProcessFailed if it has ended on its own."""
        if not self.is_running:
            raise ProcessFailed(f"{self.name} ended with code {self._process.returncode}. Its log ends: {self.tail()}")

    def wait_until(self, condition: Callable[[], bool], *, timeout_s: float, what: str, poll_s: float = 0.01) -> None:
        """Return when the condition holds. Raises ProcessFailed when it doesn't in time, or the process ends."""
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            self.check()
            if time.monotonic() > deadline_s:
                raise ProcessFailed(f"{self.name}: {what} did not come about within {timeout_s:g} s. {self.tail()}")
            time.sleep(poll_s)

    def rss_bytes(self) -> int:
        """The memory it holds now (resident set), or 0 when it is gone."""
        return self._status_bytes("VmRSS:")

    def peak_rss_bytes(self) -> int:
        """The most it ever held, or 0 when it is gone."""
        return self._status_bytes("VmHWM:")

    def _status_bytes(self, key: str) -> int:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
                if line.startswith(key):
                    return int(line.split()[1]) * 1024
        return 0

    def cpu_s(self) -> float:
        """The processor time it has used, all threads, in seconds."""
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return 0.0

    def stop(self, *, grace_s: float = 15.0) -> None:
        """SIGTERM, and SIGKILL when it takes longer than the grace period; idempotent."""
        if self.is_running:
            self._process.terminate()
            try:
                self._process.wait(grace_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def accepts(port: int) -> bool:
    """Whether something on 127.0.0.1 accepts connections at this port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return True
    except OSError:
        return False
