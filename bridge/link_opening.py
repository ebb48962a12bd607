"""From an address to a connected socket: name, TCP, TLS, CONNECT on its way. The only part of a link that blocks.

paho connects with blocking calls, so that runs in a thread of its own; what can go wrong is told in sentences.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from typing import Any

from paho.mqtt import client as paho

from bridge.errors import LinkUnreachable
from bridge.link_settings import LinkSettings
from bridge.paho_client import connect_properties, drop
from config.settings import BrokerUrl, Protocol, Tls


async def open_client(client: paho.Client, settings: LinkSettings) -> None:
    """Connect the client; a thread that comes too late throws its connection away. Raises LinkUnreachable."""
    loop = asyncio.get_running_loop()
    opened = loop.create_future()
    lock, abandoned = threading.Lock(), False

    def settle(error: Exception | None) -> None:
        if not opened.done():
            if error is None:
                opened.set_result(None)
            else:
                opened.set_exception(error)

    def run() -> None:
        error: Exception | None = None
        context: _ClientContext | None = None
        try:
            if settings.url.tls:
                context = _ClientContext(ssl.PROTOCOL_TLS_CLIENT)
                context.load(settings.tls)
                client.tls_set_context(context)
            _connect(client, settings)
        except (OSError, ValueError, UnicodeError) as cause:
            error = _unreachable(settings.url, cause)
            if context is not None and context.wrapped is not None:
                context.wrapped.close()
        with lock:
            if abandoned:
                drop(client)
                return
        # The loop may be closed by now, at the end of the process.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=run, name=f"link-connect-{settings.url}", daemon=True).start()
    try:
        await opened
    except asyncio.CancelledError:
        with lock:
            abandoned = True
        raise


def _connect(client: paho.Client, settings: LinkSettings) -> None:
    url = settings.url
    if settings.protocol is Protocol.V311:
        client.connect(url.host, url.port, settings.keep_alive_s)
        return
    client.connect(
        url.host,
        url.port,
        settings.keep_alive_s,
        clean_start=settings.clean_start,
        properties=connect_properties(settings),
    )


def _unreachable(url: BrokerUrl, cause: Exception) -> LinkUnreachable:
    if isinstance(cause, ssl.SSLCertVerificationError):
        text = f"the certificate of {url} is not trusted: {cause.verify_message}. Check tls.ca_file and the host name."
    elif isinstance(cause, ssl.SSLError):
        text = f"No TLS with {url}: {cause.reason or cause}. Check tls, and whether the port speaks TLS."
    elif isinstance(cause, FileNotFoundError):
        text = f"A file that tls names for {url} is not there: {cause}."
    elif isinstance(cause, socket.gaierror):
        text = f"The name {url.host} of {url} is not known: {cause.strerror}. Check the address and the DNS."
    elif isinstance(cause, ConnectionRefusedError):
        text = f"{url} refused the connection. Is the broker running there?"
    else:
        text = f"{url} could not be reached: {cause or type(cause).__name__}."
    return LinkUnreachable(text)


class _ClientContext(ssl.SSLContext):
    """Believes a server by its certificate and name, and remembers its socket: paho leaves it open when it does not."""

    wrapped: ssl.SSLSocket | None = None

    def wrap_socket(self, *args: Any, **more: Any) -> ssl.SSLSocket:
        """As `ssl.SSLContext` does."""
        self.wrapped = super().wrap_socket(*args, **more)
        return self.wrapped

    def load(self, tls: Tls) -> None:
        """Take the certificates that are configured, or those the system believes."""
        if tls.ca_file is None:
            self.load_default_certs()
        else:
            self.load_verify_locations(tls.ca_file)
        if tls.cert_file is not None:
            self.load_cert_chain(tls.cert_file, tls.key_file)
