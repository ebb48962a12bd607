"""The receiver's metrics pushed by OpenTelemetry's protocol, while its settings name a collector."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from bridge import otel
from bridge.receiver.metrics import LASTING
from config.settings import Telemetry

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

SERVICE: Final = "fieldgate-receiver"


class Export:
    """`adopt` begins, changes and ends it; its task is one of `tasks`. After `close` it does nothing."""

    def __init__(
        self, tasks: asyncio.TaskGroup, registry: CollectorRegistry, *, receiver_id: str, started_ns: int
    ) -> None:
        """`started_ns`: since when what is not LASTING is counted, Unix time."""
        self._tasks = tasks
        self._registry = registry
        self._receiver_id = receiver_id
        self._started_ns = started_ns
        self._settings = Telemetry()
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False

    def adopt(self, settings: Telemetry) -> None:
        """Push as these settings say from now on."""
        if self._is_closed or settings == self._settings:
            return
        self._settings = settings
        self._end()
        if settings.url is not None:
            pusher = otel.Pusher(
                settings,
                self._registry,
                service=SERVICE,
                instance=self._receiver_id,
                started_ns=self._started_ns,
                lasting=LASTING,
            )
            self._task = self._tasks.create_task(pusher.run(), name="telemetry")

    def close(self) -> None:
        """End it for good; idempotent."""
        self._is_closed = True
        self._end()

    def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
