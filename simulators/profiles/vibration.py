"""Vibration of a bearing."""

from __future__ import annotations

import math
import random

from simulators.profiles.profile import Profile, as_json, wander

_BINS = 16


class Vibration(Profile):
    """An accelerometer that sends what its own Fourier transform found: a few numbers and a coarse spectrum."""

    name = "vibration"
    what = "vibration"

    def __init__(self, chance: random.Random, number: int) -> None:
        super().__init__(chance, number)
        self.shaft_hz = chance.uniform(23.0, 25.0)
        self.wear = chance.uniform(0.05, 0.3)

    def payload(self, device: str, n: int, now_us: int) -> bytes:
        """About 300 bytes of JSON, amplitudes in mm/s."""
        self.shaft_hz = wander(self.chance, self.shaft_hz, step=0.02, low=20.0, high=30.0)
        self.wear = wander(self.chance, self.wear, step=0.001, low=0.01, high=2.0)
        spectrum = [
            round(abs(self.chance.gauss(self.wear / (1 + k), 0.01)) + (1.2 if k == 1 else 0.0), 3) for k in range(_BINS)
        ]
        rms = math.sqrt(sum(amplitude * amplitude for amplitude in spectrum) / 2)
        return as_json(
            device,
            n,
            now_us,
            {
                "axis": "xyz"[n % 3],
                "rms_mm_s": round(rms, 4),
                "peak_mm_s": round(max(spectrum) * math.sqrt(2), 4),
                "shaft_hz": round(self.shaft_hz, 3),
                "spectrum_mm_s": spectrum,
            },
        )
