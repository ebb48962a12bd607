"""Every key of gateway.yaml; those of listeners, access and limits are in files of their own."""

from __future__ import annotations

from config import topics
from config.access_keys import ACCESS
from config.kinds import Choice, Duration, FilePath, Maybe, Size, Text, Whole
from config.limits_keys import LIMITS, RETAINED, SESSIONS
from config.listener_keys import LISTENER
from config.settings import (
    GIB,
    KIB,
    MIB,
    Batch,
    Compression,
    Encoding,
    GatewayIdentity,
    GatewaySettings,
    Spool,
    Stream,
    Uplink,
    WhenFull,
)
from config.shapes import Key, Section, SectionList, ValueList
from config.shared_keys import API, BROKER, DAY, KEEP_ALIVE, LOG, RETRY, TELEMETRY, YEAR, name_key

_IDENTITY = Section(
    settings=GatewayIdentity,
    keys=(
        Key(
            name="id",
            shape=Text(expected="an id", check=topics.check_gateway_id, pattern=topics.GATEWAY_ID_PATTERN),
            doc="Who this gateway is to the cloud; left out: the host's name.",
        ),
        Key(name="data_dir", shape=FilePath(), doc="Where the spool is kept. One gateway a folder."),
        Key(
            name="grace_period",
            attribute="grace_period_s",
            shape=Duration(minimum_s=0, maximum_s=3600),
            doc="How long a stop waits for the cloud to acknowledge what is in flight.",
        ),
    ),
)

_STREAM = Section(
    settings=Stream,
    keys=(
        name_key("stream"),
        Key(
            name="topics",
            shape=ValueList(
                item=Text(expected="a topic filter", check=topics.check_stream_filter), example='["sensors/#"]'
            ),
            doc="Topic filters; the first stream with a filter that matches takes the record.",
        ),
        Key(
            name="time_to_live",
            attribute="time_to_live_s",
            shape=Maybe(kind=Duration(minimum_s=1, maximum_s=100 * YEAR), word="forever"),
            doc="Records older than this are dropped, counted and reported; forever keeps them.",
        ),
    ),
)

_SPOOL = Section(
    settings=Spool,
    keys=(
        Key(
            name="max_size",
            attribute="max_size_bytes",
            shape=Size(minimum_bytes=MIB, maximum_bytes=16 * 1024 * GIB),
            doc="The database and its write-ahead log together stay below this.",
        ),
        Key(
            name="when_full",
            shape=Choice.of(WhenFull),
            doc="Drop the oldest records, counted and reported; or reject new ones, unacknowledged.",
        ),
        Key(
            name="durability",
            attribute="durability_s",
            shape=Maybe(kind=Duration(minimum_s=0.001, maximum_s=3600, example="1s"), word="commit"),
            doc="commit: an acknowledgement waits for the disk. A duration: the disk is synced that often, and a power "
            "cut may lose what was acknowledged since.",
        ),
    ),
)

_BATCH = Section(
    settings=Batch,
    keys=(
        Key(name="max_records", shape=Whole(minimum=1, maximum=1_000_000), doc="A frame has at most so many records."),
        Key(
            name="max_size",
            attribute="max_size_bytes",
            shape=Size(minimum_bytes=KIB, maximum_bytes=256 * MIB),
            doc="A frame is sealed at this size on the wire.",
        ),
        Key(
            name="linger",
            attribute="linger_s",
            shape=Duration(minimum_s=0, maximum_s=DAY),
            doc="A record waits at most this long for others to share its frame.",
        ),
    ),
)

_UPLINK = Section(
    settings=Uplink,
    keys=(
        name_key("uplink"),
        *BROKER,
        Key(
            name="streams",
            shape=ValueList(item=Text(expected="the name of a stream"), example='["*"]'),
            doc='The streams it carries; "*" is all of them.',
        ),
        Key(
            name="topic",
            shape=Text(expected="a topic", check=topics.check_topic_template),
            doc="Where frames are published; {gateway} and {stream} are filled in.",
        ),
        Key(name="batch", shape=_BATCH, doc="When a frame is full."),
        Key(name="encoding", shape=Choice.of(Encoding), doc="How records are laid out in a frame."),
        Key(name="compression", shape=Choice.of(Compression), doc="How a frame is compressed."),
        Key(name="window", shape=Whole(minimum=1, maximum=65535), doc="Frames in flight at most."),
        Key(
            name="ack_timeout",
            attribute="ack_timeout_s",
            shape=Duration(minimum_s=0.1, maximum_s=3600),
            doc="A frame that is not acknowledged by then is sent again.",
        ),
        KEEP_ALIVE,
        Key(name="retry", shape=RETRY, doc="How long to wait after a failure, with full jitter."),
    ),
)

GATEWAY = Section(
    settings=GatewaySettings,
    keys=(
        Key(name="gateway", shape=_IDENTITY, doc="Who this box is, and where it keeps its data."),
        Key(
            name="listeners",
            shape=SectionList(noun="listener", label="name", variants={"": LISTENER}),
            doc="The doors for devices.",
        ),
        Key(
            name="access",
            shape=SectionList(noun="access", label="name", variants={"": ACCESS}),
            doc="Who may come in, and what he may do then; each listener names one.",
        ),
        Key(name="sessions", shape=SESSIONS, doc="What is kept for subscribers, each of them, but for the totals."),
        Key(name="retained", shape=RETAINED, doc="How much is kept of what was published with RETAIN."),
        Key(name="limits", shape=LIMITS, doc="What one packet may hold, and $SYS."),
        Key(
            name="streams",
            shape=SectionList(noun="stream", label="name", variants={"": _STREAM}),
            doc="Lanes of records, in order of match; a topic that no stream takes stays local.",
        ),
        Key(name="spool", shape=_SPOOL, doc="The local store of what the cloud has not acknowledged yet."),
        Key(
            name="uplinks",
            shape=SectionList(noun="uplink", label="name", variants={"": _UPLINK}),
            doc="The roads to the cloud. A record is forgotten when every uplink of its stream has delivered it.",
        ),
        Key(name="api", shape=API, doc="The HTTP interface and the dashboard."),
        Key(name="telemetry", shape=TELEMETRY, doc="Metrics pushed by OpenTelemetry's protocol."),
        Key(name="log", shape=LOG, doc="What is logged, and how."),
    ),
)
