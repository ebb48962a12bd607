"""The keys of gateway.yaml that bound what the broker keeps and takes: sessions, retained, limits."""

from __future__ import annotations

from config.kinds import Choice, Duration, Maybe, Size, Whole
from config.settings import GIB, KIB, Limits, Retained, Sessions, WhenQueueFull
from config.shapes import Key, Section
from config.shared_keys import DAY, UNLIMITED

_LONGEST_EXPIRY_S = 0xFFFFFFFE  # 0xFFFFFFFF is "never" (§3.1.2.11.2)

SESSIONS = Section(
    settings=Sessions,
    keys=(
        Key(name="max_sessions", shape=Whole(minimum=1, maximum=10_000_000), doc="One more is refused."),
        Key(
            name="max_expiry",
            attribute="max_expiry_s",
            shape=Maybe(
                kind=Duration(minimum_s=0, maximum_s=_LONGEST_EXPIRY_S, whole=True, example="1h or 7d"), word=UNLIMITED
            ),
            doc="Sessions that ask to be kept for longer get this; unlimited: as long as they ask, those of 3.1.1 "
            "for ever.",
        ),
        Key(
            name="max_sessions_per_user",
            shape=Maybe(kind=Whole(minimum=1, maximum=10_000_000), word=UNLIMITED),
            doc="Sessions of one user name.",
        ),
        Key(name="max_subscriptions", shape=Whole(minimum=1, maximum=1_000_000), doc="Subscriptions of one session."),
        Key(
            name="max_queued_messages",
            shape=Whole(minimum=1, maximum=10_000_000),
            doc="Messages that wait for one session.",
        ),
        Key(
            name="max_queued_bytes",
            shape=Size(minimum_bytes=KIB, maximum_bytes=1024 * GIB),
            doc="Bytes that wait for one session.",
        ),
        Key(
            name="max_total_queued_bytes",
            shape=Size(minimum_bytes=KIB, maximum_bytes=1024 * GIB),
            doc="Bytes that wait for all sessions; with retained.max_bytes at most half of spool.max_size, which the "
            "default follows.",
        ),
        Key(
            name="when_full",
            shape=Choice.of(WhenQueueFull),
            doc="Which message is dropped, and counted, when a session's queue is full.",
        ),
        Key(
            name="max_in_flight",
            shape=Whole(minimum=1, maximum=65535),
            doc="Messages in flight to one subscriber, where it did not ask for fewer.",
        ),
    ),
)

RETAINED = Section(
    settings=Retained,
    keys=(
        Key(name="max_messages", shape=Whole(minimum=1, maximum=10_000_000), doc="Topics with a retained message."),
        Key(
            name="max_bytes",
            shape=Size(minimum_bytes=KIB, maximum_bytes=1024 * GIB),
            doc="Bytes of all retained messages; counts towards spool.max_size.",
        ),
    ),
)

LIMITS = Section(
    settings=Limits,
    keys=(
        Key(
            name="max_connections",
            shape=Whole(minimum=1, maximum=1_000_000),
            doc="Connections of all listeners together; one more is closed at once.",
        ),
        Key(name="max_topic_levels", shape=Whole(minimum=1, maximum=200), doc="Levels of a topic or of a filter."),
        Key(
            name="max_user_properties",
            shape=Whole(minimum=0, maximum=10_000),
            doc="User properties of one packet (MQTT 5).",
        ),
        Key(
            name="sys_interval",
            attribute="sys_interval_s",
            shape=Maybe(kind=Duration(minimum_s=1, maximum_s=DAY, example="10s or 1m"), word="never"),
            doc="How often $SYS/broker/… is published.",
        ),
    ),
)
