"""UTF-8 strings as MQTT allows them (MQTT 5 §1.5.4), and variable byte integers (§1.5.5)."""

from __future__ import annotations

import re
from typing import Final

from gateway.mqtt.errors import MalformedPacket

MAX_STRING_BYTES: Final = 65_535
MAX_VARINT: Final = 268_435_455

_NONCHARACTERS: Final = "\ufdd0-\ufdef" + "".join(
    chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF)
)
_DISALLOWED: Final = re.compile(f"[\x00-\x1f\x7f-\x9f{_NONCHARACTERS}]")


def decode_text(raw: bytes, what: str) -> str:
    """A string of any text without NUL: for properties that only travel through. Raises MalformedPacket.

    Surrogates and over-long forms are refused by the decoder, a byte order mark is kept [MQTT-1.5.4-1..3].
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise MalformedPacket(f"The {what} is not UTF-8 (at byte {error.start}).") from None
    if "\0" in text:
        raise MalformedPacket(f"The {what} contains the character U+0000.")
    return text


def decode_identifier(raw: bytes, what: str) -> str:
    """A string that names something: no control characters and no noncharacters either. Raises MalformedPacket.

    §1.5.4 says that a sender should not use them and a receiver may refuse them; in a topic, a client identifier or a
    user name they would only reach people's terminals and logs.
    """
    text = decode_text(raw, what)
    if (found := _DISALLOWED.search(text)) is not None:
        raise MalformedPacket(f"The {what} contains the character U+{ord(found[0]):04X}, which is not allowed.")
    return text


def encode_varint(value: int) -> bytes:
    """A variable byte integer in the fewest bytes. Raises ValueError outside 0..268435455."""
    if not 0 <= value <= MAX_VARINT:
        raise ValueError(f"{value} does not fit a variable byte integer (0 to {MAX_VARINT}).")
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def encode_binary(value: bytes) -> bytes:
    """Two bytes of length, then the bytes (§1.5.6). Raises ValueError when longer than 65535."""
    if len(value) > MAX_STRING_BYTES:
        raise ValueError(f"{len(value)} bytes do not fit a field of at most {MAX_STRING_BYTES}.")
    return len(value).to_bytes(2, "big") + value


def encode_text(value: str) -> bytes:
    """Two bytes of length, then UTF-8 (§1.5.4). Raises ValueError for NUL, surrogates, or more than 65535 bytes."""
    if "\0" in value:
        raise ValueError("A string in a packet must not contain the character U+0000.")
    return encode_binary(value.encode())
