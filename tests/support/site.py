"""The gateway and the receiver as real processes, each with its own folder, configuration, free ports and log.

    gateway = GatewayProcess(tmp_path / "edge", cloud_port=broker.port, spool={"max_size": "2MiB"})
    await gateway.start()                  # returns when it is ready
    await gateway.until(lambda status: status["streams"]["telemetry"]["records"] == 0)
    gateway.kill(); await gateway.start()  # the same folder, the same ports

Sections given as keywords are laid over the defaults here (short pauses, small time-outs), so that an outage is noticed
within a second or two. Everything waits on what the processes say of themselves, with a time-out.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from simulators.units import Endpoint
from tests.support.ports import steady_port

TIMEOUT_S = 60.0
ANSWER_TIMEOUT_S = 20.0
POLL_S = 0.03
_ROOT = Path(__file__).parents[2]

Status = dict[str, Any]


async def until(condition: Callable[[], bool], what: str, timeout_s: float = TIMEOUT_S) -> None:
    """Return when `condition` holds; fails with `what` when it does not within the time."""
    try:
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110 - files and other processes tell of no event
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise AssertionError(f"It did not happen within {timeout_s:g} s: {what}.") from None


class CommandProcess:
    """One command of Fieldgate with its configuration file; `start` and `kill` as often as wanted."""

    command = ""

    def __init__(self, folder: Path, configuration: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.configuration = configuration
        self.log_path = folder / f"{self.command}.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def config_path(self) -> Path:
        """The configuration file; written anew at every start."""
        return self.folder / f"{self.command}.yaml"

    @property
    def log(self) -> str:
        """All that it wrote on standard output and error, over all its lives."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self.process is not None and self.process.poll() is None

    def launch(self) -> subprocess.Popen[bytes]:
        """Start the process and return at once."""
        assert not self.is_running
        self.config_path.write_text(yaml.safe_dump(self.configuration, sort_keys=False))
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway", self.command, "-c", str(self.config_path)],
                cwd=_ROOT,
                env={**os.environ, "PYTHONWARNINGS": "error", "COLUMNS": "200"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self.process

    async def start(self) -> None:
        """Start and return when it is ready."""
        self.launch()
        await self.until_ready()

    async def until_ready(self) -> None:
        """Return when it is ready."""

        def is_ready() -> bool:
            assert self.is_running, f"{self.command} has ended:\n{self.log}"
            return self._is_ready()

        try:
            await until(is_ready, f"{self.command} is ready")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log}") from None

    def _is_ready(self) -> bool:
        raise NotImplementedError

    @property
    def api_port(self) -> int:
        """The port of its HTTP interface."""
        return int(str(self.configuration["api"]["bind"]).rpartition(":")[2])

    def get(self, path: str) -> tuple[int, Any]:
        """Status code and body of an HTTP answer. Raises OSError when there is none, or not all of it."""
        url = f"http://127.0.0.1:{self.api_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=ANSWER_TIMEOUT_S) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)
        except http.client.HTTPException as error:  # it went away within its answer
            raise ConnectionError(str(error)) from error

    def status(self) -> Status:
        """What `/api/v1/status` answers. Raises OSError when nobody answers."""
        status: Status = self.get("/api/v1/status")[1]
        return status

    async def until(self, condition: Callable[[Status], bool], what: str, timeout_s: float = TIMEOUT_S) -> Status:
        """The first status for which `condition` holds; the process may restart its HTTP interface meanwhile."""
        seen: list[Status] = [{}]

        def holds() -> bool:
            assert self.is_running, f"{self.command} has ended while we waited that {what}:\n{self.log}"
            try:
                seen[0] = self.status()
            except OSError:
                return False
            return condition(seen[0])

        try:
            await until(holds, what, timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\nlast status: {json.dumps(seen[0])}\n{self.log[-4000:]}") from None
        return seen[0]

    async def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()

    async def ended(self) -> int:
        """Wait for the end; returns the exit code."""
        process = self.process
        assert process is not None
        await until(lambda: process.poll() is not None, f"{self.command} ends")
        assert process.returncode is not None
        return process.returncode

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


class GatewayProcess(CommandProcess):
    """`run`: one listener, one stream, one uplink, unless `listeners`, `streams` or `uplinks` say otherwise."""

    command = "run"

    def __init__(self, folder: Path, *, cloud_port: int, uplink: dict[str, Any] | None = None, **sections: Any) -> None:
        self.data_dir = Path(sections.get("gateway", {}).get("data_dir", folder / "data"))
        road = {
            "name": "cloud",
            "url": f"mqtt://127.0.0.1:{cloud_port}",
            "batch": {"linger": "20ms"},
            "ack_timeout": "1500ms",
            "keep_alive": "1s",
            "retry": {"first": "50ms", "max": "300ms"},
            **(uplink or {}),
        }
        configuration = {
            "listeners": [{"name": "local", "bind": f"127.0.0.1:{steady_port()}"}],
            "uplinks": [road],
            "api": {"bind": f"127.0.0.1:{steady_port()}"},
            **sections,
            "gateway": {
                "id": "edge-01", "data_dir": str(self.data_dir), "grace_period": "2s", **sections.get("gateway", {}),
            },
        }  # fmt: skip
        super().__init__(folder, configuration)

    @property
    def port(self) -> int:
        """Where devices connect."""
        return int(str(self.configuration["listeners"][0]["bind"]).rpartition(":")[2])

    @property
    def endpoint(self) -> Endpoint:
        """The same, for the simulators."""
        return Endpoint(host="127.0.0.1", port=self.port)

    @property
    def database(self) -> Path:
        """The spool's file."""
        return self.data_dir / "spool.db"

    def _is_ready(self) -> bool:
        try:
            _, answer = self.get("/readyz")
        except OSError:
            return False
        return bool(answer)

    def stream(self, name: str = "telemetry") -> Status:
        """The status of one stream."""
        stream: Status = self.status()["streams"][name]
        return stream

    async def until_waiting(self, records: int) -> Status:
        """Return when at least so many records wait in the spool."""
        return await self.until(
            lambda status: _waiting(status) >= records, f"{records} records wait in the spool of the gateway"
        )

    async def until_drained(self) -> Status:
        """Return when nothing waits in the spool."""
        return await self.until(lambda status: _waiting(status) == 0, "the spool is empty")

    async def until_uplink(self, state: str) -> Status:
        """Return when the uplink is in that state."""
        return await self.until(lambda status: status["uplinks"]["cloud"]["state"] == state, f"the uplink is {state}")


def _waiting(status: Status) -> int:
    return sum(int(stream["records"]) for stream in status["streams"].values())


class ReceiverProcess(CommandProcess):
    """`receive`: a jsonl and a sqlite sink, unless `sinks` says otherwise."""

    command = "receive"

    def __init__(
        self, folder: Path, *, cloud_port: int, receiver: dict[str, Any] | None = None, **sections: Any
    ) -> None:
        self.json_lines = folder / "received.jsonl"
        self.database = folder / "received.db"
        configuration = {
            "receiver": {
                "url": f"mqtt://127.0.0.1:{cloud_port}",
                "state": str(folder / "receiver.db"),
                "keep_alive": "1s",
                "retry": {"first": "50ms", "max": "300ms"},
                **(receiver or {}),
            },
            "api": {"bind": f"127.0.0.1:{steady_port()}"},
            "sinks": [
                {"type": "jsonl", "path": str(self.json_lines)},
                {"type": "sqlite", "path": str(self.database)},
            ],
            **sections,
        }
        super().__init__(folder, configuration)

    def _is_ready(self) -> bool:
        """It serves; that its broker answers is another matter (`until_online`)."""
        try:
            self.get("/readyz")
        except OSError:
            return False
        return True

    async def until_online(self) -> None:
        """Return when it is subscribed."""
        await self.until(lambda status: status["link"]["state"] == "online", "the receiver is subscribed")

    async def until_received(self, records: int) -> Status:
        """Return when so many records, or more, arrived."""
        return await self.until(lambda status: status["records"] >= records, f"{records} records are received")

    async def until_settled(self) -> Status:
        """Return when every sink has everything that arrived."""
        return await self.until(
            lambda status: status["waiting"]["frames"] == 0 and all(not sink["lag_frames"] for sink in status["sinks"]),
            "every sink has everything",
        )

    def lines(self) -> list[dict[str, Any]]:
        """The records of the jsonl sink."""
        if not self.json_lines.exists():
            return []
        with self.json_lines.open("rb") as file:
            return [json.loads(line) for line in file if line.endswith(b"\n")]
