"""Turns what arrived into frames, off the event loop where it is more than a moment's work."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from bridge.compression import Codec
from bridge.errors import FrameError
from bridge.frame import Frame, decode_frame

INLINE_BYTES: Final = 4096
"""So much is decoded where it is: a hop to the thread would take longer."""


class Decoder:
    """Decodes runs of payloads; `max_raw_bytes` bounds what one may inflate to."""

    def __init__(self, max_raw_bytes: int) -> None:
        self._max_raw_bytes = max_raw_bytes
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="decoder")
        self._inline = Codec()
        self._threaded = Codec()  # a codec belongs to one thread

    async def decode(self, payloads: Sequence[bytes]) -> list[Frame | FrameError]:
        """What each payload is: a frame, or why it is none."""
        if sum(map(len, payloads)) <= INLINE_BYTES:
            return self._decode(payloads, self._inline)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._decode, payloads, self._threaded)

    def close(self) -> None:
        """Let the thread go."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _decode(self, payloads: Sequence[bytes], codec: Codec) -> list[Frame | FrameError]:
        return [self._decode_one(payload, codec) for payload in payloads]

    def _decode_one(self, payload: bytes, codec: Codec) -> Frame | FrameError:
        try:
            return decode_frame(payload, self._max_raw_bytes, codec)
        except FrameError as error:
            return error.with_traceback(None)  # kept for its sentence: the frames on its stack need not live as long
