"""The loads of the cases: the usual one and its variations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from simulators.load.options import LoadOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A load's name, what is said of it, how many messages, and what differs from the usual options."""

    name: str
    title: str
    messages: int
    differs: tuple[tuple[str, Any], ...] = ()

    def options(self, *, port: int, messages: int, **more: Any) -> LoadOptions:
        """For a broker at this port."""
        return LoadOptions(port=port, messages=messages, **dict(self.differs), **more)


USUAL = Load(name="", title="QoS 1, 20 connections with a window of 500, 160-byte JSON, MQTT 3.1.1", messages=400_000)
VARIATIONS = (
    Load(
        name="500-connections",
        title="500 connections with a window of 1",
        messages=100_000,
        differs=(("connections", 500), ("window", 1)),
    ),
    Load(
        name="mqtt5",
        title="MQTT 5 with a user property",
        messages=200_000,
        differs=(("version", 5), ("user_property", True)),
    ),
    Load(name="qos2", title="QoS 2", messages=100_000, differs=(("qos", 2),)),
    Load(name="16-bytes", title="16-byte payloads", messages=300_000, differs=(("payload_bytes", 16),)),
    Load(
        name="4-kib",
        title="4-KiB payloads, window 50",
        messages=30_000,
        differs=(("payload_bytes", 4096), ("window", 50)),
    ),
)
