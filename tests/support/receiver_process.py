"""The receiver as a process of its own, to be killed: jsonl and sqlite sinks in one folder.

with ReceiverProcess(folder, broker_port, crash_at="receiver.before_sink_commit:2") as process:
    process.wait_ready(); process.status(); process.terminate()
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

TIMEOUT_S = 60.0


class ReceiverProcess:
    """One life of the receiver."""

    def __init__(self, folder: Path, broker_port: int, *, crash_at: str | None = None) -> None:
        environment = {key: value for key, value in os.environ.items() if key != "FIELDGATE_CRASH_AT"}
        if crash_at is not None:
            environment["FIELDGATE_CRASH_AT"] = crash_at
        self._errors = (folder / "receiver.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.support.receiver_process", str(folder), str(broker_port)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=Path(__file__).parents[2],
            text=True,
        )
        self._address = ""

    def wait_ready(self) -> bool:
        """Return when its HTTP interface listens: True, or False when it died before."""
        assert self._process.stdout is not None
        self._address = self._process.stdout.readline().strip()
        return bool(self._address)

    @property
    def address(self) -> str:
        """Where its HTTP interface listens, once it is ready."""
        return self._address

    def get(self, path: str) -> Any:
        """What the HTTP interface answers."""
        with urllib.request.urlopen(f"http://{self._address}{path}", timeout=TIMEOUT_S) as answer:
            return json.load(answer)

    @property
    def is_running(self) -> bool:
        """Whether it is alive."""
        return self._process.poll() is None

    def wait(self) -> int:
        """Wait for its end; returns the exit code."""
        return self._process.wait(TIMEOUT_S)

    def terminate(self) -> int:
        """SIGTERM, and wait; returns the exit code."""
        return self.send_signal(signal.SIGTERM)

    def send_signal(self, number: signal.Signals) -> int:
        """Send it, and wait; returns the exit code."""
        self._process.send_signal(number)
        return self.wait()

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._errors.close()


def main(folder: Path, broker_port: int) -> None:
    """The process itself."""
    from bridge.receiver.app import run_receiver
    from config.settings import (
        Address,
        Api,
        BrokerUrl,
        JsonLinesSink,
        ReceiverIdentity,
        ReceiverSettings,
        Retry,
        SqliteSink,
    )

    logging.basicConfig(level=logging.INFO)
    settings = ReceiverSettings(
        receiver=ReceiverIdentity(
            url=BrokerUrl(port=broker_port), state=folder / "receiver.db", retry=Retry(first_s=0.02, max_s=0.2)
        ),
        api=Api(bind=Address(host="127.0.0.1", port=0)),
        sinks=(JsonLinesSink(path=folder / "received.jsonl"), SqliteSink(path=folder / "received.db")),
    )
    asyncio.run(run_receiver(settings, on_ready=lambda address: print(address, flush=True)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
