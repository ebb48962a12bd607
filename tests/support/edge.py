"""Gateway and receiver as real processes in one folder, to be killed and started again.

    async with Edge(tmp_path) as edge:                     # a Mosquitto as the cloud, receiver, gateway; all are ready
        await edge.gateway.kill()
        await edge.gateway.start(crash_at="gateway.after_commit:3")
        await edge.gateway.died()                          # at that point, by itself
        await edge.gateway.start()
        await edge.settled()                               # everything is where it belongs

Ports stay the same over restarts. When a test fails, the ends of both logs are added to its error.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import sqlite3
import sys
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bridge.crashpoints import VARIABLE
from simulators.units import Endpoint
from tests.support.mosquitto import Mosquitto
from tests.support.ports import steady_port

TIMEOUT_S = 60.0
LOOK_EVERY_S = 0.02
GRACE_S = 5.0
_ROOT = Path(__file__).parents[2]
_LOG_LINES = 25


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Look until the condition holds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(TIMEOUT_S):
            while not await condition():  # noqa: ASYNC110 - another process sets no event of ours
                await asyncio.sleep(LOOK_EVERY_S)
            return
    raise AssertionError(f"Within {TIMEOUT_S:g} s it did not come about that {what}.")


class Daemon:
    """One `fieldgate` command with its configuration; at most one life at a time."""

    def __init__(self, command: str, configuration: str, *, folder: Path, api_port: int) -> None:
        self.name = command
        self._file = folder / f"{command}.yaml"
        self._file.write_text(configuration)
        self._log = folder / f"{command}.log"
        self._folder = folder
        self._api_port = api_port
        self._process: asyncio.subprocess.Process | None = None
        self.lives = 0

    @property
    def is_running(self) -> bool:
        """Whether it is alive."""
        return self._process is not None and self._process.returncode is None

    async def start(self, *, crash_at: str | None = None) -> None:
        """Start it; returns when it is ready, or has died at `crash_at` before."""
        await self.launch(crash_at=crash_at)
        await self.ready()

    async def launch(self, *, crash_at: str | None = None) -> None:
        """Start it and do not wait."""
        assert not self.is_running, f"{self.name} runs already"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("FIELDGATE_")}
        environment["PYTHONPATH"] = str(_ROOT)
        if crash_at is not None:
            environment[VARIABLE] = crash_at
        self._may_die = crash_at is not None
        self.lives += 1
        with self._log.open("ab") as log:
            log.write(f"--- life {self.lives}, crash at {crash_at}\n".encode())
            log.flush()
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-W", "error", "-m", "gateway", self.name, "-c", str(self._file)),
                cwd=self._folder,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def ready(self) -> None:
        """Return when /readyz says so, or it has died and was meant to."""

        async def look() -> bool:
            if not self.is_running:
                assert self._may_die, f"{self.name} ended by itself"
                return True
            return await self._get("/readyz") is not None

        await until(look, f"{self.name} is ready")

    async def died(self) -> None:
        """Wait until it died of SIGKILL."""
        assert self._process is not None
        code = await asyncio.wait_for(self._process.wait(), TIMEOUT_S)
        assert code == -signal.SIGKILL, f"{self.name} ended with {code}, not of SIGKILL"

    async def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def terminate(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self._process is not None
        self._process.terminate()
        return await asyncio.wait_for(self._process.wait(), TIMEOUT_S)

    async def reload(self, configuration: str) -> None:
        """Have another configuration, and SIGHUP; returns when the log says what came of it."""
        assert self._process is not None
        self._file.write_text(configuration)
        before = self._told()
        self._process.send_signal(signal.SIGHUP)

        async def told() -> bool:
            assert self.is_running, f"{self.name} ended by itself"
            return self._told() > before

        await until(told, f"{self.name} has read its configuration again")

    def _told(self) -> int:
        text = self.log_text()
        return text.count("Reloaded (SIGHUP)") + text.count("Nothing was changed (SIGHUP)")

    @property
    def configuration(self) -> str:
        """What its file says."""
        return self._file.read_text()

    @property
    def file(self) -> Path:
        """Where its configuration is."""
        return self._file

    async def status(self) -> dict[str, Any] | None:
        """What it says about itself; None while it does not answer."""
        return await self._get("/api/v1/status")

    def log_end(self) -> str:
        """The last lines of its log."""
        with contextlib.suppress(OSError):
            lines = self.log_text().splitlines()[-_LOG_LINES:]
            return "".join(f"\n  {self.name} | {line}" for line in lines)
        return ""

    def log_text(self) -> str:
        """The whole log."""
        return self._log.read_text(errors="replace")

    async def _get(self, path: str) -> dict[str, Any] | None:
        return await asyncio.to_thread(_fetch, f"http://127.0.0.1:{self._api_port}{path}")


def _fetch(url: str) -> dict[str, Any] | None:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            body: dict[str, Any] = json.load(answer)
            return body
    except urllib.error.HTTPError as error:
        error.close()
        return None
    except (OSError, ValueError, http.client.HTTPException):  # not there yet, or killed within its answer
        return None


class Edge:
    """One gateway with the streams `alarms` and `telemetry`, the cloud's broker, and a receiver with a sqlite sink."""

    def __init__(
        self,
        folder: Path,
        *,
        gateway_crash_at: str | None = None,
        receiver_crash_at: str | None = None,
        cloud_is_up: bool = True,
        protocol: str = "5",
        grace_s: float = GRACE_S,
    ) -> None:
        """The points are those of the first lives; without `cloud_is_up`, `start_cloud` is yet to be called."""
        self.folder = folder
        self.received_db = folder / "received.db"
        self.devices = Endpoint(host="127.0.0.1", port=steady_port())
        self._cloud_is_up = cloud_is_up
        self._crash_at = (gateway_crash_at, receiver_crash_at)
        self.cloud = Mosquitto(folder, port=steady_port(), lines=["max_queued_messages 0"])
        cloud_url = f"mqtt://127.0.0.1:{self.cloud.port}"
        api, receiver_api = steady_port(), steady_port()
        self.api_url = f"http://127.0.0.1:{api}"
        self.gateway = Daemon(
            "run",
            f"""\
gateway: {{id: edge-01, data_dir: {folder / "data"}, grace_period: {grace_s:g}s}}
listeners:
  - {{name: local, transport: tcp, bind: "{self.devices}"}}
streams:
  - {{name: alarms, topics: ["alarms/#"]}}
  - {{name: telemetry, topics: ["#"]}}
uplinks:
  - name: cloud
    url: {cloud_url}
    protocol: "{protocol}"
    batch: {{max_records: 200, linger: 20ms}}
    window: 5
    retry: {{first: 20ms, max: 200ms}}
api: {{bind: "127.0.0.1:{api}"}}
""",
            folder=folder,
            api_port=api,
        )
        self.receiver = Daemon(
            "receive",
            f"""\
receiver: {{url: "{cloud_url}", state: {folder / "receiver.db"}, retry: {{first: 20ms, max: 200ms}}}}
api: {{bind: "127.0.0.1:{receiver_api}"}}
sinks:
  - {{type: sqlite, path: {self.received_db}}}
""",
            folder=folder,
            api_port=receiver_api,
        )

    async def start(self) -> None:
        """Start all of it, with nothing to carry yet."""
        gateway_crash_at, receiver_crash_at = self._crash_at
        await self.gateway.launch(crash_at=gateway_crash_at)
        if self._cloud_is_up:
            await self.start_cloud(crash_at=receiver_crash_at)
        await self.gateway.ready()

    async def start_cloud(self, *, crash_at: str | None = None) -> None:
        """Start the broker and the receiver, whose subscription has to be there before the first frame is."""
        await asyncio.to_thread(self.cloud.start)
        await self.receiver.start(crash_at=crash_at)

    async def gateway_status(self) -> dict[str, Any]:
        """The gateway's status, which must add up at any moment."""
        status = await self.gateway.status()
        assert status is not None, "the gateway does not answer"
        for name, stream in status["streams"].items():
            assert stream["records"] == stream["next_seq"] - stream["first_seq"], (name, stream)
            assert not any(stream["dropped"].values()), (name, stream)
            assert stream["accepted"] < stream["next_seq"], (name, stream)
        assert "recovery" not in status["spool"]
        assert status["uplinks"]["cloud"]["dead_letters"] == 0
        return status

    async def settled(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Wait until the spool is empty and the sink has everything; returns both statuses, looked through."""

        async def empty() -> bool:
            status = await self.gateway_status()
            return not any(stream["records"] for stream in status["streams"].values())

        await until(empty, "the spool is empty")
        gateway = await self.gateway_status()
        wanted = {name: stream["next_seq"] for name, stream in gateway["streams"].items() if stream["next_seq"] > 1}

        async def written() -> bool:
            status = await self.receiver.status()
            assert status is not None, "the receiver does not answer"
            lag = sum(sink["lag_records"] for sink in status["sinks"]) + status["waiting"]["frames"]
            return not lag and {lane["stream"]: lane["next_seq"] for lane in status["streams"]} == wanted

        await until(written, f"the receiver has everything up to {wanted}")
        receiver = await self.receiver.status()
        assert receiver is not None
        trouble = {key: receiver[key] for key in ("missing", "dropped", "epoch_changes", "gaps", "holes")}
        assert not any(trouble.values()), trouble
        assert receiver["set_aside"]["count"] == 0
        assert receiver["link"]["sessions_lost"] == 0
        assert {lane["stream"]: lane["records"] + 1 for lane in receiver["streams"]} == wanted
        return gateway, receiver

    def rows(self) -> list[tuple[str, str, int, str, str, int, bytes]]:
        """What the sink has: stream, epoch, seq, client, topic, QoS, payload; in each stream's order."""
        with contextlib.closing(sqlite3.connect(f"{self.received_db.as_uri()}?mode=ro", uri=True)) as database:
            return database.execute(
                "SELECT stream, epoch, seq, client, topic, qos, payload FROM record ORDER BY stream, epoch, seq"
            ).fetchall()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException as error:  # raised again: nothing that was started may stay
            await self._end(error)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end(error)

    async def _end(self, error: BaseException | None) -> None:
        if error is not None:
            error.add_note(f"The ends of the logs:{self.gateway.log_end()}{self.receiver.log_end()}")
        await self.gateway.kill()
        await self.receiver.kill()
        await asyncio.to_thread(self.cloud.kill)
