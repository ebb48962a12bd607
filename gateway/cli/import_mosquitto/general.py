"""What is general in mosquitto.conf: sessions, retained messages, limits, the log. Pure."""

from __future__ import annotations

from typing import Any, Final

from config.units import format_size
from gateway.cli.import_mosquitto.conf import Section
from gateway.cli.import_mosquitto.remarks import Remarks
from gateway.cli.import_mosquitto.values import expiration, flag, text, whole

KIB: Final = 1024
MAX_PACKET_BYTES: Final = 256 * 1024 * KIB
SPOOL_SHARE: Final = 2
TOPIC_ROOM_BYTES: Final = 4 * KIB
"""What a packet has beside its payload, when only the payload was bounded."""

_LEVELS: Final = ("error", "warning", "info", "debug")
_LOG_TYPES: Final = {
    "debug": "debug", "all": "debug", "websockets": "debug", "subscribe": "debug", "unsubscribe": "debug",
    "information": "info", "notice": "info", "warning": "warning", "error": "error", "none": "error",
    "internal": "debug",
}  # fmt: skip


def sessions(general: Section, remarks: Remarks) -> dict[str, Any]:
    """The section `sessions`."""
    made: dict[str, Any] = {}
    number, line = whole(general, "global_max_clients", remarks, lowest=-1)
    if number is not None and number > 0:
        made["max_sessions"] = min(number, 10_000_000)
    elif number is not None:
        remarks.different(line, "sessions have a bound here: sessions.max_sessions is 100000 by default.")
    value, line = text(general, "persistent_client_expiration", remarks)
    if value is not None and line is not None:
        if (duration := expiration(value)) is None:
            remarks.left_out(line, "expected a number and one of h, d, w, m and y; Mosquitto does not take it either.")
        else:
            made["max_expiry"] = duration
    number, line = whole(general, "max_queued_messages", remarks)
    if number is not None:
        made["max_queued_messages"] = min(number, 10_000_000) or 10_000_000
        if not number:
            remarks.different(line, "a queue has a bound here: ten million messages, and sessions.max_queued_bytes.")
    number, line = whole(general, "max_queued_bytes", remarks)
    if number:
        made["max_queued_bytes"] = format_size(max(number, KIB))
        if number < KIB:
            remarks.different(line, "less than 1KiB can't be set.")
    elif number is not None:
        remarks.different(line, "a queue has a bound in bytes here, sessions.max_queued_bytes: 16MiB by default.")
    number, line = whole(general, "max_inflight_messages", remarks)
    if number is not None:
        made["max_in_flight"] = min(number, 65535) or 65535
    return made


def limits(general: Section, remarks: Remarks) -> dict[str, Any]:
    """The section `limits`."""
    made: dict[str, Any] = {}
    number, line = whole(general, "global_max_connections", remarks, lowest=-1)
    if number is not None and number > 0:
        made["max_connections"] = min(number, 1_000_000)
    elif number is not None:
        remarks.different(line, "connections have a bound here: limits.max_connections is 20000 by default.")
    seconds, line = whole(general, "sys_interval", remarks)
    if seconds is not None:
        made["sys_interval"] = f"{min(seconds, 86_400)}s" if seconds else "never"
        if seconds:
            remarks.different(line, "of the topics under $SYS those are there that the documentation names.")
    return made


def of_every_listener(general: Section, remarks: Remarks) -> dict[str, Any]:
    """What Mosquitto says once, and here each listener says for itself."""
    made: dict[str, Any] = {}
    payload, payload_line = whole(general, "message_size_limit", remarks)
    packet, packet_line = whole(general, "max_packet_size", remarks)
    size_bytes = packet or 0
    if payload:
        size_bytes = min(size_bytes or MAX_PACKET_BYTES, payload + TOPIC_ROOM_BYTES)
        remarks.different(
            payload_line,
            "here the whole packet is bounded, and a larger one closes its connection: max_packet_size has "
            f"{format_size(TOPIC_ROOM_BYTES)} more, for topic and properties.",
        )
    if size_bytes:
        made["max_packet_size"] = format_size(min(max(size_bytes, 64), MAX_PACKET_BYTES))
    else:
        line = packet_line or payload_line
        remarks.different(line, "Without a limit Mosquitto takes packets of 256 MiB; here max_packet_size is 2MiB.")
    seconds, line = whole(general, "max_keepalive", remarks)
    if seconds and seconds < 65535:
        made["max_keep_alive"] = f"{seconds}s"
    elif line is not None and seconds is not None:
        remarks.needless(line, "no keep alive is too long for the gateway unless max_keep_alive says so.")
    return made


def spool(of_listeners: dict[str, Any]) -> dict[str, Any]:
    """The section `spool`: a packet may have half of it."""
    from config.units import parse_size

    size_bytes = parse_size(of_listeners.get("max_packet_size", "2MiB"))
    needed_bytes = SPOOL_SHARE * size_bytes
    return {"max_size": format_size(needed_bytes)} if needed_bytes > 1024 * 1024 * KIB else {}


def log(general: Section, remarks: Remarks) -> dict[str, Any]:
    """The section `log`: the least severe of what Mosquitto would write."""
    for line in general.take_all("log_dest"):
        if line.value in {"stderr", "stdout"}:
            remarks.needless(line, "the log goes to standard error.")
        else:
            remarks.left_out(line, "the log goes to standard error only; the service manager writes it elsewhere.")
    written = general.take_all("log_type")
    if not written:
        return {}
    words = [word for line in written for word in line.value.split()]
    for line in written:
        if not line.value or any(word not in _LOG_TYPES for word in line.value.split()):
            remarks.left_out(line, "Mosquitto knows no such type.")
    known = [_LOG_TYPES[word] for word in words if word in _LOG_TYPES]
    return {"level": max(known, key=_LEVELS.index)} if known else {}


def persistence(general: Section, remarks: Remarks) -> None:
    """There is nothing to choose."""
    wanted, line = flag(general, "persistence", remarks)
    if line is None:
        remarks.different(
            None, "Mosquitto keeps everything in memory unless told; here what is acknowledged is on disk."
        )
    elif wanted:
        remarks.needless(line, "what is acknowledged is on disk.")
    elif wanted is False:
        remarks.different(
            line, "here what is acknowledged is on disk; sessions and retained messages outlive a restart."
        )
