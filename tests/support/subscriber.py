"""A subscriber with paho-mqtt and a session that lasts, which keeps what it gets."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

TIMEOUT_S = 30.0


class Subscriber:
    """Subscribed to a filter with QoS 2; its thread runs as long as the `with` block."""

    def __init__(self, port: int, topic_filter: str = "#", client_id: str = "subscriber") -> None:
        self.messages: list[MQTTMessage] = []
        self._port = port
        self._filter = topic_filter
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=False)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        assert self._subscribed.wait(TIMEOUT_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: Client, _userdata: Any, _flags: Any, _reason: Any, _properties: Any) -> None:
        client.subscribe(self._filter, qos=2)

    def _on_subscribe(self, _client: Client, _userdata: Any, _mid: int, _reasons: Any, _properties: Any) -> None:
        self._subscribed.set()

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        self.messages.append(message)
