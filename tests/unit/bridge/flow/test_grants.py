"""What a CONNACK must grant an uplink."""

from __future__ import annotations

import pytest

from bridge.flow.grants import MIN_PACKET_BYTES, lacking


@pytest.mark.parametrize(
    ("receive_maximum", "size", "qos", "word"),
    [
        (0, None, 2, "Receive Maximum"),
        (1, 1, 2, "1 bytes"),
        (1, MIN_PACKET_BYTES - 1, 2, "bytes"),
        (20, None, 0, "QoS 0"),
        (1, None, 1, None),
        (65535, MIN_PACKET_BYTES, 2, None),
    ],
)
def test_a_connection_that_no_frame_can_use_is_told_from_one_that_frames_can_use(
    receive_maximum: int, size: int | None, qos: int, word: str | None
) -> None:
    missing = lacking(receive_maximum=receive_maximum, maximum_packet_size_bytes=size, maximum_qos=qos)
    assert (missing is None) if word is None else (missing is not None and word in missing)
