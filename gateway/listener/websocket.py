"""MQTT in WebSocket messages (MQTT 5 §6, RFC 6455), between a socket or TLS and the connection.

The protocol itself is that of the package `websockets`, without its I/O. Binary frames are a stream of bytes: what is
above sees neither their ends nor fragments [MQTT-6.0.0-2]. There is no compression. Before the upgrade a client may
send MAX_HEAD_BYTES of HTTP; what is no WebSocket request gets an answer that a person can read.
"""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Origin, Subprotocol

from bridge.listening import own_names
from config.settings import Listener
from gateway.access.ports import Credentials, Granted
from gateway.listener.door import Door
from gateway.listener.layer import Above, Layer
from gateway.listener.origins import is_own_page

if TYPE_CHECKING:
    from gateway.listener.connection import Connection

MAX_HEAD_BYTES: Final = 16 * 1024
FRAME_SLACK_BYTES: Final = 64 * 1024
"""A message may be so much longer than the largest packet: it may hold several."""
MAX_FRAMES_AT_ONCE: Final = 256
"""Of a read; then the other connections have their turn."""

NO_UPGRADE: Final = "websocket_handshake"
BROKEN: Final = "websocket"
"""Why connections end, in the counters."""

_HANDSHAKE: Final = ("Connection", "Upgrade", "Origin", "Sec-WebSocket-Key", "Sec-WebSocket-Version",
                     "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions")  # fmt: skip
"""What the package reads of a request; it fails over values that are not ASCII, in place of refusing them."""
_HEAD_END: Final = b"\r\n\r\n"
_GET: Final = b"GET "
_SUBPROTOCOLS: Final = (Subprotocol("mqtt"), Subprotocol("mqttv3.1"))
"""[MQTT-6.0.0-4]; the second is what 3.1 clients ask for."""

_MAX_SIZE: Final = "max_message_size" if hasattr(ServerProtocol(), "max_message_size") else "max_size"
"""What the bound for a message is called since version 16 of the package, and what it was before."""

_quiet = logging.getLogger(f"{__name__}.protocol")
_quiet.setLevel(logging.ERROR)


