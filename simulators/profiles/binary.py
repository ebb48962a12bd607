"""A sensor that packs its readings: 40 bytes, no text.

Layout, big-endian:

| bytes | field |
| --- | --- |
| 0-1 | magic, `FB` `01` |
| 2-3 | flags (bit 0: pump on), unsigned |
| 4-7 | device number, unsigned |
| 8-15 | n, the counter, unsigned |
| 16-23 | time, microseconds since 1970-01-01 UTC, signed |
| 24-35 | pressure in bar, flow in l/min, temperature in °C: three IEEE 754 singles |
| 36-39 | CRC-32 (as in zlib) of bytes 0-35 |
"""

from __future__ import annotations

import random
import struct
import zlib

from simulators.profiles.profile import Profile, wander

LAYOUT = struct.Struct(">HHIQqfff")
CHECKSUM = struct.Struct(">I")
MAGIC = 0xFB01


class Binary(Profile):
    """A pump's controller, as one finds them behind a fieldbus."""

    name = "binary"
    what = "packed"

    def __init__(self, chance: random.Random, number: int) -> None:
        super().__init__(chance, number)
        self.pressure_bar = chance.uniform(2.0, 6.0)
        self.flow_l_min = chance.uniform(10.0, 80.0)
        self.temperature_c = chance.uniform(30.0, 60.0)

    def payload(self, device: str, n: int, now_us: int) -> bytes:  # noqa: ARG002 -- the number says who it is
        """40 bytes in the layout above."""
        self.pressure_bar = wander(self.chance, self.pressure_bar, step=0.02, low=0.0, high=10.0)
        self.flow_l_min = wander(self.chance, self.flow_l_min, step=0.5, low=0.0, high=120.0)
        self.temperature_c = wander(self.chance, self.temperature_c, step=0.1, low=0.0, high=110.0)
        body = LAYOUT.pack(
            MAGIC, self.flow_l_min > 0.0, self.number, n, now_us, self.pressure_bar, self.flow_l_min, self.temperature_c
        )
        return body + CHECKSUM.pack(zlib.crc32(body))
