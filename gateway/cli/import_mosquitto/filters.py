"""Whether two topic filters have a topic in common. Pure."""

from __future__ import annotations


def overlap(one: str, other: str) -> bool:
    """MQTT 5 §4.7: `+` is any level, `#` all that follow and the level above; `$` is not for wildcards."""
    if one[:1] == "$" or other[:1] == "$":
        first, second = one.partition("/")[0], other.partition("/")[0]
        if first != second:
            return False
    return _overlap(one.split("/"), other.split("/"))


def _overlap(one: list[str], other: list[str]) -> bool:
    for here, there in zip(one, other, strict=False):
        if "#" in (here, there):
            return True
        if here != there and "+" not in (here, there):
            return False
    short, long = sorted((one, other), key=len)
    return len(short) == len(long) or long[len(short)] == "#"
