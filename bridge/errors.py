"""What can go wrong on the road between edge and cloud.

BridgeError
├── FrameError                a frame's bytes are not what docs/frame-format.md says; a resend will not help
│   ├── BadMagic              these bytes are no frame at all
│   ├── UnknownVersion        a frame of a version this receiver does not read
│   ├── FrameProbe            it asks whether a frame may be published there
│   ├── FrameTruncated        it ends before its own lengths say
│   ├── ChecksumMismatch      the bytes changed on the way
│   ├── InflateBound          it would inflate past its declared length or the configured cap
│   └── FrameMalformed        header or body do not have the declared shape
├── BlockError                a stored block's bytes are not what they should be
├── LinkError                 the connection to a broker
│   ├── LinkUnreachable       no connection could be made; try again
│   ├── LinkRefused           the broker said no in its CONNACK; carries the reason code
│   └── LinkLost              it was there and is gone; what was in flight is not delivered
└── SinkError                 a receiver's sink
    ├── SinkUnavailable       it is down; try again
    └── SinkRefused           it will never take this record

Every error carries `code`, a stable word for logs, metrics and the API, and `retryable`.
"""

from __future__ import annotations

from typing import ClassVar


class BridgeError(Exception):
    """Root of the tree above."""

    code: ClassVar[str] = "bridge"
    retryable: ClassVar[bool] = False


class FrameError(BridgeError):
    """A frame's bytes are not what the format says."""

    code = "frame"


class BadMagic(FrameError):
    """The bytes do not begin as a frame does."""

    code = "bad_magic"


class UnknownVersion(FrameError):
    """The frame's version is not one this code reads."""

    code = "unknown_version"


class FrameProbe(FrameError):
    """Not a frame but a question whether one may be published there (`bridge.frame.PROBE`)."""

    code = "probe"


class FrameTruncated(FrameError):
    """The frame ends before its own lengths say."""

    code = "truncated"


class ChecksumMismatch(FrameError):
    """The CRC-32C does not match: the bytes changed on the way."""

    code = "checksum"


class InflateBound(FrameError):
    """The body inflates past its declared length, or the declared length is past the cap."""

    code = "inflate_bound"


class FrameMalformed(FrameError):
    """Header or body do not have the shape that the format gives them."""

    code = "malformed"


class BlockError(BridgeError):
    """A block's bytes are not a block."""

    code = "block"


class LinkError(BridgeError):
    """The connection to a broker."""

    code = "link"
    retryable = True


class LinkUnreachable(LinkError):
    """No connection could be made."""

    code = "unreachable"


class LinkRefused(LinkError):
    """The broker refused the connection in its CONNACK."""

    code = "refused"

    def __init__(self, message: str, *, reason_code: int) -> None:
        super().__init__(message)
        self.reason_code = reason_code


class LinkLost(LinkError):
    """The connection ended; whatever was not acknowledged is not delivered.

    `reason_code` is that of the broker's DISCONNECT, where it sent one (MQTT 5 §3.14.2.1). `is_silence` when it was
    given up because nothing came any more, not cut by the other side.
    """

    code = "lost"

    def __init__(self, message: str, *, reason_code: int | None = None, is_silence: bool = False) -> None:
        super().__init__(message)
        self.reason_code = reason_code
        self.is_silence = is_silence


class SinkError(BridgeError):
    """A receiver's sink."""

    code = "sink"


class SinkUnavailable(SinkError):
    """The sink is down for now; nothing was written, or what was written is known to be incomplete."""

    code = "sink_unavailable"
    retryable = True


class SinkRefused(SinkError):
    """The sink will never take this record."""

    code = "sink_refused"
