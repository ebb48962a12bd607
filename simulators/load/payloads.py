"""Telemetry of an exact size, as JSON: a device's clock, its counter, and readings that walk at random.

A constant payload would flatter every compressor. Here each message of a device differs from the one before it as real
readings do: the clock moves by about a second with a few milliseconds of jitter, each reading by a few hundredths. The
digits of the last reading fill the message up to its size, so there is no padding to be squeezed out.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

_START_MS: Final = 1_760_000_000_000
_FULL_BYTES: Final = 156
_SAMPLES_BYTES: Final = 256
_CLOCK_BYTES: Final = 36
_OBJECT_BYTES: Final = 10


def telemetry(*, device: int, count: int, size_bytes: int, seed: int = 1) -> Iterator[bytes]:
    """`count` payloads of one device, each of exactly `size_bytes`; the same arguments give the same bytes.

    From 156 bytes up a payload is an object of a device's name, counter and six readings, from 256 up with a run of
    vibration samples; below that one reading with a clock, below 36 bytes the reading alone, below 10 a bare number.
    Raises ValueError for less than one byte.
    """
    if size_bytes < 1:
        raise ValueError(f"A payload of {size_bytes} bytes can't hold a reading; ask for 1 or more.")
    rng = random.Random(f"{seed}/{device}")
    clock_ms = _START_MS + rng.randrange(1000)
    temperature, humidity, pressure, voltage, current = 21.5, 45.0, 1013.2, 3.30, 12.5
    energy = rng.uniform(1500, 8500)
    for number in range(count):
        clock_ms += 1000 + rng.randrange(-9, 10)
        temperature += rng.gauss(0, 0.03)
        if size_bytes < _FULL_BYTES:
            head = f'{{"ts":{clock_ms},' if size_bytes >= _CLOCK_BYTES else "{"
            head = head + '"v":' if size_bytes >= _OBJECT_BYTES else ""
            yield _fill(head, temperature, "}" if head else "", size_bytes, rng)
            continue
        humidity += rng.gauss(0, 0.05)
        pressure += rng.gauss(0, 0.02)
        voltage += rng.gauss(0, 0.0005)
        current += rng.gauss(0, 0.01)
        energy += rng.uniform(0.001, 0.02)
        head = (
            f'{{"ts":{clock_ms},"device":"dev-{device:04d}","seq":{10_000 + number % 90_000},'
            f'"temperature":{temperature:.2f},"humidity":{humidity:.1f},"pressure":{pressure:.1f},'
            f'"voltage":{voltage:.3f},"current":{current:.3f},'
        )
        if size_bytes >= _SAMPLES_BYTES:
            head += f'"vibration":[{_vibration(size_bytes - len(head) - 38, rng)}],'
        yield _fill(head + '"energy_kwh":', energy, "}", size_bytes, rng)


def _vibration(room_bytes: int, rng: random.Random) -> str:
    """Samples of a decaying oscillation, four decimals each, in at most `room_bytes`."""
    value = 0.0
    samples = ["0.1372"]
    size_bytes = len(samples[0])
    while True:
        value = 0.9 * value + rng.gauss(0, 0.4)
        sample = f"{value:.4f}"
        size_bytes += 1 + len(sample)
        if size_bytes > room_bytes:
            return ",".join(samples)
        samples.append(sample)


def _fill(head: str, value: float, tail: str, size_bytes: int, rng: random.Random) -> bytes:
    """`head`, the number with as many digits as there is room for, and `tail`: exactly `size_bytes`."""
    room = size_bytes - len(head) - len(tail)
    text = f"{abs(value):.6f}"
    text += "".join([str(rng.randrange(10)) for _ in range(room - len(text))])
    text = text[:room]
    if text.endswith("."):
        text = "1" + text[:-1]
    return (head + text + tail).encode()
