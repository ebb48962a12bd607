"""The load generator's own encoder, against bytes written by hand from the specification."""

from __future__ import annotations

import pytest

from simulators.load.packets import (
    ConnAck,
    ProtocolViolation,
    decode_connack,
    decode_length,
    encode_connect,
    encode_length,
    encode_publish,
)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(0, b"\x00"), (127, b"\x7f"), (128, b"\x80\x01"), (16383, b"\xff\x7f"), (16384, b"\x80\x80\x01")],
)
def test_a_length_takes_as_few_bytes_as_it_can(value: int, encoded: bytes) -> None:
    assert encode_length(value) == encoded
    assert decode_length(b"x" + encoded, 1) == (value, 1 + len(encoded))
    assert decode_length(encoded[:-1], 0) is None


def test_a_length_of_more_than_four_bytes_is_a_violation() -> None:
    with pytest.raises(ProtocolViolation):
        decode_length(b"\xff\xff\xff\xff\x01", 0)


@pytest.mark.parametrize(
    ("version", "packet"),
    [
        (4, b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02c1"),
        (5, b"\x10\x0f\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x02c1"),
    ],
)
def test_connect_asks_for_a_clean_start(version: int, packet: bytes) -> None:
    assert encode_connect("c1", version=version, keep_alive_s=60) == packet


@pytest.mark.parametrize(
    ("qos", "version", "user_property", "packet"),
    [
        (0, 4, None, b"\x30\x06\x00\x03a/bP"),
        (1, 4, None, b"\x32\x08\x00\x03a/b\x01\x02P"),
        (2, 4, ("k", "v"), b"\x34\x08\x00\x03a/b\x01\x02P"),
        (1, 5, None, b"\x32\x09\x00\x03a/b\x01\x02\x00P"),
        (1, 5, ("k", "v"), b"\x32\x10\x00\x03a/b\x01\x02\x07\x26\x00\x01k\x00\x01vP"),
    ],
)
def test_publish_is_what_the_specification_says(
    qos: int, version: int, user_property: tuple[str, str] | None, packet: bytes
) -> None:
    built = encode_publish("a/b", b"P", qos=qos, packet_id=0x0102, version=version, user_property=user_property)
    assert built == packet


def test_a_connack_of_mqtt_5_tells_the_receive_maximum_among_other_properties() -> None:
    properties = b"\x26\x00\x01k\x00\x01v" + b"\x12\x00\x02id" + b"\x22\x00\x0a" + b"\x21\x00\x14" + b"\x2a\x01"
    packet = bytes((0x20, 3 + len(properties), 0, 0, len(properties))) + properties
    assert decode_connack(packet + b"more", version=5) == ConnAck(
        reason_code=0, receive_maximum=20, size_bytes=len(packet)
    )
    for end in range(len(packet)):
        assert decode_connack(packet[:end], version=5) is None


def test_a_connack_without_a_receive_maximum_leaves_it_at_its_default() -> None:
    assert decode_connack(b"\x20\x02\x00\x05", version=4) == ConnAck(reason_code=5, receive_maximum=65535, size_bytes=4)
    assert decode_connack(b"\x20\x03\x00\x00\x00", version=5) == ConnAck(
        reason_code=0, receive_maximum=65535, size_bytes=5
    )


@pytest.mark.parametrize("data", [b"\x40\x02\x00\x01", b"\x20\x01\x00", b"\x20\x04\x00\x00\x05\x21"])
def test_what_is_no_connack_is_a_violation(data: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        decode_connack(data, version=5)
