"""Where a PUBLISH is cut: layouts, found by how the packet begins.

A packet that begins with the same five bytes as another (first byte, a remaining length of one or two bytes, the
topic's length) is cut at the same places. So those bytes are the key of a table of layouts: a `struct` that cuts topic,
packet id and payload out of the buffer in one call into C, and the packet's size. All that the specification says about
a PUBLISH's lengths and flags is checked once, when its layout is made.

The tables are kept for the process, because the devices of a site resemble each other; they are bounded, and begin anew
when they are full.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

MAX_LAYOUTS: Final = 4096
_HEAD_BYTES: Final = 5

Cut = Callable[[bytes, int], tuple[Any, ...]]
"""`struct.unpack_from`: gives topic, packet id, in MQTT 5 the property length and the properties, and the payload."""
Layout = tuple[Cut, int, int]
"""(cut, size of the packet, property length)."""


class Layouts(dict[bytes, Layout]):
    """From a packet's first five bytes to its layout; bounded.

    The property length of MQTT 5 stands behind the topic. So the layout of a head is for the property length that it
    had last; when a packet shows another one, it is cut again with the layout for that, which takes its place.
    """

    def __init__(self, *, with_properties: bool) -> None:
        super().__init__()
        self._with_properties = with_properties
        self._others: dict[tuple[bytes, int], Layout] = {}

    def make(self, head: bytes, properties: int = 0) -> Layout | None:
        """The layout for a packet that begins so; None when it has to go the plain way."""
        layout = self._others.get((head, properties)) or self._cut(head, properties)
        if layout is not None:
            if len(self) >= MAX_LAYOUTS or len(self._others) >= MAX_LAYOUTS:
                self.clear()
                self._others.clear()
            self[head] = self._others[head, properties] = layout
        return layout

    def _cut(self, head: bytes, properties: int) -> Layout | None:
        if len(head) < _HEAD_BYTES or head[0] & 0x0E == 0x08 or properties > 127:
            return None
        remaining, size = head[1], 2
        if remaining > 127:
            remaining, size = (remaining & 127) | head[2] << 7, 3
            if not 0 < head[2] < 128:
                return None
        topic = head[size] << 8 | head[size + 1]
        packet_id = 2 if head[0] & 0x06 else 0
        payload = remaining - 2 - topic - packet_id - properties - self._with_properties
        if payload < 0 or (topic == 0 and not self._with_properties):
            return None
        block = f"B{properties}s" if self._with_properties else ""
        cut = struct.Struct(f">{size + 2}x{topic}s{packet_id}s{block}{payload}s")
        return cut.unpack_from, size + remaining, properties


WITHOUT_PROPERTIES: Final = Layouts(with_properties=False)
"""For MQTT 3.1 and 3.1.1."""
WITH_PROPERTIES: Final = Layouts(with_properties=True)
"""For MQTT 5."""
