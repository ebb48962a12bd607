"""One device: a paho-mqtt client driven by the event loop, with a session that outlives its connections.

What paho-mqtt 2.x does on a reconnect, and what is made of it here:

- It repeats every unacknowledged publish after the CONNACK, in order and with DUP, without regard to its in-flight
  window. So the window is kept here: no more is handed to paho than may be in flight.
- A publish that is made between CONNECT and CONNACK goes out ahead of those older ones. So none is made then.
- For QoS 2 it repeats the PUBREL of what had its PUBREC, as it should; but it has no callback for a PUBREC, and takes
  one that refuses (MQTT 5, reason 0x80 and up) for one that accepts. So `PubrecClient` looks at it first.
- `reconnect()` resolves and connects in the calling thread. So it runs in a small pool that all devices share; all else
  runs on the event loop, and there is no thread for each client.
- With protocol 3.1.1 a first connect with clean session and a second one without begin a session that is empty and
  lasts; with 5 clean start on the first connect alone does it. A simulator that was killed remembers nothing, so an
  older session's packet identifiers must not be taken for this one's.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from simulators.device_seam import DeviceEvents, DeviceOptions, State
from simulators.profiles import Message
from simulators.pubrec_client import PubrecClient


@dataclass(slots=True)
class _InFlight:
    name: str
    since_s: float
    received: bool = False


class DeviceClient:
    """One device. All methods belong to the event loop; `close` ends it for good."""

    def __init__(self, client_id: str, options: DeviceOptions, events: DeviceEvents, pool: Executor) -> None:
        self.client_id = client_id
        self.state = State.AWAY
        self.last_error: str | None = None
        self._options = options
        self._events = events
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._in_flight: dict[int, _InFlight] = {}
        self._changed = asyncio.Event()
        self._writing = False
        self._closing = False
        self._away = False
        self._forgets = False
        self._session_lasts = self._lasts_at_once
        self._paho = self._new_client()
        self._keeper: asyncio.Task[None] | None = None

    @property
    def in_flight(self) -> int:
        """Publishes with QoS 1 or 2 that were not answered yet."""
        return len(self._in_flight)

    @property
    def room(self) -> int:
        """How many publishes it may be given now: nothing unless it is online and the socket takes what is written."""
        ready = self.state is State.ONLINE and self._session_lasts and not self._writing and not self._away
        return self._options.window - len(self._in_flight) if ready else 0

    def start(self) -> asyncio.Task[None]:
        """Connect, and connect again whenever the connection is lost; the task ends with `close`."""
        self._keeper = self._loop.create_task(self._keep_connected(), name=f"device {self.client_id}")
        return self._keeper

    def publish(self, message: Message, *, qos: int, name: str) -> bool:
        """Hand a message to the socket; False when it went nowhere and never will."""
        info = self._paho.publish(message.topic, message.payload, qos)
        if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            return False
        if qos:  # also when the socket failed at this very write: paho keeps the message and repeats it
            self._in_flight[info.mid] = _InFlight(name, time.monotonic())
        self._after_io()
        return bool(qos) or info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    def lose_network(self) -> None:
        """End the connection with no word, and stay away until `come_back`."""
        self._away = True
        if self._paho.socket() is not None and self.state is not State.AWAY:
            self._abort()
        self._changed.set()

    def lose_power(self) -> list[str]:
        """As `lose_network`, and forget what is in flight; returns the names of what nobody has answered for yet."""
        self.lose_network()
        self._forgets = True
        forgotten = [publish.name for publish in self._in_flight.values() if not publish.received]
        self._in_flight.clear()
        return forgotten

    def come_back(self) -> None:
        """Connect again, at once."""
        self._away = False
        self._changed.set()

    async def close(self) -> None:
        """DISCONNECT when possible, then end; idempotent."""
        self._closing = True
        self._changed.set()
        if self._keeper is not None:
            await asyncio.wait([self._keeper])

    # The connection's life.

    @property
    def _lasts_at_once(self) -> bool:
        """Whether no connection is needed that empties the session first."""
        return self._options.protocol == 5 or not self._options.session_expiry_s

    def _new_client(self) -> PubrecClient:
        five = self._options.protocol == 5
        client = PubrecClient(
            CallbackAPIVersion.VERSION2,
            client_id=self.client_id,
            clean_session=None if five else not (self._session_lasts and self._options.session_expiry_s),
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        properties = None
        if five:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = self._options.session_expiry_s
        client.connect_timeout = self._options.connect_timeout_s
        client.max_inflight_messages_set(0)  # the window is kept here
        to = self._options.to
        client.connect_async(to.host, to.port, self._options.keep_alive_s, properties=properties)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_socket_close = self._on_socket_close
        client.on_pubrec = self._on_pubrec
        return client

    async def _keep_connected(self) -> None:
        failures = 0
        try:
            while not self._closing:
                if self._away:
                    await self._wait(None, until=lambda: self._closing or not self._away)
                    failures = 0
                    continue
                if self._forgets:
                    self._forgets, self._session_lasts = False, self._lasts_at_once
                    self._paho = self._new_client()
                if await self._connect():
                    failures = 0
                    if not self._session_lasts:
                        self._hang_up()
                        self._session_lasts = True
                        self._paho = self._new_client()
                        continue
                    await self._stay()
                failures += 1
                limit_s = min(self._options.backoff_max_s, self._options.backoff_first_s * 2 ** min(failures - 1, 16))
                await self._wait(random.uniform(0.0, limit_s), until=lambda: self._closing or self._away)
        finally:
            self._hang_up()

    async def _connect(self) -> bool:
        """One attempt; True when the CONNACK accepted."""
        self.state = State.CONNECTING
        try:
            await self._loop.run_in_executor(self._pool, self._paho.reconnect)
        except OSError as error:
            self.last_error = f"{self._options.to} can't be reached: {error.strerror or error}"
            self.state = State.AWAY
            return False
        if self._away or self._forgets:  # it lost its network meanwhile
            self._abort()
            return False
        if (sock := self._paho.socket()) is not None:
            self._loop.add_reader(sock.fileno(), self._on_readable)
            self._after_io()
            await self._wait(self._options.connect_timeout_s, until=lambda: self.state is not State.CONNECTING)
        if self._is_online():
            return True
        if self.state is State.CONNECTING:
            self.last_error = f"{self._options.to} did not answer CONNECT within {self._options.connect_timeout_s:g} s"
        self._abort()
        return False

    async def _stay(self) -> None:
        """Until the connection is lost or `close` is called: the keep-alive, and the watch over late answers."""
        while self._is_online() and not self._closing:
            await self._wait(1.0, until=lambda: self._closing or not self._is_online())
            if self._is_online():
                self._paho.loop_misc()
                self._after_io()
            oldest = next(iter(self._in_flight.values()), None)
            if oldest and time.monotonic() - oldest.since_s > self._options.ack_timeout_s:
                self.last_error = f"{self._options.to} left a publish unanswered for {self._options.ack_timeout_s:g} s"
                self._abort()

    async def _wait(self, timeout_s: float | None, *, until: Callable[[], bool]) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not until():
                    self._changed.clear()
                    await self._changed.wait()

    def _is_online(self) -> bool:
        return self.state is State.ONLINE

    def _hang_up(self) -> None:
        """DISCONNECT, as far as the socket takes it."""
        if self._paho.socket() is not None:
            self._paho.disconnect()
            self._abort()

    def _abort(self) -> None:
        """End the connection with no word; what arrived before is still read."""
        for _ in range(1000):  # each turn reads on, to the end of what is there
            if (sock := self._paho.socket()) is None:
                break
            if isinstance(sock, socket.socket):
                with contextlib.suppress(OSError):  # not connected any more
                    sock.shutdown(socket.SHUT_RDWR)
            self._paho.loop_read()
        self.state = State.AWAY

    # What the event loop and paho call.

    def _on_readable(self) -> None:
        self._paho.loop_read()
        self._after_io()

    def _on_writable(self) -> None:
        self._paho.loop_write()
        self._after_io()

    def _after_io(self) -> None:
        """Ask the loop for a call when the socket can take more, or no longer."""
        sock = self._paho.socket()
        wanted = sock is not None and self._paho.want_write()
        if sock is not None and wanted != self._writing:
            if wanted:
                self._loop.add_writer(sock.fileno(), self._on_writable)
            else:
                self._loop.remove_writer(sock.fileno())
        self._writing = wanted

    def _on_socket_close(self, _client: Client, _userdata: Any, sock: Any) -> None:
        self._loop.remove_reader(sock.fileno())
        self._loop.remove_writer(sock.fileno())
        self._writing = False

    def _on_connect(
        self, _client: Client, _userdata: Any, flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        self._changed.set()
        if reason.is_failure:
            self.last_error = f"{self._options.to} refused the connection: {reason}"
            self.state = State.AWAY
            return
        self.state = State.ONLINE
        if self._session_lasts:
            now_s = time.monotonic()
            for publish in self._in_flight.values():
                publish.since_s = now_s
                if not publish.received:
                    self._events.on_resend(publish.name)
            self._events.on_online(flags.session_present)

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: Any,
        _flags: DisconnectFlags,
        _reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        was_online, self.state = self._is_online(), State.AWAY
        self._changed.set()
        if was_online and self._session_lasts:
            self._events.on_lost()

    def _on_publish(
        self, _client: Client, _userdata: Any, mid: int, reason: ReasonCode, _properties: Properties
    ) -> None:
        if publish := self._in_flight.pop(mid, None):
            if reason.is_failure:
                self._events.on_refused(publish.name, reason.value)
            else:
                self._events.on_acknowledged(publish.name)

    def _on_pubrec(self, mid: int, reason: int) -> None:
        publish = self._in_flight.get(mid)
        if publish and reason < 0x80 and not publish.received:
            publish.received = True
            self._events.on_received(publish.name)
