"""What the outcome of a commit is to a client, in MQTT 5 and in 3.1.1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.mqtt import writer
from gateway.mqtt.packets import Version
from gateway.mqtt.reason_codes import ReasonCode
from gateway.spool.ports import Outcome

REASONS: Final = {
    Outcome.DURABLE: ReasonCode.SUCCESS,
    Outcome.FULL: ReasonCode.QUOTA_EXCEEDED,
    Outcome.FAILED: ReasonCode.UNSPECIFIED_ERROR,
}
"""The reason by which it is told."""

WORDS: Final = {
    ReasonCode.QUOTA_EXCEEDED: "full",
    ReasonCode.UNSPECIFIED_ERROR: "failed",
    ReasonCode.NOT_AUTHORIZED: "not_authorized",
}
"""What a refusal is called in the counters."""


def answer(version: Version, qos: int, packet_ids: Sequence[bytes], reason: ReasonCode) -> bytes:
    """PUBACKs or PUBRECs. To a 3.1.1 client, which knows no reasons, lack of room and failures are silence; a publish
    that is not authorized is acknowledged all the same (3.1.1 §3.3.5.2)."""
    if version is not Version.V5:
        if reason in {ReasonCode.QUOTA_EXCEEDED, ReasonCode.UNSPECIFIED_ERROR}:
            return b""
        reason = ReasonCode.SUCCESS
    acknowledge = writer.pubacks if qos == 1 else writer.pubrecs
    return acknowledge(packet_ids, version=version, reason_code=reason)