class WebSocketLayer(Layer):
    """One connection's WebSocket, as the server."""

    def __init__(self, above: Above, connection: Connection, door: Door, *, settings: Listener) -> None:
        super().__init__(above, connection, door)
        self._settings = settings
        origins: list[Origin | None] = [Origin(origin) for origin in settings.websocket_origins]
        self._protocol = ServerProtocol(
            # A client that is no web page names no origin.
            origins=[*origins, None] if origins else None,
            subprotocols=_SUBPROTOCOLS,
            logger=_quiet,
        )
        self._head = bytearray()
        self._early_bytes = 0
        """What came before the client was let in."""
        self._has_ended = False

    # ---- for what is below ----------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Bytes of HTTP or of frames came."""
        if self._has_ended:
            return
        if not self._connection.is_let_in:
            self._early_bytes += len(data)
            if self._early_bytes > MAX_HEAD_BYTES + FRAME_SLACK_BYTES + self._settings.max_connect_size_bytes:
                self._end(f"It sent {self._early_bytes} bytes, and no CONNECT that lets it in was among them.")
                return
        if self._protocol.state is State.CONNECTING:
            data = self._upgrade(data)
        if data:
            self._take_frames(data)

    def _upgrade(self, data: bytes) -> bytes:
        """Collect the request and answer it; returns what came behind it."""
        head = self._head
        head += data
        end = head.find(_HEAD_END)
        if head[:4] != _GET[: len(head)]:
            self._answer(HTTPStatus.BAD_REQUEST, "This is a WebSocket address: it takes GET requests only.")
        elif end + len(_HEAD_END) > MAX_HEAD_BYTES or (end < 0 and len(head) > MAX_HEAD_BYTES):
            self._answer(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"A request may have {MAX_HEAD_BYTES} bytes of headers."
            )
        elif end >= 0:
            end += len(_HEAD_END)
            rest = bytes(head[end:])
            self._protocol.receive_data(bytes(head[:end]))
            head.clear()
            self._request()
            return rest if self._protocol.state is State.OPEN else b""
        self._door.partials.note(self, len(head))
        return b""

    def _request(self) -> None:
        protocol = self._protocol
        events = protocol.events_received()
        if not events or not isinstance(events[0], Request):
            self._answer(HTTPStatus.BAD_REQUEST, "This is no request of HTTP/1.1 that can be read.")
            return
        path = events[0].path.partition("?")[0]
        if path != self._settings.websocket_path:
            self._answer(
                HTTPStatus.NOT_FOUND, f"MQTT over WebSocket is at {self._settings.websocket_path}, and nothing else is."
            )
            return
        if not all(value.isascii() for name in _HANDSHAKE for value in events[0].headers.get_all(name)):
            self._answer(HTTPStatus.BAD_REQUEST, "A header of the upgrade holds bytes that are not ASCII.")
            return
        headers = events[0].headers
        if self._is_foreign(headers.get_all("Origin"), headers.get_all("Host")):
            self._answer(
                HTTPStatus.FORBIDDEN,
                "This page is of another host, and nobody proves here who he is: its origin has to be named in "
                "websocket_origins.",
            )
            return
        response = protocol.accept(events[0])
        protocol.send_response(response)
        if protocol.state is State.OPEN:
            self._send()
            return
        self._refuse(response.body.decode() if response.body else response.reason_phrase)

    def _is_foreign(self, origins: list[str], hosts: list[str]) -> bool:
        """Whether it is a page of somebody else's, which the browser alone would let in: without a password of the
        page's own, as nobody in particular or by the certificate that the browser shows for all pages."""
        if not origins or self._settings.websocket_origins or is_own_page(origins, hosts, own_names()):
            return False
        certified = self._connection.certificate_username
        credentials = Credentials(
            client_id=certified or "",
            certificate_username=certified,
            address=self._connection.origin.host,
            is_local=self._door.is_local,
        )
        return isinstance(self._door.entry.decide_now(credentials), Granted)

    def _answer(self, status: HTTPStatus, sentence: str) -> None:
        """Refuse the upgrade in words."""
        self._protocol.data_to_send()
        response = self._protocol.reject(status, sentence + "\n")
        self._put(response.serialize())
        self._refuse(sentence)

    def _refuse(self, sentence: str) -> None:
        self._send()
        self._has_ended = True
        self._connection.turn_away(NO_UPGRADE, f"It is no WebSocket client: {sentence.splitlines()[0]}")
        self._connection.close()

    def _take_frames(self, data: bytes) -> None:
        protocol = self._protocol
        settings = self._settings  # those of when it came: a lower limit holds for new connections
        is_let_in = self._connection.is_let_in
        packet_bytes = settings.max_packet_size_bytes if is_let_in else settings.max_connect_size_bytes
        setattr(protocol, _MAX_SIZE, FRAME_SLACK_BYTES + packet_bytes)
        protocol.receive_data(data)
        chunks: list[bytes] = []
        sentence = "" if protocol.parser_exc is None else f"Its WebSocket is broken: {protocol.parser_exc}."
        events = protocol.events_received()
        for event in events:
            if not isinstance(event, Frame):
                continue
            if event.opcode is Opcode.TEXT:  # [MQTT-6.0.0-1]
                sentence = "It sent a text message; MQTT packets come in binary ones."
                if not protocol.eof_sent:
                    protocol.fail(CloseCode.UNSUPPORTED_DATA, "MQTT comes in binary messages")
                break
            if event.opcode in {Opcode.BINARY, Opcode.CONT}:
                chunks.append(bytes(event.data))
        self._door.partials.note(self, len(protocol.reader.buffer))
        payload = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        if payload:
            self._above.data_received(payload)
        if sentence and not self._connection.has_ended:
            self._connection.turn_away(BROKEN, sentence)
        self._send()
        if len(events) > MAX_FRAMES_AT_ONCE:
            self._connection.take_turns()

    def _end(self, sentence: str) -> None:
        self._has_ended = True
        self._connection.turn_away(BROKEN, sentence)
        self._connection.close()

    def give_up(self) -> None:
        """There is no memory for the frame that is half here."""
        self._has_ended = True
        super().give_up()
        self._head.clear()
        self._protocol.reader.discard()

    # ---- for what is above ----------------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send it in one binary message [MQTT-6.0.0-1]."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_binary(bytes(data))
            self._send()

    def write_eof(self) -> None:
        """Begin the closing handshake, or end where there is none; the stream ends when the client has answered."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
            self._send()
        else:
            self._has_ended = True
            self._shut()

    def _send(self) -> None:
        """Send what the protocol has to say; at the end of it the connection ends."""
        parts = self._protocol.data_to_send()
        data = b"".join(parts)
        if data:
            self._put(data)
        if parts and not parts[-1]:
            if self._connection.has_ended:
                self._shut()
            else:
                self._connection.close()
