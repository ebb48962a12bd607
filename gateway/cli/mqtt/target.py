"""Where a client connects: a listener of the configuration, or an address. Pure."""

from __future__ import annotations

import ipaddress
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config.settings import Address, Listener, ProxyProtocol, UnixPath

_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
_OTHER_WORDS: Final = {"tcp": "mqtt", "tls": "mqtts", "ssl": "mqtts", "http": "ws", "https": "wss"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A host and port, or a Unix socket; `websocket_path` None: MQTT without WebSocket."""

    host: str = "127.0.0.1"
    port: int = 1883
    socket: Path | None = None
    is_tls: bool = False
    websocket_path: str | None = None
    cert_file: Path | None = None
    """The certificate that just this server has: that of a listener in our own configuration."""
    kept: tuple[str, ...] = ()
    """Topic filters of what is on disk when it is acknowledged, where our configuration says so."""

    def __str__(self) -> str:
        if self.socket is not None:
            return f"unix:{self.socket}"
        scheme = ("ws" if self.websocket_path is not None else "mqtt") + ("s" if self.is_tls else "")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}{self.websocket_path or ''}"


def parse_target(text: str) -> Target:
    """`mqtt://host:port`, `mqtts://`, `ws://host:port/path`, `wss://`, `unix:/path`, `host:port`. Raises ValueError."""
    if text.startswith("unix:") and len(text) > len("unix:"):
        return Target(socket=Path(text.removeprefix("unix:")))
    written = text if "://" in text else f"mqtt://{text}"
    scheme = written.partition("://")[0]
    if scheme not in _PORTS:
        hint = f"; write {_OTHER_WORDS[scheme]}://" if scheme in _OTHER_WORDS else ""
        raise ValueError(f"expected mqtt://, mqtts://, ws://, wss:// or unix:, found {scheme + '://'!r}{hint}")
    if "@" in written:
        raise ValueError("an address holds neither user nor password; give --user, and --password-file")
    try:
        parts = urllib.parse.urlsplit(written)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{text!r} is no address: {error}") from None
    if not host or parts.query or parts.fragment:
        raise ValueError(f"expected an address such as mqtt://127.0.0.1:1883, found {text!r}")
    is_websocket = scheme in {"ws", "wss"}
    if not is_websocket and parts.path not in {"", "/"}:
        raise ValueError(f"{text!r} has a path, which only ws:// and wss:// have")
    return Target(
        host=host,
        port=_PORTS[scheme] if port is None else port,
        is_tls=scheme in {"mqtts", "wss"},
        websocket_path=(parts.path or "/mqtt") if is_websocket else None,
    )


def target_of(listeners: Sequence[Listener], name: str | None, *, kept: tuple[str, ...] = ()) -> Target:
    """The listener of that name; None: the first that takes a client without a load balancer. Raises ValueError."""
    if name is not None:
        found = next((one for one in listeners if one.name == name), None)
        if found is None:
            raise ValueError(f"there is no listener {name!r}; there is {', '.join(one.name for one in listeners)}")
    else:
        found = next((one for one in listeners if one.proxy_protocol is ProxyProtocol.OFF), listeners[0])
    if found.proxy_protocol is not ProxyProtocol.OFF:
        raise ValueError(
            f"the listener {found.name!r} takes clients from its load balancer only; give the --url of that"
        )
    path = found.websocket_path if found.transport.is_websocket else None
    cert_file = found.tls.cert_file if found.transport.is_tls else None
    if isinstance(found.bind, UnixPath):
        return Target(
            socket=found.bind.path,
            is_tls=found.transport.is_tls,
            websocket_path=path,
            cert_file=cert_file,
            kept=kept,
        )
    if not found.bind.port:
        raise ValueError(f"the listener {found.name!r} is on any free port; give its address with --url")
    return Target(
        host=_near(found.bind),
        port=found.bind.port,
        is_tls=found.transport.is_tls,
        websocket_path=path,
        cert_file=cert_file,
        kept=kept,
    )


def _near(bind: Address) -> str:
    try:
        return _ANYWHERE.get(str(ipaddress.ip_address(bind.host)), bind.host)
    except ValueError:
        return bind.host
