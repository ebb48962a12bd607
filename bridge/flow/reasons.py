"""What a broker's reason code means for a frame (MQTT 5 §2.4, §3.4.2.1, §3.14.2.1).

The question behind every line: does the code speak of this frame, or of every frame that would come after it? Only what
speaks of one frame may take it out of the queue. What would meet every frame alike (no right, no room, a topic that the
broker does not want, nobody who listens) is somebody's mistake or a passing state: the records stay, the uplink waits
and says why. So no operator's slip empties a backlog into the dead letters.

    code        in PUBACK means                    then
    00          the broker has it                  delivered
    10          nobody subscribes to the topic     not delivered: it was thrown away; again later
    80 83       it would not say why               again later; refused, once it alone is not taken again and again
    87          this user may not publish here     again later: it meets every frame of the stream
    90          the topic name is not accepted     again later: likewise
    91          the packet id is still in use      again later
    95          the packet is too large            split; a single record is refused
    97          a quota is exceeded                again later
    99          the payload is not as it says      refused: it speaks of this frame alone
    other < 80  success (§2.4)                     delivered
    other       unknown refusal                    again later

MQTT 3.1.1 has no reason codes: a broker of that version that refuses either closes the connection or says nothing.
"""

from __future__ import annotations

import enum
from typing import Final


class Verdict(enum.Enum):
    """What to do with a frame after the broker's answer to it."""

    DELIVERED = "delivered"
    RETRY = "retry"
    """It meets every frame alike, or it will pass: keep the records, wait, try again."""
    SPLIT = "split"
    """Send it in smaller frames; a frame of one record is refused."""
    REFUSED = "refused"
    """This frame will never be taken: dead letter."""


_VERDICTS: Final = {0x10: Verdict.RETRY, 0x95: Verdict.SPLIT, 0x99: Verdict.REFUSED}

_NAMES: Final = {
    0x00: "success",
    0x04: "disconnect with will message",
    0x10: "no matching subscribers",
    0x80: "unspecified error",
    0x81: "malformed packet",
    0x82: "protocol error",
    0x83: "implementation specific error",
    0x84: "unsupported protocol version",
    0x85: "client identifier not valid",
    0x86: "bad user name or password",
    0x87: "not authorized",
    0x88: "server unavailable",
    0x89: "server busy",
    0x8A: "banned",
    0x8B: "server shutting down",
    0x8C: "bad authentication method",
    0x8D: "keep alive timeout",
    0x8E: "session taken over",
    0x8F: "topic filter invalid",
    0x90: "topic name invalid",
    0x91: "packet identifier in use",
    0x92: "packet identifier not found",
    0x93: "receive maximum exceeded",
    0x94: "topic alias invalid",
    0x95: "packet too large",
    0x96: "message rate too high",
    0x97: "quota exceeded",
    0x98: "administrative action",
    0x99: "payload format invalid",
    0x9A: "retain not supported",
    0x9B: "QoS not supported",
    0x9C: "use another server",
    0x9D: "server moved",
    0x9E: "shared subscriptions not supported",
    0x9F: "connection rate exceeded",
    0xA0: "maximum connect time",
    0xA1: "subscription identifiers not supported",
    0xA2: "wildcard subscriptions not supported",
}

_ADVICE: Final = {
    0x10: "nobody subscribes to the topic, so the broker threw the frame away. Start the receiver, or check its topic",
    0x84: "set protocol to the version that the broker speaks",
    0x85: "the broker does not accept this client id",
    0x86: "check username and password_file",
    0x87: "give this user the right to do that in the broker's access list",
    0x8E: "another client connected with the same client id: is this gateway running twice",
    0x90: "check the uplink's topic",
    0x97: "the broker's limit for this client is reached",
}

_CONNECT_ADVICE: Final = {
    0x87: "check username and password_file, and whether the broker lets this user and client id in",
}
"""Mosquitto, for one, says 0x87 of a wrong password too: nobody should look for that in an access list."""

UNEXPLAINED: Final = frozenset({0x80, 0x83})
"""Refusals without a reason: of this frame or of every frame, only what happens to the others can tell."""


def verdict(reason_code: int) -> Verdict:
    """What the reason code of a PUBACK (or PUBCOMP) means for its frame; see the table above."""
    found = _VERDICTS.get(reason_code)
    if found is not None:
        return found
    return Verdict.DELIVERED if reason_code < 0x80 else Verdict.RETRY


def name(reason_code: int) -> str:
    """The code's name in MQTT 5's words, and its number."""
    return f"{_NAMES.get(reason_code, 'an unknown reason')} (0x{reason_code:02X})"


def describe(reason_code: int) -> str:
    """The code's name in MQTT 5's words, its number, and what to do about it where that is known."""
    advice = _ADVICE.get(reason_code)
    return name(reason_code) if advice is None else f"{name(reason_code)}: {advice}"


def describe_connect(reason_code: int) -> str:
    """The same of a CONNACK."""
    advice = connect_advice(reason_code)
    return name(reason_code) if advice is None else f"{name(reason_code)}: {advice}"


def connect_advice(reason_code: int) -> str | None:
    """What to do about a refused CONNECT, where that is known."""
    return _CONNECT_ADVICE.get(reason_code, _ADVICE.get(reason_code))
