"""The one line an operator wants first: is the data safe, and when will it be delivered? Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from gateway.cli.words import count, duration, ended

NEARLY_FULL = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`good`: nothing to do; `sentences` say how it stands, most important first."""

    good: bool
    sentences: tuple[str, ...]


def verdict_of(status: dict[str, Any]) -> Verdict:
    """The verdict on a gateway's status, as the API gives it."""
    streams = status["streams"]
    waiting = sum(stream["records"] for stream in streams.values())
    offline = sorted(name for name, uplink in status["uplinks"].items() if uplink["state"] != "online")
    troubles = [*_losses(status), *_spool_troubles(status["spool"])]
    troubles += [_offline(name, status["uplinks"][name]) for name in offline]
    if not waiting:
        first = "All that was accepted has been delivered." if not _dropped(status) else "Nothing waits for delivery."
    else:
        first = f"{count(waiting)} {_records(waiting)} safe on disk, {_when(waiting, status['rates'], bool(offline))}."
    return Verdict(good=not troubles, sentences=(first, *troubles))


def _records(number: int) -> str:
    return "record is" if number == 1 else "records are"


def _when(waiting: int, rates: dict[str, float], someone_offline: bool) -> str:
    if someone_offline:
        return "to be delivered when the uplink is back"
    gain_per_s = rates["out_per_s"] - rates["in_per_s"]
    if rates["out_per_s"] <= 0:
        return "waiting for the next frame"
    if waiting <= 2 * rates["out_per_s"]:
        return "to be delivered within seconds"
    if gain_per_s <= 0:
        return "and more come in than go out: the backlog grows"
    seconds = math.ceil(waiting / gain_per_s)
    return f"to be delivered in about {duration(seconds)} at this rate"


def _dropped(status: dict[str, Any]) -> bool:
    return any(sum(stream["dropped"].values()) for stream in status["streams"].values())


def _losses(status: dict[str, Any]) -> list[str]:
    sentences = []
    for name, stream in status["streams"].items():
        by_reason = {reason: number for reason, number in stream["dropped"].items() if number}
        if by_reason:
            reasons = ", ".join(f"{count(number)} {reason}" for reason, number in by_reason.items())
            sentences.append(f"Stream {name} has dropped {count(sum(by_reason.values()))} records ({reasons}).")
    for name, uplink in status["uplinks"].items():
        if uplink["dead_letters"]:
            sentences.append(f"Uplink {name} moved {count(uplink['dead_letters'])} records into the dead letters.")
    return sentences


def _spool_troubles(spool: dict[str, Any]) -> list[str]:
    sentences = []
    if spool["limit_bytes"] and spool["size_bytes"] >= NEARLY_FULL * spool["limit_bytes"]:
        percent = 100 * spool["size_bytes"] / spool["limit_bytes"]
        sentences.append(f"The spool is {percent:.0f} % full.")
    if recovery := spool.get("recovery"):
        sentences.append(
            f"A corrupt database was set aside as {recovery['set_aside']}: {recovery['reason']}; "
            f"{count(recovery['records_saved'])} records were saved from it."
        )
    return sentences


def _offline(name: str, uplink: dict[str, Any]) -> str:
    why = f": {uplink['last_error']}" if uplink["last_error"] else ""
    since = re.sub(r"\.\d+", "", uplink["since"])  # microseconds tell a person nothing
    return ended(f"Uplink {name} is {uplink['state'].replace('_', ' ')} since {since}{why}")
