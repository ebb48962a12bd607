"""The cloud's side of a measurement: a Mosquitto, and an eye on it that costs it nothing.

Everything a Mosquitto bridge forwards goes through one queue, in order. So the last message has arrived when one that
is published after it, on a topic of its own, arrives; the eye subscribes to that topic alone. How many arrived, and in
how many bytes, the cloud broker counts itself ($SYS), which shows that nothing was lost on the way.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from simulators.load.processes import ProcessFailed

SENTINEL = "bench/sentinel"
MESSAGES = "$SYS/broker/publish/messages/received"
BYTES = "$SYS/broker/bytes/received"
_SYS_INTERVAL_S = 1.0


class Eye:
    """Subscribed to the sentinel and to the cloud broker's own counters."""

    def __init__(self, port: int) -> None:
        self._changed = threading.Condition()
        self._sentinel_s: float | None = None
        self._counters: dict[str, int] = {}
        self._subscribed = False
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bench-eye")
        self._client.on_message = self._on_message
        self._client.on_subscribe = self._on_subscribe
        self._client.connect("127.0.0.1", port, keepalive=600)
        self._client.subscribe([(SENTINEL, 1), (MESSAGES, 0), (BYTES, 0)])
        self._client.loop_start()
        self._wait(lambda: self._subscribed, timeout_s=10, what="the subscription at the cloud broker")

    def _on_subscribe(self, *_: object) -> None:
        with self._changed:
            self._subscribed = True
            self._changed.notify_all()

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        with self._changed:
            if message.topic == SENTINEL:
                self._sentinel_s = time.monotonic()
            else:
                self._counters[message.topic] = int(message.payload)
            self._changed.notify_all()

    def _wait(self, condition: Callable[[], bool], *, timeout_s: float, what: str) -> None:
        with self._changed:
            if not self._changed.wait_for(condition, timeout_s):
                raise ProcessFailed(f"{what} did not come within {timeout_s:g} s.")

    def wait_for_bridge(
        self, edge_port: int, *, timeout_s: float = 20.0, username: str | None = None, password: str | None = None
    ) -> None:
        """Return when a message published at the edge comes out here: the bridge is up."""
        deadline_s = time.monotonic() + timeout_s
        while self._sentinel_s is None:
            publish_sentinel(edge_port, username=username, password=password)
            with self._changed:
                self._changed.wait_for(lambda: self._sentinel_s is not None, 0.5)
            if time.monotonic() > deadline_s:
                raise ProcessFailed(f"The bridge did not come up within {timeout_s:g} s.")
        # Those sent before it was up may still come: the counters settle before the measurement begins.
        self.settled_counters()
        self._sentinel_s = None

    def wait_for_sentinel(self, *, timeout_s: float) -> float:
        """When (`time.monotonic`) the sentinel arrived."""
        self._wait(lambda: self._sentinel_s is not None, timeout_s=timeout_s, what="the last message of the load")
        assert self._sentinel_s is not None
        return self._sentinel_s

    def settled_counters(self) -> tuple[int, int]:
        """Messages and bytes the cloud broker has received, read when they don't change any more."""
        deadline_s = time.monotonic() + 15
        with self._changed:
            # The broker publishes a counter only when it has changed, so silence for two intervals is the end.
            while self._changed.wait(2.2 * _SYS_INTERVAL_S) and time.monotonic() < deadline_s:
                pass
        return self._counters.get(MESSAGES, 0), self._counters.get(BYTES, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def publish_sentinel(port: int, *, username: str | None = None, password: str | None = None) -> None:
    """Publish the sentinel at a broker; returns when it is acknowledged."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="bench-sentinel")
    if username is not None:
        client.username_pw_set(username, password)
    client.connect("127.0.0.1", port, keepalive=60)
    client.loop_start()
    client.publish(SENTINEL, b"last", qos=1).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()
