"""What single values can't show: names that are taken, streams that nobody carries, two doors at one address.

Each check looks only at keys that were read without a problem, so that one mistake is not reported twice.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable
from pathlib import Path

from config import topics
from config.api_checks import ApiChecks
from config.door_checks import DoorChecks
from config.errors import Place, nearest
from config.findings import Findings
from config.reading import Reader
from config.settings import (
    Address,
    BrokerUrl,
    GatewaySettings,
    MqttSink,
    ReceiverSettings,
    Retry,
    Tls,
    UnixPath,
)

ALL_STREAMS = "*"


class Checker:
    """Adds the problems of whole settings to those of the reader that read them."""

    def __init__(self, reader: Reader, file: Place) -> None:
        self._findings = Findings(reader, file)

    def gateway(self, settings: GatewaySettings) -> None:
        """Everything that must hold between the keys of gateway.yaml."""
        self._gateway_id(settings)
        for group in ("listeners", "access", "streams", "uplinks"):
            self._names(group, [item.name for item in getattr(settings, group)])
        binds: list[tuple[str, Address | UnixPath]] = [
            (f"listeners[{label}].bind", listener.bind)
            for label, listener in zip(self._findings.labels("listeners"), settings.listeners, strict=True)
        ]
        self._addresses([*binds, ("api.bind", settings.api.bind)])
        DoorChecks(self._findings, settings).check()
        ApiChecks(self._findings, settings.api).check()
        self._streams(settings)
        for label, uplink in zip(self._findings.labels("uplinks"), settings.uplinks, strict=True):
            key = f"uplinks[{label}]"
            self._broker(key, uplink.url, uplink.tls, uplink.username, uplink.password)
            self._retry(key, uplink.retry)

    def receiver(self, settings: ReceiverSettings) -> None:
        """Everything that must hold between the keys of receiver.yaml."""
        own = settings.receiver
        ApiChecks(self._findings, settings.api).check()
        self._broker("receiver", own.url, own.tls, own.username, own.password)
        self._retry("receiver", own.retry)
        files = [("receiver.state", own.state)]
        brokers: dict[BrokerUrl, str] = {}
        if self._findings.sound("sinks"):  # else the labels and the sinks may not be in step
            for label, sink in zip(self._findings.labels("sinks"), settings.sinks, strict=True):
                if isinstance(sink, MqttSink):
                    self._broker(f"sinks[{label}]", sink.url, sink.tls, sink.username, sink.password)
                    key = f"sinks[{label}].url"
                    if (other := brokers.setdefault(sink.url, key)) != key:
                        place = self._findings.place(other)
                        self._findings.report(
                            key, f"the broker {sink.url} is that of {other} ({place}); each sink needs its own"
                        )
                else:
                    files.append((f"sinks[{label}].path", sink.path))
        self._files(files)

    def _gateway_id(self, settings: GatewaySettings) -> None:
        if not self._findings.sound("gateway.id"):
            return
        try:
            topics.check_gateway_id(settings.gateway.id)  # the host's name was not written, so nobody has checked it
        except ValueError as error:
            self._findings.report(
                "gateway.id", f"the host's name can't be the id of a gateway: {error}; write gateway.id"
            )

    def _names(self, group: str, names: list[str]) -> None:
        first: dict[str, str] = {}
        for label, name in zip(self._findings.labels(group), names, strict=True):
            key = f"{group}[{label}].name"
            if not self._findings.sound(key):
                continue
            if name in first:
                place = self._findings.place(first[name])
                self._findings.report(
                    key, f"the name {name!r} is taken by another of the {group} ({place}); give each its own"
                )
            first.setdefault(name, key)

    def _addresses(self, binds: list[tuple[str, Address | UnixPath]]) -> None:
        sound = [(key, bind) for key, bind in binds if self._findings.sound(key)]
        for number, (key, bind) in enumerate(sound):
            other = next((seen for seen, address in sound[:number] if overlap(address, bind)), None)
            if other is not None:
                advice = "use another path" if isinstance(bind, UnixPath) else "use another port"
                self._findings.report(
                    key, f"the address {bind} is taken by {other} ({self._findings.place(other)}); {advice}"
                )

    def _streams(self, settings: GatewaySettings) -> None:
        """Every stream has an uplink, every uplink carries streams that exist, and tells them apart by topic."""
        names = [stream.name for stream in settings.streams]
        stream_labels = self._findings.labels("streams")
        if not all(self._findings.sound(f"streams[{label}].name") for label in stream_labels):
            return
        carried: set[str] = set()
        certain = True
        for label, uplink in zip(self._findings.labels("uplinks"), settings.uplinks, strict=True):
            key = f"uplinks[{label}]"
            if not self._findings.sound(f"{key}.streams"):
                certain = False
                continue
            mine = [name for name in names if ALL_STREAMS in uplink.streams or name in uplink.streams]
            carried.update(mine)
            for name in uplink.streams:
                if name != ALL_STREAMS and name not in names:
                    certain = False
                    self._findings.report(f"{key}.streams", f"there is no stream {name!r}{nearest(name, names)}")
            if len(mine) > 1 and self._findings.sound(f"{key}.topic") and "{stream}" not in uplink.topic:
                sentence = f"expected {{stream}} in the topic, because several go through it: {', '.join(mine)}"
                self._findings.report(f"{key}.topic", sentence)
        for label, name in zip(stream_labels, names, strict=True):
            if certain and name not in carried:
                sentence = f"no uplink carries the stream {name!r}, so its records would never leave; name it in one"
                self._findings.report(f"streams[{label}]", sentence)

    def _broker(self, key: str, url: BrokerUrl, tls: Tls, username: str | None, password: str | None) -> None:
        if self._findings.sound(f"{key}.tls") and self._findings.sound(f"{key}.url"):
            if tls != Tls() and not url.tls:
                self._findings.report(
                    f"{key}.tls", f"the url {url} uses no TLS; write mqtts://, or remove the tls section"
                )
            if tls.cert_file is not None and tls.key_file is None:
                self._findings.report(f"{key}.tls.cert_file", "a certificate needs its key; add key_file")
            if tls.key_file is not None and tls.cert_file is None:
                self._findings.report(f"{key}.tls.key_file", "a key needs its certificate; add cert_file")
        if password is not None and username is None and self._findings.sound(f"{key}.username"):
            written = "password" if self._findings.is_placed(f"{key}.password") else "password_file"
            self._findings.report(
                f"{key}.{written}", "a password needs a username beside it; brokers ignore it without one"
            )

    def _retry(self, key: str, retry: Retry) -> None:
        if self._findings.sound(f"{key}.retry") and retry.first_s > retry.max_s:
            written = "max" if self._findings.is_placed(f"{key}.retry.max") else "first"
            self._findings.report(f"{key}.retry.{written}", "expected a max that is not smaller than first")

    def _files(self, files: Iterable[tuple[str, Path]]) -> None:
        first: dict[str, str] = {}
        for key, path in files:
            if not self._findings.sound(key):
                continue
            real = os.path.realpath(path)
            if real in first:
                other = first[real]
                self._findings.report(
                    key, f"the file {str(path)!r} is written by {other} ({self._findings.place(other)}); use another"
                )
            first.setdefault(real, key)


def overlap(one: Address | UnixPath, other: Address | UnixPath) -> bool:
    """Whether two sockets can't listen on both: the same path; or one port, and one host or all hosts."""
    if isinstance(one, UnixPath) or isinstance(other, UnixPath):
        return one == other
    if one.port != other.port or one.port == 0:
        return False
    here, there = _ip(one.host), _ip(other.host)
    if here is None or there is None:
        return one.host.casefold() == other.host.casefold()
    if here == there or "::" in {one.host, other.host}:
        return True  # `[::]` takes the connections of IPv4 too
    return here.version == there.version and (here.is_unspecified or there.is_unspecified)


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address("127.0.0.1" if host.casefold() == "localhost" else host)
    except ValueError:
        return None
