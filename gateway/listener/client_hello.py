"""How a TLS connection begins (RFC 8446 §4, §5.1), as far as it has to be known before OpenSSL is asked. Pure.

OpenSSL takes memory for a message as soon as its header is there, up to 128 KiB for a ClientHello: eleven bytes would
buy that much of it, from anybody. So the first record is collected here, and a ClientHello that says it is longer than
any honest one is refused.

    1  type of the record: 22, handshake
    2  version
    2  length of the record
    1  type of the message: 1, ClientHello
    3  length of the message
"""

from __future__ import annotations

from typing import Final

MAX_HELLO_BYTES: Final = 16 * 1024
"""Those with the largest keys of today have two thousand."""

_HANDSHAKE: Final = 22
_RECORD_BYTES: Final = 5
_HEAD_BYTES: Final = 9


class HelloInvalid(Exception):
    """It is refused; its sentence says why."""


def wanted_bytes(head: bytes | bytearray) -> int:
    """How much of a connection has to be there before OpenSSL sees it, as far as `head` tells. Raises HelloInvalid.

    One byte is enough of what is no handshake: OpenSSL knows what to say of it.
    """
    if head and head[0] != _HANDSHAKE:
        return 1
    if len(head) < _HEAD_BYTES:
        return _HEAD_BYTES
    record_bytes = _RECORD_BYTES + int.from_bytes(head[3:5], "big")
    message_bytes = _HEAD_BYTES + int.from_bytes(head[6:9], "big")
    if record_bytes < _HEAD_BYTES:
        raise HelloInvalid("Its first TLS record is too short to begin a ClientHello.")
    if message_bytes > MAX_HELLO_BYTES:
        raise HelloInvalid(f"Its ClientHello has {message_bytes} bytes; it may have {MAX_HELLO_BYTES}.")
    return min(record_bytes, message_bytes)
