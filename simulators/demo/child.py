"""A process of the demo: started with its output in a file, watched, and ended on every way out."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import BinaryIO

from simulators.demo.errors import DemoFailed

GRACE_S = 12.0
_TAIL_LINES = 8


class Child:
    """One `fieldgate` command as a process of its own; it can be killed and started again."""

    def __init__(self, name: str, log: Path, *arguments: str) -> None:
        self.name = name
        self.log = log
        self._arguments = arguments
        self._process: asyncio.subprocess.Process | None = None
        self.end_expected = False
        """True once it was told to end."""

    @property
    def pid(self) -> int | None:
        """The process id, while it runs."""
        return None if self._process is None or self._process.returncode is not None else self._process.pid

    async def start(self) -> None:
        """Start it. Raises DemoFailed when the interpreter can't be started."""
        self.end_expected = False
        with _appending(self.log) as output:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "gateway",
                    *self._arguments,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env={**os.environ, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"},
                    process_group=0,  # Ctrl-C goes to the demo alone, which stops them in order
                )
            except OSError as error:
                raise DemoFailed(
                    f"The {self.name} can't be started with {sys.executable}: {error.strerror}."
                ) from error

    async def ended(self) -> int:
        """Wait for its end and return the exit code (negative: the signal)."""
        assert self._process is not None, "started before"  # noqa: S101 -- the order is the demo's own
        return await self._process.wait()

    async def kill(self) -> None:
        """SIGKILL, as a power cut would; returns when it is gone."""
        self.end_expected = True
        self._send(signal.SIGKILL)
        if self._process is not None:
            await self._process.wait()

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL when it takes too long; idempotent."""
        self.end_expected = True
        if self._process is None:
            return
        self._send(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), GRACE_S)
        except TimeoutError:
            await self.kill()
        finally:
            self._send(signal.SIGKILL)  # also when the wait itself was cancelled

    def failure(self, what: str) -> DemoFailed:
        """An error that names the log and quotes its end."""
        with contextlib.suppress(OSError):
            tail = self.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
            quoted = "".join(f"\n  | {line}" for line in tail)
            return DemoFailed(f"The {self.name} {what}. Its log is {self.log}; it ends with:{quoted}")
        return DemoFailed(f"The {self.name} {what}. Its log is {self.log}.")

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


def _appending(path: Path) -> BinaryIO:
    return path.open("ab")
