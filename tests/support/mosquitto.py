"""A real Mosquitto broker for a test: its own port, folder and process, gone when the test is.

    async with Mosquitto(tmp_path) as broker:
        ... connect to 127.0.0.1:broker.port
        broker.kill()                          # SIGKILL, as a power cut would
        broker.restart(keep_state=False)       # the same port, nothing remembered

Works with `with` as well as with `async with`. `lines` are put into its configuration file as they are, for instance
`["max_packet_size 4096"]`. With `persistence=True` it keeps sessions and queued messages over a `restart()`.
"""

from __future__ import annotations

import contextlib
import getpass
import shutil
import signal
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import pytest

from tests.support.ports import steady_port

START_TIMEOUT_S = 30.0


def free_port() -> int:
    """A TCP port on 127.0.0.1 where nobody listens, and that nobody else is given."""
    return steady_port()


def executable() -> str | None:
    """Where mosquitto is, if it is anywhere: Debian puts it into /usr/sbin."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


class Mosquitto:
    """One broker process on one port."""

    def __init__(
        self, folder: Path, *, persistence: bool = False, lines: Sequence[str] = (), port: int | None = None
    ) -> None:
        program = executable()
        if program is None:
            pytest.skip("mosquitto is not installed")
        self._program: str = program
        self._folder = folder / f"mosquitto-{id(self):x}"
        self._folder.mkdir(parents=True)
        self._persistence = persistence
        self._lines = tuple(lines)
        self._fixed_port = port is not None
        self.port = port if port is not None else 0
        self.log: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        """Start it and return when it listens."""
        for attempt in range(5):
            if not self.port:
                self.port = free_port()
            if self._start_once():
                return
            if self._fixed_port or attempt == 4:
                break
            self.port = 0  # another process took the port between our look and its bind
        raise RuntimeError("mosquitto did not start:\n" + "\n".join(self.log))

    def _start_once(self) -> bool:
        config = self._folder / "mosquitto.conf"
        lines = [
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            "log_dest stderr",
            "log_type all",
            f"user {getpass.getuser()}",
            f"persistence {'true' if self._persistence else 'false'}",
            f"persistence_location {self._folder}/",
            *self._lines,
        ]
        config.write_text("\n".join(lines) + "\n")
        self._process = subprocess.Popen(
            [self._program, "-c", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        settled = threading.Event()
        running: list[bool] = []
        self._reader = threading.Thread(target=self._read, args=(self._process.stderr, settled, running), daemon=True)
        self._reader.start()
        if not settled.wait(START_TIMEOUT_S) or not running:
            self._end(signal.SIGKILL)
            return False
        self._fixed_port = True
        return True

    def _read(self, stream: IO[str], settled: threading.Event, running: list[bool]) -> None:
        with stream:
            for line in stream:
                self.log.append(line.rstrip())
                if line.rstrip().endswith("running"):
                    running.append(True)
                    settled.set()
        settled.set()

    def _end(self, sign: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.send_signal(sign)
        try:
            process.wait(START_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._reader is not None:
            self._reader.join(START_TIMEOUT_S)

    def stop(self) -> None:
        """End it in good order (it writes its state first, with persistence)."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: nothing is written, every connection is cut."""
        self._end(signal.SIGKILL)

    def restart(self, *, keep_state: bool = True) -> None:
        """Stop and start on the same port; without `keep_state` its database is thrown away first."""
        self.stop()
        if not keep_state:
            for database in self._folder.glob("*.db*"):
                database.unlink()
        self.start()

    def reload(self) -> None:
        """Have it read its access list again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def freeze(self) -> None:
        """Stop the process without closing a socket: the silent kind of outage."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen broker run on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
