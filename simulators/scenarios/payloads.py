"""Payloads that nobody should send. Pure: made of the payload that the device meant to send, and of chance.

Each stays unlike all others, because the ledger knows payloads by what they are: where nothing of a payload is left,
the topic carries the number.

Not here: a topic that is not UTF-8. paho-mqtt takes topics as text and encodes them itself, so it can't send one; the
raw clients of `tests/hostile` do.
"""

from __future__ import annotations

import random
from dataclasses import replace

from simulators.profiles import Message
from simulators.scenarios.description import BadKind, BadPayloads

_NESTING = 2_000


def spoil(message: Message, kind: BadKind, number: int, options: BadPayloads, chance: random.Random) -> Message:
    """The message as `kind` says; `number` is unlike that of any other message of the scenario."""
    payload = message.payload
    match kind:
        case BadKind.TRUNCATED:
            # Behind the reading's number, which keeps it apart from the others; short ones lose their last byte.
            least = min(len(payload) - 1, max(len(payload) // 2, 48))
            payload = payload[: chance.randint(least, len(payload) - 1)]
        case BadKind.NOISE:
            payload = chance.randbytes(max(16, len(payload)))
        case BadKind.EMPTY:
            return Message(topic=f"{message.topic}/empty/{number}", payload=b"")
        case BadKind.NESTED:
            payload = b"[" * _NESTING + str(number).encode() + b"]" * _NESTING
        case BadKind.MARKUP:
            payload = f'{{"n":{number},"name":"<img src=x onerror=alert({number})><script>alert(1)</script>"}}'.encode()
        case BadKind.CONTROL:
            payload = f"\x1b[2J\x1b]0;{number}\x07\x00\r\n\u202e\ufeff{number}".encode() + b"\xff\xc0\x80"
        case BadKind.HUGE:
            payload = _filled(payload, options.huge_bytes, chance)
        case BadKind.OVERSIZED:
            payload = _filled(payload, options.oversized_bytes, chance)
    return replace(message, payload=payload)


def _filled(begin: bytes, size_bytes: int, chance: random.Random) -> bytes:
    block = chance.randbytes(1024)
    return (begin + block * (size_bytes // len(block) + 1))[:size_bytes]
