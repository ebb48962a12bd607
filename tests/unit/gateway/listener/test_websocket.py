"""MQTT over WebSocket: with the client of the package `websockets`, and with bytes cut anywhere."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import Any

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.typing import Origin, Subprotocol
from websockets.uri import parse_uri

from config.settings import Listener, Stream, Transport
from gateway.access.ports import Credentials, Refusal, Refused, Verdict
from gateway.broker.broker import Broker
from gateway.listener.connection import Connection
from gateway.listener.listener import MqttListener
from gateway.listener.origins import is_own_page
from gateway.listener.partials import Partials
from gateway.listener.peer import Peer
from gateway.listener.websocket import MAX_HEAD_BYTES, WebSocketLayer
from gateway.listener.wheel import Wheel
from tests.support.broker import FakeClock
from tests.support.doors import (
    ACCEPTED,
    CONNECT_5,
    CONNECT_311,
    PING,
    PONG,
    PUBACK,
    PUBLISH,
    Door,
    OpenEntry,
    exactly,
    hang_up,
    opened,
    rest,
    until,
)
from tests.support.examples import examples
from tests.support.store import FakeStore

MQTT = [Subprotocol("mqtt")]
UPGRADE = (
    b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
GOOD_UPGRADE = UPGRADE + b"Sec-WebSocket-Protocol: mqtt\r\n\r\n"


@contextlib.asynccontextmanager
async def client(door: Door, path: str = "/mqtt", **more: Any) -> AsyncIterator[ClientConnection]:
    more.setdefault("subprotocols", MQTT)
    async with connect(f"ws://127.0.0.1:{door.port}{path}", open_timeout=30, close_timeout=30, **more) as made:
        yield made


async def collected(made: ClientConnection, size: int) -> bytes:
    """As many bytes of MQTT as asked for, however they are cut into messages."""
    data = b""
    async with asyncio.timeout(30):
        while len(data) < size:
            message = await made.recv()
            assert isinstance(message, bytes)
            data += message
    return data


# ---- over sockets ---------------------------------------------------------------------------------------------------


async def _conversation() -> None:
    async with opened(transport=Transport.WS) as door, client(door) as made:
        assert made.subprotocol == "mqtt"
        assert "Sec-WebSocket-Extensions" not in (made.response.headers if made.response else {})
        await made.send([bytes([byte]) for byte in CONNECT_311])  # one message in fourteen fragments
        assert await collected(made, 4) == ACCEPTED
        await made.send(PUBLISH + PING + PING)  # several packets in one message
        received = await collected(made, 8)
        assert sorted(received[i : i + 2] for i in range(0, 8, 2)) == sorted([PONG, PONG, PUBACK[:2], PUBACK[2:]])
        for byte in PUBLISH:  # one packet in many messages
            await made.send(bytes([byte]))
        assert await collected(made, 4) == PUBACK
        await (await made.ping(b"are you there"))
        await made.send(b"\xe0\x00")
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(made.recv(), 5)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1000
        await until(lambda: door.listener.connections == 0)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_packets_and_messages_have_nothing_to_do_with_each_other(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_conversation())


async def test_what_3_1_clients_ask_for_is_answered_as_they_asked() -> None:
    async with opened(transport=Transport.WS) as door:
        async with client(door, subprotocols=["mqttv3.1"]) as made:
            assert made.subprotocol == "mqttv3.1"
        async with client(door, path="/mqtt?x=1", subprotocols=["other", "mqttv3.1", "mqtt"]) as made:
            assert made.subprotocol == "mqtt"


@pytest.mark.parametrize(
    ("path", "more", "status"),
    [
        ("/", {}, 404),
        ("/mqtt/more", {}, 404),
        ("/mqtt", {"subprotocols": None}, 400),
        ("/mqtt", {"subprotocols": ["amqp"]}, 400),
        ("/mqtt", {"origin": Origin("https://evil.example")}, 403),
        ("/mqtt", {"origin": Origin("https://plant.example.evil")}, 403),
    ],
)
async def test_an_upgrade_that_asks_for_something_else_is_refused(path: str, more: dict[str, Any], status: int) -> None:
    async with opened(transport=Transport.WS, websocket_origins=("https://plant.example",)) as door:
        with pytest.raises(InvalidStatus) as refused:
            async with client(door, path, **more):
                pass
        assert refused.value.response.status_code == status
        assert door.refused == {"websocket_handshake": 1}
        async with client(door, origin=Origin("https://plant.example")), client(door):
            pass


@pytest.mark.parametrize(
    ("request_bytes", "status", "words"),
    [
        (b"GET /mqtt HTTP/1.1\r\nHost: x\r\n\r\n", b"426", b"You need a WebSocket client"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"404", b"MQTT over WebSocket is at /mqtt"),
        (b"GET /mqtt HTTP/1.0\r\n\r\n", b"400", b"no request of HTTP/1.1"),
        (b"GET /mqtt HTTP/1.1\r\nno header\r\n\r\n", b"400", b"no request of HTTP/1.1"),
        (b"GET /mqtt HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", b"400", b"no request of HTTP/1.1"),
        (b"GET /mqtt HTTP/1.1\r\nx: " + b"y" * 9000 + b"\r\n\r\n", b"400", b"no request of HTTP/1.1"),
        (b"GET /mqtt HTTP/1.1\r\nx: " + b"y" * MAX_HEAD_BYTES, b"431", b"16384 bytes of headers"),
        (b"POST /mqtt HTTP/1.1\r\n", b"400", b"GET requests only"),
        (CONNECT_311, b"400", b"GET requests only"),
        (UPGRADE.replace(b"13", b"12") + b"\r\n", b"400", b"Sec-WebSocket-Version"),
        (UPGRADE.replace(b"dGhl", b"\xff\xfe\xc5\x80") + b"\r\n", b"400", b"not ASCII"),
        (UPGRADE.replace(b"Upgrade\r\n", b"\xff\r\n") + b"\r\n", b"400", b"not ASCII"),
    ],
)
async def test_what_is_no_websocket_client_gets_a_sentence_at_once(
    request_bytes: bytes, status: bytes, words: bytes
) -> None:
    async with opened(transport=Transport.WS) as door:
        reader, writer = await door.knock()
        writer.write(request_bytes)
        answer = await rest(reader)
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert words in answer
        assert door.refused == {"websocket_handshake": 1}
        await hang_up(writer)


async def test_the_time_for_connect_is_that_for_the_upgrade_too() -> None:
    async with opened(transport=Transport.WS, connect_timeout_s=0.1) as door:
        reader, writer = await door.knock()
        writer.write(GOOD_UPGRADE[:50])
        assert await rest(reader) == b""
        await hang_up(writer)
        async with client(door) as made:
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(made.recv(), 5)
        assert door.refused == {"connect_timeout": 2}


async def test_a_text_message_closes_the_connection_and_what_came_before_it_is_done() -> None:
    async with opened(transport=Transport.WS) as door, client(door) as made:
        await made.send(CONNECT_5 + PUBLISH.replace(b"\x06\x00\x01t\x00\x01", b"\x07\x00\x01t\x00\x01\x00"))
        await made.send("text")
        await asyncio.wait_for(made.wait_closed(), 5)
        assert made.close_code == 1003
        await until(lambda: len(door.store.stored) == 1)
        assert dict(door.broker.counters.disconnects) == {"websocket": 1}


def frame(opcode: Opcode, data: bytes, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\x82\x05abcde", 1002),  # not masked
        (b"\xc2" + frame(Opcode.BINARY, b"x")[1:], 1002),  # compressed, which nobody agreed upon
        (frame(Opcode.CONT, b"x"), 1002),
        (frame(Opcode.BINARY, b"", fin=False) + frame(Opcode.BINARY, b""), 1002),
        (b"\x83" + frame(Opcode.BINARY, b"x")[1:], 1002),  # an opcode that nobody knows
        (b"\x82\xff" + (2**62).to_bytes(8, "big"), 1009),
        (b"\x82\xff" + (200_000).to_bytes(8, "big"), 1009),  # more than is taken before CONNECT
        (b"\x89" + frame(Opcode.BINARY, bytes(126))[1:], 1002),  # a ping of 126 bytes
    ],
)
async def test_frames_that_break_the_protocol_close_the_connection_with_its_code(sent: bytes, code: int) -> None:
    async with opened(transport=Transport.WS) as door:
        reader, writer = await door.knock()
        writer.write(GOOD_UPGRADE)
        async with asyncio.timeout(30):
            head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101")
        writer.write(sent)
        answer = await rest(reader)
        assert answer[0] == 0x88
        assert int.from_bytes(answer[2:4], "big") == code
        assert door.refused == {"websocket": 1}
        await hang_up(writer)


async def test_the_closing_handshake_of_a_client_is_answered() -> None:
    async with opened(transport=Transport.WS) as door:
        async with client(door) as made:
            await made.send(CONNECT_311)
            await collected(made, 4)
            await made.close(4000, "bye")
            assert made.close_code == 4000
        await until(lambda: door.listener.connections == 0)
        assert door.broker.counters.connected_now == 0


async def test_a_client_that_does_not_answer_the_closing_handshake_is_not_waited_for_long() -> None:
    async with opened(transport=Transport.WS) as door:
        reader, writer = await door.knock()
        writer.write(GOOD_UPGRADE + frame(Opcode.BINARY, CONNECT_311 + b"\xe0\x00"))
        answer = await rest(reader)
        assert answer.endswith(b"\x88\x02\x03\xe8")
        await until(lambda: door.listener.connections == 0)
        await hang_up(writer)


async def test_a_frame_that_is_half_here_counts_among_half_received_packets() -> None:
    async with opened(transport=Transport.WS, partials=Partials(100_000)) as door:
        reader, writer = await door.knock()
        writer.write(GOOD_UPGRADE + frame(Opcode.BINARY, CONNECT_5))
        async with asyncio.timeout(30):
            await reader.readuntil(b"\r\n\r\n")
        assert (await exactly(reader, 3))[2] == 0x20
        writer.write(frame(Opcode.BINARY, bytes(150_000))[:-10])
        await rest(reader)
        assert dict(door.broker.counters.disconnects) == {"quota_exceeded": 1}
        await hang_up(writer)
        await until(lambda: door.listener.connections == 0)
        assert door.listener.partials.total_bytes == 0


# ---- bytes cut anywhere, without sockets ----------------------------------------------------------------------------


class Wire(asyncio.Transport):
    """The socket below: takes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.is_reading_now = True
        self.writes = 0
        self.written = bytearray()
        self.ended = ""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended
        self.written += data
        self.writes += 1

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return self.ended == "aborted"

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = "eof"

    def pause_reading(self) -> None:
        self.is_reading_now = False

    def resume_reading(self) -> None:
        self.is_reading_now = True

    def abort(self) -> None:
        self.ended = "aborted"


