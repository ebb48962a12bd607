"""The server's packets, byte by byte, in each version."""

from __future__ import annotations

import pytest

from bridge.record import Properties
from gateway.mqtt import writer
from gateway.mqtt.packets import Version
from gateway.mqtt.properties import P
from gateway.mqtt.reason_codes import ReasonCode

V31, V311, V5 = Version.V31, Version.V311, Version.V5
IDS = [b"\x00\x01", b"\x01\x02"]


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (writer.connack(version=V31), b"\x20\x02\x00\x00"),
        (writer.connack(version=V31, session_present=True), b"\x20\x02\x00\x00"),
        (writer.connack(version=V311), b"\x20\x02\x00\x00"),
        (writer.connack(version=V311, session_present=True), b"\x20\x02\x01\x00"),
        (writer.connack(version=V311, session_present=True, reason_code=0x87), b"\x20\x02\x00\x05"),
        (writer.connack(version=V311, reason_code=0x84), b"\x20\x02\x00\x01"),
        (writer.connack(version=V311, reason_code=0x85), b"\x20\x02\x00\x02"),
        (writer.connack(version=V311, reason_code=0x89), b"\x20\x02\x00\x03"),
        (writer.connack(version=V311, reason_code=0x86), b"\x20\x02\x00\x04"),
        (writer.connack(version=V311, reason_code=0x81), b""),  # that version can only close
        (writer.connack(version=V5), b"\x20\x03\x00\x00\x00"),
        (writer.connack(version=V5, session_present=True), b"\x20\x03\x01\x00\x00"),
        (writer.connack(version=V5, reason_code=0x8C), b"\x20\x03\x00\x8c\x00"),
        (
            writer.connack(version=V5, properties={P.RECEIVE_MAXIMUM: 20, P.MAXIMUM_QOS: None, P.RETAIN_AVAILABLE: 1}),
            b"\x20\x08\x00\x00\x05\x21\x00\x14\x25\x01",
        ),
        (
            writer.connack(version=V5, reason_code=0x87, reason_string="no", user_property=(("k", "v"),)),
            b"\x20\x0f\x00\x87\x0c\x1f\x00\x02no\x26\x00\x01k\x00\x01v",
        ),
        (writer.PINGRESP, b"\xd0\x00"),
        (writer.pubacks([], version=V311), b""),
        (writer.pubacks(IDS, version=V311), b"\x40\x02\x00\x01\x40\x02\x01\x02"),
        (writer.pubacks(IDS, version=V5), b"\x40\x02\x00\x01\x40\x02\x01\x02"),
        (writer.pubacks(IDS, 0x97, version=V5), b"\x40\x03\x00\x01\x97\x40\x03\x01\x02\x97"),
        (writer.pubacks(IDS, 0x10, version=V5), b"\x40\x03\x00\x01\x10\x40\x03\x01\x02\x10"),
        (writer.pubacks(IDS, 0x10, version=V311), b"\x40\x02\x00\x01\x40\x02\x01\x02"),
        (writer.pubacks(IDS, 0x97, version=V311), b""),
        (writer.pubrecs(IDS[:1], version=V311), b"\x50\x02\x00\x01"),
        (writer.pubrecs(IDS[:1], 0x97, version=V5), b"\x50\x03\x00\x01\x97"),
        (writer.pubrecs(IDS[:1], 0x97, version=V31), b""),
        (writer.pubrels(IDS, version=V311), b"\x62\x02\x00\x01\x62\x02\x01\x02"),
        (writer.pubrel(258, version=V311), b"\x62\x02\x01\x02"),
        (writer.pubrel(258, 0x92, version=V5), b"\x62\x03\x01\x02\x92"),
        (writer.pubrel(258, 0x92, version=V311), b"\x62\x02\x01\x02"),
        (writer.pubcomps(IDS[:1], version=V5), b"\x70\x02\x00\x01"),
        (writer.pubcomps(IDS[:1], 0x92, version=V5), b"\x70\x03\x00\x01\x92"),
        (writer.pubcomps(IDS[:1], 0x92, version=V311), b"\x70\x02\x00\x01"),
        (writer.suback(10, [0, 1, 2, 0x8F], version=V311), b"\x90\x06\x00\x0a\x00\x01\x02\x80"),
        (writer.suback(10, [ReasonCode.GRANTED_QOS_1, 0x8F], version=V5), b"\x90\x05\x00\x0a\x00\x01\x8f"),
        (writer.suback(10, [0x87], version=V5, reason_string="no"), b"\x90\x09\x00\x0a\x05\x1f\x00\x02no\x87"),
        (writer.unsuback(10, [0, 0x11], version=V311), b"\xb0\x02\x00\x0a"),
        (writer.unsuback(10, [0, 0x11], version=V5), b"\xb0\x05\x00\x0a\x00\x00\x11"),
        (writer.disconnect(), b"\xe0\x00"),
        (writer.disconnect(0x8D), b"\xe0\x01\x8d"),
        (writer.disconnect(0x8D, reason_string="late"), b"\xe0\x09\x8d\x07\x1f\x00\x04late"),
        (writer.disconnect(0x9D, server_reference="b"), b"\xe0\x06\x9d\x04\x1c\x00\x01b"),
    ],
)
def test_an_answer_is_written_exactly(made: bytes, expected: bytes) -> None:
    assert made == expected


