"""The event loop's watch over paho's socket: when paho may read, when it has to write, and its ticks.

Why paho's own loops are not used stands in link.py.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, Final

from paho.mqtt import client as paho

from bridge.errors import LinkLost
from bridge.paho_client import WaryClient

_TICK_S: Final = 1.0
_READS_PER_TURN: Final = 64


class LinkWatch:
    """Of one client, on the event loop. `on_turn` is called whenever paho has run."""

    def __init__(self, client: WaryClient, on_turn: Callable[[], None]) -> None:
        self._client = client
        self._on_turn = on_turn
        self._loop: asyncio.AbstractEventLoop | None = None
        self._fd = -1
        self._tls_socket: ssl.SSLSocket | None = None
        self._writer_on = False
        self._flush_due = False
        self._tick: asyncio.TimerHandle | None = None
        self.is_reading = False
        """Whether paho reads just now."""
        client.on_socket_register_write = self._on_register_write
        client.on_socket_unregister_write = self._on_unregister_write

    @property
    def is_on(self) -> bool:
        """Whether the socket is watched."""
        return self._fd >= 0

    def begin(self) -> None:
        """Watch the socket from now on. Raises LinkLost."""
        self._loop = loop = asyncio.get_running_loop()
        sock = self._client.socket()
        if sock is None:
            raise LinkLost("the socket was closed at once")
        self._tls_socket = sock if isinstance(sock, ssl.SSLSocket) else None
        self._fd = sock.fileno()
        loop.add_reader(self._fd, self._on_readable)
        self._tick = loop.call_later(_TICK_S, self._on_tick)
        self.flush()

    def flush(self) -> None:
        """Have paho write what waits; what the socket does not take follows when it does."""
        self._flush_due = False
        if self._fd < 0:
            return
        self._client.loop_write()
        if self._client.want_write() and self._client.socket() is not None and not self._writer_on:
            asyncio.get_running_loop().add_writer(self._fd, self._on_writable)
            self._writer_on = True
        self._on_turn()

    def end(self) -> None:
        """Watch no more; idempotent."""
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None
        if self._fd >= 0 and self._loop is not None:
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
            self._fd = -1

    def _on_readable(self) -> None:
        for _ in range(_READS_PER_TURN):
            self.is_reading = True
            self._client.loop_read()
            self.is_reading = False
            # What TLS has already decrypted shows no more on the socket.
            if self._tls_socket is None or self._client.socket() is None or not self._tls_socket.pending():
                break
        else:
            asyncio.get_running_loop().call_soon(self._read_on)
        self._on_turn()

    def _read_on(self) -> None:
        if self._fd >= 0:
            self._on_readable()

    def _on_writable(self) -> None:
        if self._fd >= 0:
            self._client.loop_write()
            self._on_turn()

    def _on_tick(self) -> None:
        if self._fd < 0:
            return
        self._tick = asyncio.get_running_loop().call_later(_TICK_S, self._on_tick)
        self._client.loop_misc()
        self._on_turn()

    # -- paho's callbacks, inside its locks; the first may also come from the thread that connects --------------------

    def _on_register_write(self, _client: paho.Client, _userdata: Any, _sock: Any) -> None:
        if self._fd >= 0 and not self._flush_due and self._loop is not None:
            self._flush_due = True
            self._loop.call_soon(self.flush)

    def _on_unregister_write(self, _client: paho.Client, _userdata: Any, _sock: Any) -> None:
        if self._writer_on and self._fd >= 0 and self._loop is not None:
            self._writer_on = False
            self._loop.remove_writer(self._fd)