class Layered:
    """A WebSocket layer with its connection, and a client's protocol that reads what is written."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.store = FakeStore()
        broker = Broker(store=self.store, clock=FakeClock(), streams=(Stream(),), new_client_id=lambda: "auto")
        listener_settings = Listener(transport=Transport.WS)
        listener = MqttListener(listener_settings, broker, entry=OpenEntry())
        listener.wheel = Wheel(loop)
        connection = Connection(broker, listener, Peer("192.0.2.1", 5))
        self.broker = broker
        self.listener = listener
        self.connection = connection
        self.layer = WebSocketLayer(connection, connection, listener, settings=listener_settings)
        self.wire = Wire()
        self.layer.connection_made(self.wire)
        self.client = ClientProtocol(parse_uri("ws://x/mqtt"), subprotocols=MQTT, max_size=None)
        self.request = self.client.connect()
        self.client.send_request(self.request)

    def to_send(self) -> bytes:
        return b"".join(self.client.data_to_send())

    def take(self) -> bytes:
        """The MQTT bytes that the client has received."""
        if self.wire.written:
            self.client.receive_data(bytes(self.wire.written))
            self.wire.written.clear()
        assert self.client.handshake_exc is None
        return b"".join(
            bytes(event.data)
            for event in self.client.events_received()
            if isinstance(event, Frame) and event.opcode in {Opcode.BINARY, Opcode.CONT}
        )

    def end(self) -> None:
        self.layer.connection_lost(None)


MESSAGES = [CONNECT_311, PUBLISH, PUBLISH + PING, b"\x30\x83\x01\x00\x01t" + bytes(128), b"\xc0", b"\x00" + PING]


async def _through(cuts: list[int], fragments: list[int]) -> None:
    """The messages, cut into fragments here and in the stream there, with pings between them."""
    layered = Layered()
    layered.layer.data_received(layered.to_send())
    layered.take()
    stream = b"".join(MESSAGES)
    sent = bytearray()
    edges = sorted({0, len(stream), *(at % len(stream) for at in fragments)})
    for number, (start, end) in enumerate(pairwise(edges)):
        opcode = Opcode.CONT if number else Opcode.BINARY
        sent += frame(opcode, stream[start:end], fin=end == len(stream))
        if number % 2:
            sent += frame(Opcode.PING, b"!")
    places = sorted({0, len(sent), *(at % len(sent) for at in cuts)})
    for start, end in pairwise(places):
        layered.layer.data_received(bytes(sent[start:end]))
    await asyncio.sleep(0)
    layered.store.commit()
    await asyncio.sleep(0)
    received = layered.take()
    assert received.startswith(ACCEPTED)
    assert received.count(PONG) == 3
    assert len(layered.store.stored) == 3
    assert layered.wire.ended == ""
    layered.end()
    assert layered.broker.counters.connected_now == 0


@pytest.mark.parametrize("step", [1, 2, 3, 5, 1000])
async def test_a_stream_of_frames_may_be_cut_at_every_byte(step: int) -> None:
    await _through(list(range(0, 2000, step)), [])
    await _through(list(range(0, 2000, step)), list(range(0, 2000, 3)))


@given(st.lists(st.integers(0, 10_000), max_size=20), st.lists(st.integers(0, 10_000), max_size=20))
@settings(max_examples=examples(50), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_frames_fragments_and_packets_may_be_cut_anywhere(cuts: list[int], fragments: list[int]) -> None:
    asyncio.run(_through(cuts, fragments))


@given(st.lists(st.binary(max_size=60), max_size=8), st.booleans())
@settings(max_examples=examples(100), deadline=None)
def test_whatever_bytes_come_there_is_an_answer_or_silence_and_no_error(chunks: list[bytes], upgraded: bool) -> None:
    async def scenario() -> None:
        layered = Layered()
        if upgraded:
            layered.layer.data_received(layered.to_send())
        for chunk in chunks:
            if layered.wire.ended != "aborted":
                layered.layer.data_received(chunk)
        layered.end()

    asyncio.run(scenario())


async def test_a_packet_of_the_largest_size_fits_into_one_message() -> None:
    layered = Layered()
    layered.layer.data_received(GOOD_UPGRADE + frame(Opcode.BINARY, CONNECT_311))
    big = b"\x30\xfc\xff\x7f\x00\x01t" + bytes(2 * 1024 * 1024 - 7)
    layered.layer.data_received(frame(Opcode.BINARY, big))
    await asyncio.sleep(0)
    layered.store.commit()
    assert len(layered.store.stored) == 1
    layered.end()


async def test_frames_without_end_before_connect_are_ended() -> None:
    layered = Layered()
    layered.layer.data_received(GOOD_UPGRADE)
    sent_bytes = 0
    while not layered.connection.has_ended:
        layered.layer.data_received(frame(Opcode.BINARY, b"") * 1000)
        sent_bytes += 6000
        assert sent_bytes < 200_000
        await asyncio.sleep(0)
    assert layered.broker.counters.refused_connects == {"websocket": 1}
    layered.end()


async def test_the_answers_to_many_pings_leave_in_one_write_and_others_have_their_turn() -> None:
    layered = Layered()
    layered.layer.data_received(GOOD_UPGRADE + frame(Opcode.BINARY, CONNECT_311))
    layered.wire.writes = 0
    layered.layer.data_received(frame(Opcode.PING, b"") * 1000)
    assert layered.wire.writes == 1
    assert not layered.wire.is_reading_now
    await asyncio.sleep(0)
    assert layered.wire.is_reading_now
    layered.end()


async def test_a_request_that_is_half_here_counts_among_half_received_packets() -> None:
    layered = Layered()
    layered.layer.data_received(UPGRADE + b"X: " + b"x" * 5000)
    assert layered.listener.partials.total_bytes == len(UPGRADE) + 5003
    layered.layer.data_received(b"\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n" + frame(Opcode.BINARY, CONNECT_311))
    assert layered.listener.partials.total_bytes == 0
    layered.end()


async def test_every_cut_of_the_request_is_the_same_upgrade() -> None:
    for at in range(1, len(GOOD_UPGRADE)):
        layered = Layered()
        layered.layer.data_received(GOOD_UPGRADE[:at])
        assert not layered.wire.written
        layered.layer.data_received(GOOD_UPGRADE[at:] + frame(Opcode.BINARY, CONNECT_311))
        assert layered.wire.written.startswith(b"HTTP/1.1 101")
        assert layered.wire.written.endswith(b"\x82\x04" + ACCEPTED)
        layered.end()


async def test_clients_that_are_no_web_pages_need_no_origin() -> None:
    async with opened(transport=Transport.WS, websocket_origins=("https://plant.example",)) as door:
        with pytest.raises(InvalidHandshake):
            async with client(door, origin=Origin("null")):
                pass
        async with client(door) as made:
            await made.send(CONNECT_311)
            assert await collected(made, 4) == ACCEPTED


# ---- pages of somebody else's ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "host", "is_own"),
    [
        ("http://127.0.0.1:1880", "127.0.0.1:9001", True),
        ("http://localhost:1880", "127.0.0.1:9001", True),
        ("https://LOCALHOST", "[::1]:9001", True),
        ("http://127.0.0.2", "localhost", True),
        ("https://plant.example", "Plant.Example:8443", True),
        ("https://plant.example.", "plant.example", True),
        ("http://[2001:DB8::1]:80", "[2001:db8:0::1]:9001", True),
        ("https://evil.example", "127.0.0.1:9001", False),
        ("https://evil.example", "localhost", False),
        ("https://127.0.0.1.evil.example", "127.0.0.1", False),
        ("https://plant.example.evil", "plant.example", False),
        ("https://plant.example@evil.example", "plant.example", False),
        ("null", "127.0.0.1:9001", False),
        ("", "127.0.0.1:9001", False),
        ("file://", "127.0.0.1:9001", False),
        ("http://[::1", "[::1", False),
    ],
)
def test_a_page_is_the_doors_own_when_it_is_of_the_same_host(origin: str, host: str, is_own: bool) -> None:
    names = ("plant.example", "localhost.evil.example")
    assert is_own_page([origin], [host], names) is is_own
    assert not is_own_page([origin, "https://evil.example"], [host], names)
    assert not is_own_page([origin], [host, host], names)
    assert not is_own_page([origin], [], names)


@pytest.mark.parametrize("name", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "edge-01.evil"])
def test_a_page_whose_own_name_was_made_to_lead_here_is_somebody_elses(name: str) -> None:
    assert not is_own_page([f"http://{name}"], [f"{name}:9001"], ("edge-01", "edge-01.local"))


class Anonymous(OpenEntry):
    """Lets everybody in who says who he is, and others by the word `anonymous`."""

    def __init__(self, *, anonymous: bool) -> None:
        super().__init__()
        self._anonymous = anonymous

    def decide_now(self, credentials: Credentials) -> Verdict | None:
        if self._anonymous or credentials.username:
            return super().decide_now(credentials)
        return Refused(reason=Refusal.NOT_AUTHORIZED)


async def test_a_page_of_another_host_is_refused_where_nobody_has_to_prove_who_he_is() -> None:
    async with opened(transport=Transport.WS, entry=Anonymous(anonymous=True)) as door:
        with pytest.raises(InvalidStatus) as refused:
            async with client(door, origin=Origin("https://evil.example")):
                pass
        assert refused.value.response.status_code == 403
        assert b"page is of another host" in (refused.value.response.body or b"")
        assert door.refused == {"websocket_handshake": 1}
        for own in (None, Origin(f"http://localhost:{door.port}"), Origin("http://127.0.0.1:1880")):
            async with client(door, origin=own) as made:
                await made.send(CONNECT_311)
                assert await collected(made, 4) == ACCEPTED


async def test_a_page_whose_name_was_rebound_to_this_machine_is_refused_where_nobody_has_to_prove_who_he_is() -> None:
    async with opened(transport=Transport.WS, entry=Anonymous(anonymous=True)) as door:
        for name, expected in (("evil.example", b"403"), (socket.gethostname(), b"101"), ("127.0.0.1", b"101")):
            reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
            head = (
                f"GET /mqtt HTTP/1.1\r\nHost: {name}:{door.port}\r\nOrigin: http://{name}\r\n"
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
            )
            writer.write(head.encode())
            async with asyncio.timeout(10):
                assert (await reader.readline()).split()[1] == expected, name
            writer.close()
            await writer.wait_closed()


async def test_any_page_may_come_where_it_has_to_prove_who_it_is_or_is_named() -> None:
    evil = Origin("https://evil.example")
    async with opened(transport=Transport.WS, entry=Anonymous(anonymous=False)) as door, client(door, origin=evil):
        pass
    named = {"transport": Transport.WS, "websocket_origins": ("https://evil.example",)}
    async with opened(entry=Anonymous(anonymous=True), **named) as door, client(door, origin=evil):
        pass
