"""A place in a packet's body, moved by reading; every read knows where the packet ends."""

from __future__ import annotations

from typing import Final

from config.settings import Limits
from gateway.mqtt.errors import MalformedPacket
from gateway.mqtt.strings import decode_identifier, decode_text

DEFAULT_LIMITS: Final = Limits()


class Cursor:
    """Reads the data types of MQTT 5 §1.5 from `data` up to `end`. Every method raises MalformedPacket.

    `limits` are what the packet may hold: those who read lists look there.
    """

    __slots__ = ("_data", "_packet", "end", "limits", "pos")

    def __init__(
        self, data: bytes, *, packet: str, pos: int = 0, end: int | None = None, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self._data = data
        self._packet = packet
        self.limits = limits
        self.pos = pos
        self.end = len(data) if end is None else end

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return self.end - self.pos

    def _short(self, what: str) -> MalformedPacket:
        return MalformedPacket(f"The {self._packet} ends inside its {what}.")

    def take(self, n: int, what: str) -> bytes:
        """The next `n` bytes."""
        start = self.pos
        stop = start + n
        if stop > self.end:
            raise self._short(what)
        self.pos = stop
        return self._data[start:stop]

    def byte(self, what: str) -> int:
        """One byte."""
        pos = self.pos
        if pos >= self.end:
            raise self._short(what)
        self.pos = pos + 1
        return self._data[pos]

    def two(self, what: str) -> int:
        """Two byte integer (§1.5.2)."""
        return int.from_bytes(self.take(2, what), "big")

    def four(self, what: str) -> int:
        """Four byte integer (§1.5.3)."""
        return int.from_bytes(self.take(4, what), "big")

    def varint(self, what: str) -> int:
        """Variable byte integer, in the fewest bytes [MQTT-1.5.5-1]."""
        value = shift = 0
        while True:
            byte = self.byte(what)
            value |= (byte & 127) << shift
            if byte < 128:
                break
            shift += 7
            if shift > 21:
                raise MalformedPacket(f"The {what} of the {self._packet} is longer than four bytes.")
        if byte == 0 and shift:
            raise MalformedPacket(f"The {what} of the {self._packet} is not written in the fewest bytes.")
        return value

    def binary(self, what: str) -> bytes:
        """Binary data (§1.5.6)."""
        return self.take(self.two(what), what)

    def text(self, what: str) -> str:
        """UTF-8 string that only travels through (§1.5.4)."""
        return decode_text(self.binary(what), what)

    def identifier(self, what: str) -> str:
        """UTF-8 string that names something: no control characters."""
        return decode_identifier(self.binary(what), what)

    def finish(self) -> None:
        """Refuse bytes after the packet's last field."""
        if self.pos != self.end:
            raise MalformedPacket(f"The {self._packet} has {self.end - self.pos} bytes after its last field.")
