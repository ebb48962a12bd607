"""Numbers as people read them. Pure."""

from __future__ import annotations


def ended(sentence: str) -> str:
    """With a full stop, where it has no mark of its own."""
    return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."


def size(size_bytes: float) -> str:
    """`1.5 MiB`: powers of 1024, as the configuration writes them."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size_bytes) < 1024 or unit == "GiB":
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    raise AssertionError("unreachable")


def duration(seconds: float) -> str:
    """The two largest units: `1.2 s`, `3 m 20 s`, `2 h 5 m`, `4 d 1 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return _two(whole, 60, "m", 1, "s")
    if whole < 86400:
        return _two(whole, 3600, "h", 60, "m")
    return _two(whole, 86400, "d", 3600, "h")


def _two(whole: int, large: int, large_unit: str, small: int, small_unit: str) -> str:
    first, rest = divmod(whole, large)
    second = rest // small
    return f"{first} {large_unit} {second} {small_unit}" if second else f"{first} {large_unit}"


def saved(raw_bytes: int, wire_bytes: int) -> str:
    """How much less went over the wire than plain MQTT would have taken; a dash before anything went."""
    if raw_bytes <= 0 or wire_bytes <= 0:
        return "–"
    if wire_bytes >= raw_bytes:
        return "0 %"
    return f"{100 * (1 - wire_bytes / raw_bytes):.0f} %"
