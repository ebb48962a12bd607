"""A real Mosquitto broker for a test: its own port, folder and process, gone when the test is.

    async with Mosquitto(tmp_path) as broker:
        ... connect to 127.0.0.1:broker.port
        broker.kill()                          # SIGKILL, as a power cut would
        broker.restart(keep_state=False)       # the same port, nothing remembered

Works with `with` as well as with `async with`. `lines` are put into its configuration file as they are, for instance
`["max_packet_size 4096"]`. With `persistence=True` it keeps sessions and queued messages over a `restart()`.
"""

from __future__ import annotations

import getpass
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.broker_process import BrokerProcess
from tests.support.ports import steady_port


def executable() -> str | None:
    """Where mosquitto is, if it is anywhere: Debian puts it into /usr/sbin."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


class Mosquitto(BrokerProcess):
    """One broker process on one port."""

    name = "mosquitto"

    def __init__(
        self, folder: Path, *, persistence: bool = False, lines: Sequence[str] = (), port: int | None = None
    ) -> None:
        program = executable()
        if program is None:
            pytest.skip("mosquitto is not installed")
        super().__init__(folder, port=port or 0)
        self._program: str = program
        self._persistence = persistence
        self._lines = tuple(lines)
        self._fixed_port = port is not None

    def start(self) -> None:
        """Start it and return when it listens."""
        for attempt in range(5):
            if not self.port:
                self.port = steady_port()
            if self._launch([self._program, "-c", str(self._configured())]):
                self._fixed_port = True
                return
            if self._fixed_port or attempt == 4:
                break
            self.port = 0  # another process took the port between our look and its bind
        raise RuntimeError("mosquitto did not start:\n" + "\n".join(self.log))

    def _configured(self) -> Path:
        lines = [
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            "log_dest stderr",
            "log_type all",
            f"user {getpass.getuser()}",
            f"persistence {'true' if self._persistence else 'false'}",
            f"persistence_location {self.folder}/",
            *self._lines,
        ]
        config = self.folder / "mosquitto.conf"
        config.write_text("\n".join(lines) + "\n")
        return config

    def listens(self, line: str) -> bool:
        """See `BrokerProcess`."""
        return line.endswith("running")

    def forget(self) -> None:
        """Throw its database away."""
        for database in self.folder.glob("*.db*"):
            database.unlink()

    def reload(self) -> None:
        """Have it read its access list again."""
        self.send_signal(signal.SIGHUP)

    def freeze(self) -> None:
        """Stop the process without closing a socket: the silent kind of outage."""
        self.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen broker run on."""
        self.send_signal(signal.SIGCONT)
