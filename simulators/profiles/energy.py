"""A three-phase energy meter."""

from __future__ import annotations

import random

from simulators.profiles.profile import Profile, as_json, wander


class EnergyMeter(Profile):
    """Voltages near 230 V, a load that wanders, and a counter that never goes back."""

    name = "energy"
    what = "energy"

    def __init__(self, chance: random.Random, number: int) -> None:
        super().__init__(chance, number)
        self.currents_a = [chance.uniform(1.0, 40.0) for _ in range(3)]
        self.energy_wh = float(chance.randint(1_000_000, 90_000_000))

    def payload(self, device: str, n: int, now_us: int) -> bytes:
        """About 240 bytes of JSON."""
        self.currents_a = [wander(self.chance, amps, step=0.3, low=0.0, high=63.0) for amps in self.currents_a]
        voltages = [self.chance.gauss(230.0, 0.8) for _ in range(3)]
        power_factor = self.chance.uniform(0.92, 0.99)
        power_w = power_factor * sum(v * a for v, a in zip(voltages, self.currents_a, strict=True))
        self.energy_wh += power_w / 3600.0
        return as_json(
            device,
            n,
            now_us,
            {
                "voltage_v": [round(volts, 1) for volts in voltages],
                "current_a": [round(amps, 2) for amps in self.currents_a],
                "power_w": round(power_w, 1),
                "power_factor": round(power_factor, 3),
                "frequency_hz": round(self.chance.gauss(50.0, 0.01), 3),
                "energy_wh": round(self.energy_wh),
            },
        )
