"""Written quantities: durations, rates, addresses and faults, as a person types them on a command line.

Durations are seconds, rates are bits a second. Every error is a ValueError whose text says what was expected.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

_NUMBER = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[A-Za-zµ/]*)")
_DURATIONS_S = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_RATES_BITS = {"bit": 1.0, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A host and a port; port 0 means any free one when it is listened on."""

    host: str
    port: int

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"The port {self.port} is not between 0 and 65535.")

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of time: from `start_s` on, for `duration_s`."""

    start_s: float
    duration_s: float

    def __post_init__(self) -> None:
        if self.start_s < 0 or self.duration_s <= 0:
            raise ValueError("A fault starts at 0 s or later and lasts longer than nothing.")

    @property
    def end_s(self) -> float:
        """The first moment after it."""
        return self.start_s + self.duration_s


def parse_duration_s(text: str) -> float:
    """`50ms`, `1.5s`, `2m`, `1h` in seconds; a bare `0` needs no unit. Raises ValueError."""
    found = _NUMBER.fullmatch(text.strip())
    if found and (found["unit"] in _DURATIONS_S or (not found["unit"] and float(found["number"]) == 0)):
        return float(found["number"]) * _DURATIONS_S.get(found["unit"], 1.0)
    raise ValueError(f"{text!r} is not a duration: write a number and a unit, such as 50ms, 1.5s or 2m.")


def parse_rate_bits_per_s(text: str) -> float:
    """`10Mbit`, `512kbit`, `1Gbit` (also with /s or ps at the end) in bits a second. Raises ValueError."""
    found = _NUMBER.fullmatch(text.strip())
    if found:
        unit = found["unit"].lower().removesuffix("/s").removesuffix("ps")
        if unit in _RATES_BITS and float(found["number"]) > 0:
            return float(found["number"]) * _RATES_BITS[unit]
    raise ValueError(f"{text!r} is not a rate: write a number above 0 and a unit of bits, such as 10Mbit or 512kbit.")


def parse_window(text: str) -> Window:
    """`20s@30s`: for 20 s, from 30 s after the start. Raises ValueError."""
    duration, at, start = text.partition("@")
    if not at:
        raise ValueError(f"{text!r} is not a fault: write DURATION@START, such as 20s@30s.")
    return Window(start_s=parse_duration_s(start), duration_s=parse_duration_s(duration))


def parse_endpoint(text: str) -> Endpoint:
    """`HOST:PORT` or `[IPV6]:PORT`. Raises ValueError."""
    host, colon, port = text.strip().rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not host or not port.isdecimal() or (":" in host and not bracketed):
        raise ValueError(f"{text!r} is not an address: write HOST:PORT, such as 127.0.0.1:1883 or [::1]:1883.")
    return Endpoint(host=host[1:-1] if bracketed else host, port=int(port))


def parse_broker_url(text: str) -> Endpoint:
    """`mqtt://HOST[:PORT]` (1883 if left out), or `HOST:PORT`. Raises ValueError."""
    if "://" not in text:
        return parse_endpoint(text)
    url = urlsplit(text.strip())
    if url.scheme != "mqtt" or not url.hostname or url.path not in ("", "/"):
        raise ValueError(f"{text!r} is not a broker's address: write mqtt://HOST:PORT, such as mqtt://127.0.0.1:1883.")
    return Endpoint(host=url.hostname, port=1883 if url.port is None else url.port)


def format_bytes(count: float) -> str:
    """`1.5 MB`: powers of a thousand, as link rates are counted."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def counted(count: int, noun: str) -> str:
    """`1 record`, `2,345 records`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
