"""One connection of a client, for a command that waits: paho-mqtt's thread reads, the command's own waits.

Nothing is repeated: when the connection ends, the command says so and ends. Of what is received at most `QUEUE_SIZE`
messages wait for the command; then paho's thread waits, and with it the sender.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from gateway.cli.mqtt import sentences, upgrade
from gateway.cli.mqtt.target import Target
from gateway.cli.outcome import Failed

if TYPE_CHECKING:
    from paho.mqtt import client as paho

    from gateway.cli.trust import ClientContext

QUEUE_SIZE: Final = 1000
CONNECT_TIMEOUT_S: Final = 10.0
_LOOK_EVERY_S: Final = 0.2
_OLD_PROTOCOL: Final = 0x84

Version = Literal["5", "3.1.1", "auto"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who connects, and how."""

    client_id: str = ""
    """Empty: the server gives one."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    version: Version = "auto"
    context: ClientContext | None = field(default=None, repr=False)


class Client:
    """`open`, then `publish` and `subscribe`, then `close`."""

    def __init__(self, target: Target, identity: Identity) -> None:
        self.target = target
        self.version: Literal["5", "3.1.1"] = "5"
        self.receive_maximum = 65535
        self.messages: queue.Queue[paho.MQTTMessage] = queue.Queue(QUEUE_SIZE)
        self._identity = identity
        self._client: paho.Client | None = None
        self._socket: socket.socket | None = None
        """The newest that paho made."""
        self._changed = threading.Condition()
        self._connack: int | None = None
        self._answers: dict[int, list[int]] = {}
        self._ended: str | None = None
        self._is_closing = threading.Event()

    def open(self) -> None:
        """Connect; with 3.1.1 where 5 is refused. Raises Failed with a sentence."""
        wanted = self._identity.version
        code = self._connect("3.1.1" if wanted == "3.1.1" else "5")
        if code == _OLD_PROTOCOL and wanted == "auto":
            self.close()
            code = self._connect("3.1.1")
        if code:
            self.close()
            raise Failed(sentences.of_connect(str(self.target), code))

    def publish(self, topic: str, payload: bytes, *, qos: int, retain: bool) -> int:
        """Send; returns the number to wait for. Raises Failed when the connection is gone."""
        assert self._client is not None  # noqa: S101 - only after `open`
        info = self._client.publish(topic, payload, qos, retain)
        if info.rc:
            raise Failed(self._lost())
        return info.mid

    def subscribe(self, topic_filter: str, *, qos: int, timeout_s: float) -> int:
        """The QoS granted. Raises Failed when it is refused."""
        assert self._client is not None  # noqa: S101 - only after `open`
        result, number = self._client.subscribe(topic_filter, qos)
        if result or number is None:
            raise Failed(self._lost())
        (code, *_) = self.wait(number, timeout_s) or [0x80]
        if code >= 0x80:
            raise Failed(f"{self.target} refused the subscription to {topic_filter}: {sentences.of_subscribe(code)}.")
        return code

    def wait(self, number: int, timeout_s: float) -> list[int]:
        """The reason codes of the answer to what was sent under that number. Raises Failed when none comes."""
        with self._changed:
            self._changed.wait_for(lambda: number in self._answers or self._ended is not None, timeout_s)
            if number in self._answers:
                return self._answers.pop(number)
        if self._ended is None:
            raise Failed(f"{self.target} did not answer within {timeout_s:g} s.")
        raise Failed(self._lost())

    def received(self) -> Iterator[paho.MQTTMessage]:
        """What comes, until the connection ends. Raises Failed then."""
        while True:
            try:
                yield self.messages.get(timeout=_LOOK_EVERY_S)
            except queue.Empty:
                if self._ended is not None and self.messages.empty():
                    raise Failed(self._lost()) from None

    def close(self) -> None:
        """DISCONNECT, and wait for paho's thread; idempotent."""
        client, self._client = self._client, None
        if client is None:
            return
        self._is_closing.set()
        client.disconnect()
        client.loop_stop()
        sock = client.socket()
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.close()

    def __enter__(self) -> Client:
        self.open()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    # ---- connecting -----------------------------------------------------------------------------------------------

    def _connect(self, version: Literal["5", "3.1.1"]) -> int:
        """The reason code of CONNACK."""
        from paho.mqtt import client as paho

        self.version, self._connack, self._ended = version, None, None
        self._is_closing.clear()
        client = self._client = self._made(version)
        target = self.target
        try:
            client.connect(str(target.socket) if target.socket is not None else target.host, target.port)
        except (OSError, ValueError) as error:
            self._client = None
            context = self._identity.context
            for left in (self._socket, context and context.wrapped):
                if left:
                    left.close()  # paho would leave it open
            if isinstance(error, paho.WebsocketConnectionError):
                raise Failed(upgrade.why_not(target, context, timeout_s=CONNECT_TIMEOUT_S)) from error
            raise Failed(sentences.unreachable(str(target), error)) from error
        client.loop_start()
        with self._changed:
            self._changed.wait_for(lambda: self._connack is not None or self._ended is not None, CONNECT_TIMEOUT_S)
            code, ended = self._answer()
        if code is None:
            self.close()
            said = f"ended the connection: {ended}" if ended else f"did not answer within {CONNECT_TIMEOUT_S:g} s"
            raise Failed(f"{target} {said}. Is that an MQTT listener? If it asks for TLS, write mqtts://.")
        return code

    def _answer(self) -> tuple[int | None, str | None]:
        """CONNACK's reason code, and how the connection ended; None for what did not happen."""
        return self._connack, self._ended

    def _made(self, version: Literal["5", "3.1.1"]) -> paho.Client:
        from paho.mqtt import client as paho
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

        import bridge.paho_client  # noqa: F401 - puts paho's table of reason codes right

        target, identity = self.target, self._identity
        transport: Literal["tcp", "websockets", "unix"] = "tcp"
        if target.websocket_path is not None:
            transport = "websockets"
        elif target.socket is not None:
            transport = "unix"
        if target.socket is not None and transport != "unix":
            raise Failed("WebSocket over a Unix socket can't be tried from here. Use another listener.")
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=identity.client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if version == "5" else MQTTProtocolVersion.MQTTv311,
            transport=transport,
            reconnect_on_failure=False,
        )
        make_socket = client._create_socket_connection

        def noted_socket() -> socket.socket:
            self._socket = make_socket()
            return self._socket

        client._create_socket_connection = noted_socket  # type: ignore[method-assign]  # it hands it to nobody
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(0)
        if target.websocket_path is not None:
            client.ws_set_options(target.websocket_path, upgrade.without_origin)
        if target.is_tls and identity.context is not None:
            client.tls_set_context(identity.context)
        if identity.username is not None:
            client.username_pw_set(identity.username, identity.password)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _lost(self) -> str:
        return f"The connection to {self.target} ended: {self._ended or 'nobody said why'}."

    # ---- paho's callbacks, on its thread --------------------------------------------------------------------------

    def _tell(self, change: Callable[[], None]) -> None:
        with self._changed:
            change()
            self._changed.notify_all()

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, properties: Any) -> None:
        self.receive_maximum = getattr(properties, "ReceiveMaximum", 65535)
        self._tell(lambda: setattr(self, "_connack", int(reason.value)))

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        code = int(reason.value)
        text = sentences.name(code) if code >= 0x80 else "the other side closed it"
        self._tell(lambda: setattr(self, "_ended", text))

    def _on_publish(self, _client: Any, _data: Any, number: int, reason: Any, _properties: Any) -> None:
        self._tell(lambda: self._answers.__setitem__(number, [int(reason.value)]))

    def _on_subscribe(self, _client: Any, _data: Any, number: int, reasons: Any, _properties: Any) -> None:
        self._tell(lambda: self._answers.__setitem__(number, [int(reason.value) for reason in reasons]))

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        while not self._is_closing.is_set():
            with contextlib.suppress(queue.Full):
                self.messages.put(message, timeout=_LOOK_EVERY_S)
                return
