"""What a reader leaves behind once nobody needs it."""

from __future__ import annotations

import gc
import weakref

import pytest

from gateway.mqtt.reader import Reader
from tests.support.mqtt_bytes import connect, packet, publish


class _Watched(Reader):
    """A reader that can be watched."""


@pytest.mark.parametrize(
    "data",
    [
        b"\xc1\x00",
        b"\x10\xff\xff\xff\x7f",
        packet(0x10, b"\x00\x04MQTT\x09\x02\x00\x00\x00\x00"),
        connect() * 2,
    ],
    ids=["wrong flags", "too large", "unknown version", "two of them"],
)
@pytest.mark.parametrize("before", [b"", connect() + publish(payload=bytes(1000))])
def test_a_reader_that_met_an_error_goes_with_its_connection_and_not_when_the_collector_comes(
    data: bytes, before: bytes
) -> None:
    gc.collect()
    gc.disable()
    try:
        reader = _Watched(max_packet_size_bytes=100_000)
        reader.feed(before + data)
        assert reader.error is not None
        watch = weakref.ref(reader)
        del reader
        assert watch() is None
    finally:
        gc.enable()
