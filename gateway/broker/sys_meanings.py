"""What each value below `$SYS/broker/` means, for the reference; a test holds it against what is published."""

from __future__ import annotations

from typing import Final

MEANINGS: Final[dict[str, str]] = {
    "bytes/received": "bytes of packets that clients sent, since the start",
    "bytes/sent": "bytes of packets sent to clients, since the start",
    "clients/active": "clients that are connected (Mosquitto's older name)",
    "clients/connected": "clients that are connected",
    "clients/disconnected": "sessions whose client is away",
    "clients/expired": "sessions that expired, since the start",
    "clients/inactive": "sessions whose client is away (Mosquitto's older name)",
    "clients/maximum": "the most clients that were connected at once",
    "clients/total": "sessions, connected or not",
    "heap/current": "bytes of memory that the process has",
    "heap/maximum": "the most of them at a report",
    "load/bytes/received/+": "bytes received a minute, averaged over `1min`, `5min` and `15min`",
    "load/bytes/sent/+": "bytes sent a minute, likewise",
    "load/connections/+": "CONNECTs a minute that were let in, likewise",
    "load/messages/received/+": "packets received a minute, likewise",
    "load/messages/sent/+": "packets sent a minute, likewise",
    "load/publish/dropped/+": "messages a minute that subscribers did not get, likewise",
    "load/publish/received/+": "publishes received a minute, likewise",
    "load/publish/sent/+": "publishes sent a minute, likewise",
    "load/sockets/+": "CONNECTs a minute, those that were refused too, likewise",
    "messages/received": "packets of all kinds that clients sent, since the start",
    "messages/sent": "packets of all kinds sent to clients, since the start",
    "messages/stored": "messages that are kept for subscribers, and retained ones",
    "publish/bytes/received": "bytes of publishes received, since the start",
    "publish/bytes/sent": "bytes of publishes sent, since the start",
    "publish/messages/dropped": "messages that subscribers did not get, since the start",
    "publish/messages/received": "publishes received, since the start",
    "publish/messages/sent": "publishes sent, since the start",
    "retained messages/count": "topics with a retained message, those below `$SYS` too",
    "shared_subscriptions/count": "members of shared subscriptions",
    "store/messages/bytes": "bytes of the messages that are kept",
    "store/messages/count": "messages that are kept (Mosquitto's newer name)",
    "subscriptions/count": "subscriptions of all sessions",
    "uptime": "since the start, as `N seconds`",
    "version": "`fieldgate version N`",
}
