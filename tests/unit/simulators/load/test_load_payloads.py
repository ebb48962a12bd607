"""Payloads: exact sizes, real JSON, and numbers that move."""

from __future__ import annotations

import itertools
import json
import zlib

import pytest

from simulators.load.packets import PUBREC
from simulators.load.payloads import telemetry
from simulators.load.rings import MAX_COUNT, Ring, acknowledgement_ring, encode_ring, release_ring, ring_count


@pytest.mark.parametrize("size_bytes", [1, 2, 9, 10, 16, 35, 36, 64, 155, 156, 160, 255, 256, 300, 1024, 4096])
def test_every_payload_is_json_of_exactly_the_size_asked_for(size_bytes: int) -> None:
    for payload in telemetry(device=3, count=50, size_bytes=size_bytes):
        assert len(payload) == size_bytes
        json.loads(payload)


def test_a_device_says_the_same_twice_and_another_says_something_else() -> None:
    first = list(telemetry(device=1, count=20, size_bytes=160))
    assert first == list(telemetry(device=1, count=20, size_bytes=160))
    assert first != list(telemetry(device=2, count=20, size_bytes=160))
    assert first != list(telemetry(device=1, count=20, size_bytes=160, seed=2))


def test_readings_walk_and_no_message_repeats() -> None:
    messages = [json.loads(payload) for payload in telemetry(device=1, count=1000, size_bytes=160)]
    assert len({message["ts"] for message in messages}) == 1000
    for key in ("temperature", "humidity", "pressure", "voltage", "current", "energy_kwh"):
        assert len({message[key] for message in messages}) > 5
    steps = [abs(b["temperature"] - a["temperature"]) for a, b in itertools.pairwise(messages)]
    assert max(steps) < 0.2


def test_a_compressor_finds_telemetry_and_neither_a_constant_nor_noise() -> None:
    raw = b"".join(telemetry(device=1, count=2000, size_bytes=160))
    assert 0.03 < len(zlib.compress(raw)) / len(raw) < 0.3


def test_a_payload_of_no_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="1 or more"):
        next(telemetry(device=1, count=1, size_bytes=0))


@pytest.mark.parametrize(
    ("connections", "window", "payload_bytes", "count"),
    [(20, 500, 160, 1000), (500, 1, 160, 40), (20, 1000, 160, 2000), (1, 10, 160, 20_000), (20, 50, 4096, 102)],
)
def test_rings_hold_two_windows_and_about_twenty_thousand_messages(
    connections: int, window: int, payload_bytes: int, count: int
) -> None:
    assert ring_count(connections=connections, window=window, payload_bytes=payload_bytes) == count


def test_a_window_that_identifiers_cannot_number_is_refused() -> None:
    with pytest.raises(ValueError, match="32 767"):
        ring_count(connections=1, window=MAX_COUNT // 2 + 1, payload_bytes=160)


def test_a_ring_is_made_of_packets_of_one_size_with_identifiers_from_one() -> None:
    ring = encode_ring(
        device=7, count=10, payload_bytes=160, qos=1, version=4, user_property=False, topic="t/{device}", seed=1
    )
    packets = [ring.data[at : at + ring.size_bytes] for at in range(0, len(ring.data), ring.size_bytes)]
    assert [packet[3 + 2 + 10 : 3 + 2 + 12] for packet in packets] == [bytes((0, i)) for i in range(1, 11)]
    assert all(packet[5:15] == b"t/dev-0007" for packet in packets)
    with pytest.raises(ValueError, match="one size"):
        Ring(data=ring.data[:-1], count=10, size_bytes=ring.size_bytes)


def test_rings_of_acknowledgements_hold_two_turns() -> None:
    assert acknowledgement_ring(PUBREC, 2, b"\x10") == 2 * b"\x50\x03\x00\x01\x10\x50\x03\x00\x02\x10"
    assert release_ring(1) == 2 * b"\x62\x02\x00\x01"
