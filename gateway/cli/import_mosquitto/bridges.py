"""Mosquitto's bridges as `streams` and `uplinks`, as far as they send. Pure.

A bridge hands each message on under its topic. An uplink sends records in frames, and `fieldgate receive` at the other
end takes them apart: so each bridge gets a remark that says what has to run there.
"""

from __future__ import annotations

import re
from typing import Any, Final

from config import topics
from config.network import Url
from config.units import format_size
from gateway.cli.import_mosquitto.conf import Line, Section
from gateway.cli.import_mosquitto.filters import overlap
from gateway.cli.import_mosquitto.remarks import Remarks
from gateway.cli.import_mosquitto.values import text, whole

_PROTOCOLS: Final = {"mqttv50": "5", "mqttv311": "3.1.1"}
_DIRECTIONS: Final = ("out", "in", "both")
_EMPTY: Final = '""'


class Bridges:
    """`streams` and `uplinks`, filled by `add`."""

    def __init__(self, remarks: Remarks) -> None:
        self.streams: list[dict[str, Any]] = []
        self.uplinks: list[dict[str, Any]] = []
        self._remarks = remarks

    def add(self, head: Line, section: Section) -> None:
        """One bridge; `head` is its `connection`."""
        name = self._name(head.value)
        filters = self._filters(section)
        url, reason = self._url(section)
        if not filters and reason is None:
            reason = "it sends nothing: it has no topic with out or both"
        if url is None or reason is not None:
            self._remarks.left_out(head, f"this bridge was left out: {reason}.")
            for line in section.lines:
                self._remarks.left_out(line, "its bridge was left out.")
            section.lines = []
            return
        uplink: dict[str, Any] = {"name": name, "url": url}
        self._credentials(section, uplink)
        self._tls(section, uplink)
        self._behaviour(section, uplink)
        uplink["streams"] = [self._stream(name, filters, head)]
        self.uplinks.append(uplink)
        self._remarks.different(
            head,
            "messages go in frames, under fieldgate/v1/{gateway}/{stream}; run `fieldgate receive` there, with a sink "
            "of the type mqtt to have them under their own topics.",
        )

    # ---- where, and as whom ---------------------------------------------------------------------------------------

    def _url(self, section: Section) -> tuple[str | None, str | None]:
        lines = section.take_all("address", "addresses")
        addresses = [address for line in lines for address in line.value.split()]
        if not addresses:
            return None, "it has no address"
        first = addresses[0]
        for line in lines:
            if line.value.split() != [first]:
                self._remarks.left_out(line, f"an uplink has one address, {first}; give the brokers one name.")
        is_tls = any(section.has(option) for option in ("bridge_cafile", "bridge_capath", "bridge_tls_use_os_certs"))
        if section.has("bridge_psk") or section.has("bridge_identity"):
            return None, "it uses a pre-shared key, and there is no TLS with those here"
        if first.count(":") > 1 and not first.startswith("["):
            first = f"[{first}]"  # an IPv6 address, which Mosquitto takes without a port only
        has_port = re.search(r":[0-9]+$", first) is not None
        url = f"{'mqtts' if is_tls else 'mqtt'}://{first}" + ("" if has_port else ":1883")
        try:
            return str(Url().parse(url)), None
        except ValueError as error:
            return None, str(error)

    def _credentials(self, section: Section, uplink: dict[str, Any]) -> None:
        username = _last(section, "remote_username", "username")
        password = _last(section, "remote_password", "password")
        if username is not None:
            uplink["username"] = username.value
        if password is not None and username is not None:
            uplink["password"] = password.value
            self._remarks.different(
                password, "it was carried over as it is; better: keep it in a file of its own, as password_file."
            )
        elif password is not None:
            self._remarks.left_out(password, "a password needs a user name beside it.")

    def _tls(self, section: Section, uplink: dict[str, Any]) -> None:
        tls: dict[str, Any] = {}
        for option, key in (
            ("bridge_cafile", "ca_file"),
            ("bridge_certfile", "cert_file"),
            ("bridge_keyfile", "key_file"),
        ):
            value, line = text(section, option, self._remarks)
            if value is None or line is None:
                continue
            if uplink["url"].startswith("mqtts:"):
                tls[key] = value
            else:
                self._remarks.left_out(line, "without bridge_cafile or bridge_capath there is no TLS.")
        for line in section.take_all("bridge_tls_use_os_certs"):
            self._remarks.needless(line, "the system's certificates are believed where there is no ca_file.")
        if tls:
            uplink["tls"] = tls

    def _behaviour(self, section: Section, uplink: dict[str, Any]) -> None:
        remarks = self._remarks
        version, line = text(section, "bridge_protocol_version", remarks)
        if version in _PROTOCOLS:
            uplink["protocol"] = _PROTOCOLS[version]
        elif line is not None:
            remarks.left_out(line, "an uplink speaks MQTT 5 or 3.1.1; it tries 5 first.")
        seconds, line = whole(section, "keepalive_interval", remarks)
        if line is not None and seconds == 0:
            remarks.left_out(line, "a bridge that sends no keep alive can't be had; it is 30s by default.")
        elif seconds:
            uplink["keep_alive"] = f"{min(seconds, 65535)}s"
        line = section.take("restart_timeout")
        if line is not None:
            written = line.value.split()
            if 1 <= len(written) <= 2 and all(re.fullmatch(r"[0-9]{1,5}", one) and int(one) for one in written):
                first, longest = int(written[0]), max(int(one) for one in written)
                uplink["retry"] = {"first": f"{min(first, 3600)}s", "max": f"{min(longest, 86_400)}s"}
                remarks.different(line, "waits are random, between 0 and a limit that doubles from first to max.")
            else:
                remarks.left_out(line, "expected one or two numbers of seconds.")
        size_bytes, line = whole(section, "bridge_max_packet_size", remarks)
        if line is not None and size_bytes == 0:
            remarks.needless(line, "a frame is bounded by batch.max_size, 128KiB by default.")
        elif size_bytes:
            uplink["batch"] = {"max_size": format_size(min(max(size_bytes, 1024), 256 * 1024 * 1024))}
            remarks.different(line, "it bounds a frame of many messages.")

    # ---- what -----------------------------------------------------------------------------------------------------

    def _filters(self, section: Section) -> list[str]:
        """The topic filters of what the bridge sends, each once."""
        filters: list[str] = []
        for line in section.take_all("topic"):
            words = line.value.split()
            if not words or len(words) > 5 or (len(words) > 1 and words[1] not in _DIRECTIONS):
                self._remarks.left_out(
                    line, "expected: topic pattern [out|in|both [qos [local-prefix remote-prefix]]]."
                )
                continue
            pattern, direction, _qos, local, remote = [*words, *("", "out", "0", "", "")[len(words) :]]
            if direction != "out":
                self._remarks.left_out(line, "messages do not come down an uplink; only what is sent was carried over.")
            if direction == "in":
                continue
            topic_filter = _plain(local) + _plain(pattern)
            try:
                topics.check_stream_filter(topic_filter)
            except ValueError as error:
                self._remarks.left_out(line, f"{error}.")
                continue
            if topic_filter.startswith("$"):
                self._remarks.left_out(line, "what begins with $ does not leave the gateway.")
                continue
            if _plain(local) != _plain(remote):
                self._remarks.left_out(
                    line, "topics are not renamed on their way; records keep the one they came with."
                )
            if topic_filter not in filters:
                filters.append(topic_filter)
        return filters

    def _stream(self, name: str, filters: list[str], head: Line) -> str:
        """The stream that takes these; a bridge that sends the same as one before shares its stream."""
        for stream in self.streams:
            if set(stream["topics"]) == set(filters):
                return str(stream["name"])
        shared = sorted({
            str(stream["name"])
            for stream in self.streams
            for here in stream["topics"]
            for there in filters
            if overlap(here, there)
        })  # fmt: skip
        if shared:
            self._remarks.left_out(
                head,
                f"what it sends is in part sent by {' and '.join(shared)}, too. A record goes into the first stream "
                "that matches, so this one gets the rest; divide the filters, and name the streams in both uplinks.",
            )
        self.streams.append({"name": name, "topics": filters})
        return name

    def _name(self, written: str) -> str:
        base = re.sub(r"[^A-Za-z0-9_-]+", "-", written).strip("-")[:60] or "bridge"
        names, name, number = {uplink["name"] for uplink in self.uplinks}, base, 2
        while name in names:
            name, number = f"{base}-{number}", number + 1
        return name


def _last(section: Section, *options: str) -> Line | None:
    """The last line of these options, which mean the same."""
    lines = section.take_all(*options)
    section.overridden += lines[:-1]
    return lines[-1] if lines else None


def _plain(word: str) -> str:
    return "" if word == _EMPTY else word
