"""Temperature and humidity of a room."""

from __future__ import annotations

import random

from simulators.profiles.profile import Profile, as_json, wander


class Climate(Profile):
    """A sensor on a coin cell: values wander slowly, the battery goes down."""

    name = "climate"
    what = "climate"

    def __init__(self, chance: random.Random, number: int) -> None:
        super().__init__(chance, number)
        self.temperature_c = chance.uniform(18.0, 26.0)
        self.humidity_pct = chance.uniform(35.0, 60.0)
        self.battery_v = chance.uniform(2.9, 3.1)

    def payload(self, device: str, n: int, now_us: int) -> bytes:
        """About 150 bytes of JSON."""
        self.temperature_c = wander(self.chance, self.temperature_c, step=0.05, low=-20.0, high=60.0)
        self.humidity_pct = wander(self.chance, self.humidity_pct, step=0.2, low=5.0, high=95.0)
        self.battery_v = max(2.0, self.battery_v - 1e-6)
        return as_json(
            device,
            n,
            now_us,
            {
                "temperature_c": round(self.temperature_c, 2),
                "humidity_pct": round(self.humidity_pct, 1),
                "battery_v": round(self.battery_v, 3),
                "rssi_dbm": self.chance.randint(-78, -52),
            },
        )