SET = Properties(
    payload_format_indicator=1,
    message_expiry_interval=60,
    content_type="t",
    response_topic="r",
    correlation_data=b"\xff",
    user_property=(("k", "v"), ("k", "w")),
)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (writer.publish("a/b", b"hi", version=V311), b"\x30\x07\x00\x03a/bhi"),
        (writer.publish(b"a/b", b"hi", version=V311, qos=0, packet_id=9), b"\x30\x07\x00\x03a/bhi"),
        (
            writer.publish("a/b", b"hi", version=V311, qos=1, retain=True, dup=True, packet_id=258),
            b"\x3b\x09\x00\x03a/b\x01\x02hi",
        ),
        (writer.publish("a", b"", version=V311, qos=2, packet_id=1, properties=SET), b"\x34\x05\x00\x01a\x00\x01"),
        (writer.publish("a", b"x", version=V5), b"\x30\x05\x00\x01a\x00x"),
        (
            writer.publish("a", b"x", version=V5, qos=1, packet_id=1, properties=SET),
            bytes.fromhex("3228 0001 61 0001 21 0101 02 0000003c 03 0001 74 08 0001 72 09 0001 ff")
            + bytes.fromhex("26 0001 6b 0001 76 26 0001 6b 0001 77 78"),
        ),
        (
            writer.publish("a", b"x", version=V5, subscription_identifiers=(5, 200)),
            b"\x30\x0a\x00\x01a\x05\x0b\x05\x0b\xc8\x01x",
        ),
        (writer.publish("", b"x", version=V5, topic_alias=3), b"\x30\x07\x00\x00\x03\x23\x00\x03x"),
        (
            writer.publish(
                "a",
                b"x",
                version=V5,
                properties=Properties(message_expiry_interval=60),
                message_expiry_interval_s=7,
            ),
            b"\x30\x0a\x00\x01a\x05\x02\x00\x00\x00\x07x",
        ),
    ],
)
def test_a_publish_is_written_exactly(made: bytes, expected: bytes) -> None:
    assert made == expected


@pytest.mark.parametrize("size", [0, 1, 122, 123, 124, 16_378, 16_379, 16_380, 2_097_146, 2_097_147])
def test_the_remaining_length_grows_where_it_has_to(size: int) -> None:
    made = writer.publish("a", b"x" * size, version=V311)
    remaining = size + 3
    length_bytes = 1 + (remaining > 127) + (remaining > 16_383) + (remaining > 2_097_151)
    assert len(made) == 1 + length_bytes + remaining
    assert made[length_bytes] < 128


def test_explanations_are_left_out_as_the_clients_maximum_packet_size_asks() -> None:
    def made(limit: int | None) -> bytes:
        return writer.connack(
            version=V5,
            reason_code=0x87,
            reason_string="not here",
            user_property=(("see", "the manual"),),
            max_packet_size_bytes=limit,
        )

    whole, with_reason, bare = (
        made(None),
        writer.connack(version=V5, reason_code=0x87, reason_string="not here"),
        b"\x20\x03\x00\x87\x00",
    )
    assert made(len(whole)) == whole
    assert made(len(whole) - 1) == with_reason
    assert made(len(with_reason) - 1) == bare
    assert made(len(bare) - 1) == b""


def test_a_disconnect_always_finds_a_form_that_fits() -> None:
    assert writer.disconnect(0x8D, reason_string="late", max_packet_size_bytes=8) == b"\xe0\x02\x8d\x00"
    assert writer.disconnect(0x9D, server_reference="elsewhere", max_packet_size_bytes=8) == b"\xe0\x01\x9d"


@pytest.mark.parametrize("text", ["a\0b", "x" * 65_536, "\ud800"])
def test_a_string_that_no_packet_may_carry_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (UnicodeEncodeError is one too)
        writer.disconnect(0x80, reason_string=text)
