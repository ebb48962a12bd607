"""Every key of receiver.yaml."""

from __future__ import annotations

from config import topics
from config.kinds import Choice, Duration, FilePath, Size, Text, Whole
from config.settings import GIB, MIB, JsonLinesSink, MqttSink, ReceiverIdentity, ReceiverSettings, SqliteSink
from config.shapes import Key, Section, SectionList
from config.shared_keys import API, BROKER, KEEP_ALIVE, LOG, RETRY, TELEMETRY

FRAME_BYTES = 16 * MIB
"""What a gateway fills a frame to (`bridge.sealing.MAX_RAW_BYTES`): a receiver that takes less would set aside, and so
lose, what is sent to it in good order."""

_RECEIVER = Section(
    settings=ReceiverIdentity,
    keys=(
        Key(
            name="id",
            shape=Text(expected="a client id", check=topics.check_client_id, pattern=topics.CLIENT_ID_PATTERN),
            doc="The client id at the broker. It must stay the same, because the broker keeps frames under it.",
        ),
        *BROKER,
        Key(
            name="topic",
            shape=Text(expected="a topic filter", check=topics.check_subscription),
            doc="Where frames arrive.",
        ),
        Key(name="state", shape=FilePath(), doc="The ledger of what has arrived."),
        KEEP_ALIVE,
        Key(
            name="session_expiry",
            attribute="session_expiry_s",
            shape=Duration(minimum_s=60, maximum_s=0xFFFF_FFFE, whole=True, example="1h or 7d"),
            doc="The broker keeps frames at least this long while the receiver is away (MQTT 5).",
        ),
        Key(
            name="max_frame_size",
            attribute="max_frame_size_bytes",
            shape=Size(minimum_bytes=FRAME_BYTES, maximum_bytes=GIB),
            doc="No frame is inflated past this; a larger one is set aside.",
        ),
        Key(name="retry", shape=RETRY, doc="How long to wait after a failure, with full jitter."),
    ),
)

_SINK_TYPE = Key(
    name="type",
    shape=Choice(words={word: word for word in ("jsonl", "sqlite", "mqtt")}),
    doc="What kind of sink this is.",
    selects=True,
)

_SINKS = {
    "jsonl": Section(
        settings=JsonLinesSink,
        keys=(
            _SINK_TYPE,
            Key(name="path", shape=FilePath(), doc="One JSON object a line is appended to this file."),
        ),
    ),
    "sqlite": Section(
        settings=SqliteSink,
        keys=(_SINK_TYPE, Key(name="path", shape=FilePath(), doc="The database that gets the table `record`.")),
    ),
    "mqtt": Section(
        settings=MqttSink,
        keys=(
            _SINK_TYPE,
            *BROKER,
            Key(name="window", shape=Whole(minimum=1, maximum=65535), doc="Publishes in flight at most."),
        ),
    ),
}

SINKS = SectionList(noun="sink", label="type", variants=_SINKS)

RECEIVER = Section(
    settings=ReceiverSettings,
    keys=(
        Key(name="receiver", shape=_RECEIVER, doc="Where frames come from, and where the ledger is kept."),
        Key(name="api", shape=API, doc="The HTTP interface."),
        Key(
            name="sinks",
            shape=SINKS,
            doc="Where records go. A frame is acknowledged when every sink has it.",
        ),
        Key(name="telemetry", shape=TELEMETRY, doc="Metrics pushed by OpenTelemetry's protocol."),
        Key(name="log", shape=LOG, doc="What is logged, and how."),
    ),
)
