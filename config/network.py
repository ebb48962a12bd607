"""Addresses to listen on, and addresses of brokers, services and web pages, as kinds of values."""

from __future__ import annotations

import ipaddress
import re
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.errors import nearest
from config.settings import Address, BrokerUrl, Network, UnixPath

_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
_ADDRESS = re.compile(r"(?:\[(?P<v6>[^\]]*)\]|(?P<host>[^:\[\]]*))(?::(?P<port>.*))?")
_SCHEMES = {"mqtt": 1883, "mqtts": 8883}
_OTHER_SCHEMES = {"tcp": "mqtt", "tls": "mqtts", "ssl": "mqtts"}
_BEHIND_PATH = re.compile(r"([?#]).+", re.DOTALL)
_UNIX = "unix:"
_MAX_UNIX_PATH_BYTES = 107  # sun_path of sockaddr_un, without its end


@dataclass(frozen=True, slots=True, kw_only=True)
class BindAddress:
    """`host:port` to listen on; port 0 means any free port."""

    secret: bool = False

    @property
    def expected(self) -> str:
        return "an address such as 127.0.0.1:1883, 0.0.0.0:1883 or [::1]:1883"

    def parse(self, text: str) -> Address:
        if text.isdecimal():
            raise ValueError(f"{text!r} has no host; write 127.0.0.1:{text} for this machine only, or 0.0.0.0:{text}")
        host, port = _split(text, self.expected)
        if port is None:
            raise ValueError(f"{text!r} has no port; expected {self.expected}")
        return Address(host=host, port=_port(port, lowest=0))

    def write(self, value: Any) -> str:
        return str(value)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}$"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorAddress:
    """Where a listener listens: `host:port`, or `unix:/path` for a Unix socket."""

    secret: bool = False

    @property
    def expected(self) -> str:
        return "an address such as 127.0.0.1:1883, 0.0.0.0:1883, [::1]:1883 or unix:/run/fieldgate/mqtt.sock"

    def parse(self, text: str) -> Address | UnixPath:
        if not text.startswith(_UNIX):
            return BindAddress().parse(text)
        path = text.removeprefix(_UNIX)
        if not path or path.endswith("/") or "\0" in path:
            raise ValueError(
                f"expected the path of a Unix socket, such as unix:/run/fieldgate/mqtt.sock, found {text!r}"
            )
        if path.startswith("//"):
            raise ValueError(f"{text!r} has slashes as a URL has; write unix:/{path.lstrip('/')}")
        if len(path.encode()) > _MAX_UNIX_PATH_BYTES:
            raise ValueError(
                f"the path of a Unix socket has at most {_MAX_UNIX_PATH_BYTES} bytes; choose a shorter one"
            )
        return UnixPath(path=Path(path))

    def write(self, value: Any) -> str:
        return str(value)

    def schema(self) -> dict[str, Any]:
        tcp = BindAddress().schema()["pattern"].removeprefix("^").removesuffix("$")
        return {"type": "string", "pattern": rf"^({tcp}|unix:.*[^/])$"}


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpUrl:
    """`http://` or `https://` address of a service. Never with user and password.

    What stands behind its `?` or `#` is often a key of the service's, so that is masked where settings are shown.
    """

    secret: bool = False

    @property
    def expected(self) -> str:
        return "an address such as http://127.0.0.1:8090/mqtt/auth"

    def parse(self, text: str) -> str:
        if "@" in text.partition("://")[2].partition("/")[0]:  # not repeated in the sentence: it may hold a password
            raise ValueError("an address does not hold user and password, because addresses are shown in logs")
        try:
            parts = urllib.parse.urlsplit(text)
            host, _ = parts.hostname, parts.port
        except ValueError:
            host = None
        if not host or any(character <= " " for character in text):
            found = "another" if re.search(r"[@?#]", text) else repr(text)  # a password or a key would be told
            raise ValueError(f"expected {self.expected}, found {found}")
        if parts.scheme not in {"http", "https"}:
            raise ValueError(f"expected http:// or https://, found {parts.scheme + '://'!r}")
        return text

    def write(self, value: Any) -> str:
        return _BEHIND_PATH.sub(r"\1********", str(value))

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^https?://[^\s/@]+(/\S*)?$"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRange:
    """An IP address, or a network of them: `10.0.0.2`, `10.1.0.0/16`, `fd00::/8`."""

    secret: bool = False

    @property
    def expected(self) -> str:
        return "an IP address or a network such as 10.1.0.0/16"

    def parse(self, text: str) -> Network:
        try:
            return ipaddress.ip_network(text)
        except ValueError:
            pass
        try:
            hint = f"; write {ipaddress.ip_network(text, strict=False)}"
        except ValueError:
            hint = ""
        raise ValueError(f"expected {self.expected}, found {text!r}{hint}")

    def write(self, value: Any) -> str:
        return str(value.network_address) if value.num_addresses == 1 else str(value)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The origin of a web page (RFC 6454), as a browser sends it: `https://plant.example`."""

    secret: bool = False

    @property
    def expected(self) -> str:
        return "an origin such as https://plant.example or http://192.168.1.10:1880"

    def parse(self, text: str) -> str:
        if not re.fullmatch(r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?", text):
            raise ValueError(f"expected {self.expected} (scheme, host and port; no path), found {text!r}")
        return text.lower()

    def write(self, value: Any) -> str:
        return str(value)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^https?://[^/\s]+$"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Url:
    """`mqtt://host:port` or `mqtts://host:port`; without a port 1883 or 8883. Never with user and password."""

    secret: bool = False

    @property
    def expected(self) -> str:
        return "a broker's address such as mqtt://broker.example:1883 or mqtts://broker.example:8883"

    def parse(self, text: str) -> BrokerUrl:
        if "@" in text:  # not repeated in the sentence: it may hold a password
            raise ValueError(
                "an address does not hold user and password, because addresses are shown in logs; "
                "write them as username and password_file beside it"
            )
        if "?" in text:  # nor this
            raise ValueError(f"an address ends with its port, and has no '?'; expected {self.expected}")
        scheme, separator, rest = text.partition("://")
        if not separator:
            raise ValueError(f"expected {self.expected}, found {text!r}")
        if scheme not in _SCHEMES:
            hint = (
                f"; write {_OTHER_SCHEMES[scheme]}://{rest}" if scheme in _OTHER_SCHEMES else nearest(scheme, _SCHEMES)
            )
            raise ValueError(f"expected mqtt:// or mqtts://, found {scheme + '://'!r}{hint}")
        host, port = _split(rest.removesuffix("/"), self.expected)
        number = _SCHEMES[scheme] if port is None else _port(port, lowest=1)
        return BrokerUrl(host=host, port=number, tls=scheme == "mqtts")

    def write(self, value: Any) -> str:
        return str(value)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^mqtts?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?/?$"}


def _split(text: str, expected: str) -> tuple[str, str | None]:
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise ValueError(f"expected {expected}, found {text!r}")
    if match["v6"] is not None:
        try:
            return str(ipaddress.IPv6Address(match["v6"])), match["port"]
        except ValueError:
            raise ValueError(f"{match['v6']!r} in {text!r} is not an IPv6 address") from None
    host: str = match["host"]
    if not host:
        raise ValueError(f"{text!r} has no host; expected {expected}")
    if re.fullmatch(r"[0-9.]+", host):
        try:
            return str(ipaddress.IPv4Address(host)), match["port"]
        except ValueError:
            raise ValueError(f"{host!r} in {text!r} is not an IPv4 address") from None
    if not _HOST_NAME.fullmatch(host):
        raise ValueError(f"{host!r} in {text!r} is not a host name; expected {expected}")
    return host, match["port"]


def _port(text: str, *, lowest: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not lowest <= int(text) <= 65535:
        raise ValueError(f"expected a port from {lowest} to 65535, found {text!r}")
    return int(text)
