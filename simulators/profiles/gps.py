"""The track of a vehicle."""

from __future__ import annotations

import math
import random

from simulators.profiles.profile import Profile, as_json, wander

_METRES_A_DEGREE = 111_320.0
_HOME = (52.5163, 13.3777)


class GpsTrack(Profile):
    """A tracker that takes one fix a second and sees the sky more or less well."""

    name = "gps"
    what = "position"

    def __init__(self, chance: random.Random, number: int) -> None:
        super().__init__(chance, number)
        self.latitude = _HOME[0] + chance.uniform(-0.05, 0.05)
        self.longitude = _HOME[1] + chance.uniform(-0.05, 0.05)
        self.heading_deg = chance.uniform(0.0, 360.0)
        self.speed_m_s = chance.uniform(2.0, 20.0)

    def payload(self, device: str, n: int, now_us: int) -> bytes:
        """About 190 bytes of JSON; positions in degrees (WGS 84)."""
        self.heading_deg = (self.heading_deg + self.chance.gauss(0.0, 4.0)) % 360.0
        self.speed_m_s = wander(self.chance, self.speed_m_s, step=0.4, low=0.0, high=33.0)
        heading = math.radians(self.heading_deg)
        self.latitude += self.speed_m_s * math.cos(heading) / _METRES_A_DEGREE
        self.longitude += (
            self.speed_m_s * math.sin(heading) / (_METRES_A_DEGREE * math.cos(math.radians(self.latitude)))
        )
        return as_json(
            device,
            n,
            now_us,
            {
                "lat": round(self.latitude, 6),
                "lon": round(self.longitude, 6),
                "alt_m": round(34.0 + self.chance.gauss(0.0, 1.5), 1),
                "speed_m_s": round(self.speed_m_s, 2),
                "heading_deg": round(self.heading_deg, 1),
                "satellites": self.chance.randint(6, 14),
                "hdop": round(self.chance.uniform(0.7, 1.8), 1),
            },
        )
