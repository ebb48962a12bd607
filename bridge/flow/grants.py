"""What a broker's CONNACK has to grant, so that an uplink can use the connection at all (MQTT 5 §3.2.2.3)."""

from __future__ import annotations

from typing import Final

MIN_PACKET_BYTES: Final = 256
"""Head, header and topic of a frame take about half of it; below that every record there is would be too large."""


def lacking(*, receive_maximum: int, maximum_packet_size_bytes: int | None, maximum_qos: int) -> str | None:
    """What is missing, as the end of a sentence; None where frames can go.

    It would meet every frame alike: so it ends the connection and condemns no record.
    """
    if receive_maximum < 1:
        return "it grants a Receive Maximum of 0, so that nothing may be in flight"
    if maximum_packet_size_bytes is not None and maximum_packet_size_bytes < MIN_PACKET_BYTES:
        return f"it takes packets of {maximum_packet_size_bytes} bytes at most, and no frame is so small"
    if maximum_qos < 1:
        return "it takes QoS 0 only, which nobody acknowledges"
    return None
