"""A broker that we did not write, as a process of its own: up when its log says so, gone when the test is."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, ClassVar, Self

LOG_LINES = 10_000


class BrokerProcess(ABC):
    """Starts, dies and starts again on one port. Works with `with` as well as with `async with`."""

    name: ClassVar[str]
    start_timeout_s: ClassVar[float] = 30.0

    def __init__(self, folder: Path, *, port: int) -> None:
        self.folder = folder / f"{self.name}-{id(self):x}"
        self.folder.mkdir(parents=True)
        self.port = port
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    @abstractmethod
    def start(self) -> None:
        """Start it and return when it listens."""

    @abstractmethod
    def listens(self, line: str) -> bool:
        """Whether this is the line of its log that says that it listens."""

    @abstractmethod
    def forget(self) -> None:
        """Throw away what it remembers; it does not run."""

    def stop(self) -> None:
        """End it in good order (it writes its state first, if it keeps any)."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: nothing is written, every connection is cut; of a frozen one, too, before it can answer anything."""
        self._end(signal.SIGKILL)

    def restart(self, *, keep_state: bool = True) -> None:
        """Stop and start on the same port; without `keep_state` what it remembers is thrown away first."""
        self.stop()
        if not keep_state:
            self.forget()
        self.start()

    def send_signal(self, sign: signal.Signals) -> None:
        """A signal to the running process."""
        assert self._process is not None
        self._process.send_signal(sign)

    def _launch(self, command: Sequence[str]) -> bool:
        """Whether it listens, in time; if not, the process is gone and its log tells why."""
        self._process = subprocess.Popen(
            command,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        assert self._process.stdout is not None
        settled = threading.Event()
        is_up: list[bool] = []
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout, settled, is_up), daemon=True)
        self._reader.start()
        if settled.wait(self.start_timeout_s) and is_up:
            return True
        self.kill()
        return False

    def _read(self, stream: IO[str], settled: threading.Event, is_up: list[bool]) -> None:
        with stream:
            for line in stream:
                self.log.append(line.rstrip())
                if self.listens(line.rstrip()):
                    is_up.append(True)
                    settled.set()
        settled.set()

    def _end(self, sign: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(sign)
            process.send_signal(signal.SIGCONT)  # one that is frozen takes no other than SIGKILL
        try:
            process.wait(self.start_timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._reader is not None:
            self._reader.join(self.start_timeout_s)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)
