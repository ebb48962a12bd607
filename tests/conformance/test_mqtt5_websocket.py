"""MQTT 5 §6: MQTT in WebSocket messages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_websocket
from websockets.typing import Subprotocol

from tests.support.gateway_thread import GatewayThread
from tests.support.mqtt5_peer import connect, publish, subscribe

WITHIN_S = 30.0


@pytest.fixture
def socket(gateway: GatewayThread) -> Iterator[ClientConnection]:
    with open_websocket(
        f"ws://127.0.0.1:{gateway.ports['websocket']}/mqtt", subprotocols=[Subprotocol("mqtt")], close_timeout=2
    ) as made:
        yield made


def read(socket: ClientConnection, size: int) -> bytes:
    data = b""
    while len(data) < size:
        message = socket.recv(timeout=WITHIN_S)
        assert isinstance(message, bytes)
        data += message
    return data


@pytest.mark.mqtt5("6.0.0-4")
def test_the_subprotocol_is_mqtt(socket: ClientConnection) -> None:
    assert socket.subprotocol == "mqtt"


@pytest.mark.mqtt5("6.0.0-4")
def test_a_client_that_does_not_offer_mqtt_is_not_answered_with_another(gateway: GatewayThread) -> None:
    url = f"ws://127.0.0.1:{gateway.ports['websocket']}/mqtt"
    try:
        with open_websocket(url, subprotocols=[Subprotocol("chat")], close_timeout=2) as made:
            assert made.subprotocol is None
    except InvalidHandshake:
        pass  # to refuse it is as good


@pytest.mark.mqtt5("6.0.0-1")
def test_binary_frames_carry_packets_and_are_answered_by_binary_frames(socket: ClientConnection, name: str) -> None:
    socket.send(connect(name))
    got = read(socket, 2)
    assert got[0] == 0x20


@pytest.mark.mqtt5("6.0.0-1")
@pytest.mark.parametrize("when", ["first", "later"])
def test_a_text_frame_closes_the_connection(socket: ClientConnection, name: str, when: str) -> None:
    if when == "later":
        socket.send(connect(name))
        read(socket, 2)
    socket.send("text")
    with pytest.raises(ConnectionClosed):
        read(socket, 10_000)  # what was said before it was closed is much less


@pytest.mark.mqtt5("6.0.0-2")
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_packets_and_frames_need_not_begin_together(socket: ClientConnection, name: str, size: int) -> None:
    data = connect(name) + subscribe([(name, 0)]) + publish(name, b"hello") + b"\xc0\x00"
    for at in range(0, len(data), size):
        socket.send(data[at : at + size])
    got = b""
    while not (b"hello" in got and b"\xd0\x00" in got):
        got += read(socket, 1)
    assert got[0] == 0x20
