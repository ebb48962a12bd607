"""What is known of a client beyond its connection (MQTT 5 §4.1), and how it is kept on disk.

A session that outlives its connection is durable: its snapshot is given to the store before a CONNACK or SUBACK says
so. The snapshot is one MessagePack array:

    [version 2, expiry_interval_s, [[filter, qos, options, subscription identifier], …], ids awaiting PUBREL (bin),
     number, access, user name or nil, will or nil]

Options: bit 0 no local, bit 1 retain as published, bits 2-3 retain handling. The ids are two bytes each, as in packets.
A will is [topic, payload (bin), qos, retain, delay_interval_s, properties (map) or nil]. Version 1, which is still
read, ends with the ids.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgpack

from bridge.record import Properties
from gateway.access.ports import UNLIMITED, Rights
from gateway.broker.activity import Activity
from gateway.broker.held import Held
from gateway.broker.outgoing import Outgoing
from gateway.broker.ports import Connected, Promised
from gateway.broker.queue_limits import QueueLimits
from gateway.broker.retained_feed import RetainedFeed
from gateway.mqtt.packets import Subscription, Will

NEVER_EXPIRES: Final = 0xFFFFFFFF
"""A Session Expiry Interval of this many seconds means that the session does not expire (§3.1.2.11.2)."""

_SNAPSHOT_VERSION: Final = 2
_HEAD: Final = bytes([0x98, _SNAPSHOT_VERSION])
"""How a MessagePack array of eight begins whose first is the version."""


class SnapshotUnreadable(Exception):
    """The bytes of a stored session are not a snapshot of a version that is read here."""


class Session:
    """One client's state. `awaiting_release`: QoS 2 ids whose PUBREL has not come, each with what answers it."""

    __slots__ = (
        "access",
        "activity",
        "awaiting_release",
        "change",
        "client",
        "client_id",
        "expiry_interval_s",
        "feed",
        "filters_bytes",
        "number",
        "on_disk",
        "outgoing",
        "packed_subscriptions",
        "rights",
        "saved",
        "shared",
        "subscriptions",
        "undo",
        "username",
        "will",
    )

    def __init__(self, client_id: str, expiry_interval_s: int, limits: QueueLimits | None = None) -> None:
        self.client_id = client_id
        self.expiry_interval_s = expiry_interval_s
        self.number = 0
        """While it is durable, a number that no other session ever had: what it has on disk stands under it."""
        self.access = ""
        self.username: str | None = None
        self.rights: Rights = UNLIMITED
        self.client: Connected | None = None
        self.activity = Activity()
        self.will: Will | None = None
        """What is to be published when it is lost; from CONNECT until it is published or deleted."""
        self.subscriptions: dict[str, Held] = {}
        self.filters_bytes = 0
        """What their filters take in a snapshot."""
        self.packed_subscriptions: bytes | None = None
        """All of them as they stand in a snapshot; None when they have changed. Each QoS 2 publish makes a snapshot,
        and to pack ten thousand of them takes 20 ms."""
        self.shared: set[str] | None = None
        """Those of them that are shared; None while there is none, as with `feed`."""
        self.feed: RetainedFeed | None = None
        """Retained messages that its new subscriptions still have to get."""
        self.awaiting_release: dict[bytes, Promised | None] = {}
        self.outgoing = Outgoing(limits)
        self.change = 0
        """Counts what was given to the store; `saved` is the last of it that is known to be on disk."""
        self.saved = -1
        self.undo: Callable[[], None] | None = None
        """Takes back what a CONNECT has changed; None when none waits for the disk. Of several that do it is the first
        one's: no client was told of what came after it."""
        self.on_disk = False
        """Whether the disk may have any state of it, which has to be forgotten when the session ends."""

    @property
    def is_durable(self) -> bool:
        """Whether the session outlives its connection."""
        return self.expiry_interval_s > 0

    @property
    def is_stored(self) -> bool:
        """Whether the disk is known to have the session as it is now."""
        return self.saved == self.change

    def snapshot(self) -> bytes:
        """The session as it is kept on disk."""
        if self.packed_subscriptions is None:
            self.packed_subscriptions = msgpack.packb(
                [
                    [topic_filter, held.subscription.qos, _options(held.subscription), held.identifier]
                    for topic_filter, held in self.subscriptions.items()
                ]
            )
        rest = (
            b"".join(self.awaiting_release),
            self.number,
            self.access,
            self.username,
            None if self.will is None else _packed_will(self.will),
        )
        pack = msgpack.packb
        return b"".join((_HEAD, pack(self.expiry_interval_s), self.packed_subscriptions, *map(pack, rest)))

    @classmethod
    def restore(cls, client_id: str, snapshot: bytes, limits: QueueLimits | None = None) -> Session:
        """The session of a snapshot. Raises SnapshotUnreadable."""
        try:
            version, *rest = msgpack.unpackb(snapshot)
            if version == 1:
                rest += [0, "", None, None]
            elif version != _SNAPSHOT_VERSION:
                raise SnapshotUnreadable(f"It is of version {version}; versions up to {_SNAPSHOT_VERSION} are read.")
            expiry_interval_s, subscriptions, ids, number, access, username, will = rest
            session = cls(client_id, int(expiry_interval_s), limits)
            for topic_filter, qos, options, identifier in subscriptions:
                session.subscriptions[topic_filter] = _held(topic_filter, qos, options, identifier)
            session.awaiting_release = {bytes(ids[i : i + 2]): None for i in range(0, len(ids), 2)}
            session.number = int(number)
            session.access = str(access)
            session.username = None if username is None else str(username)
            session.will = None if will is None else _will(*will)
        except (ValueError, TypeError, OverflowError, AttributeError, msgpack.UnpackException) as error:
            raise SnapshotUnreadable(f"It is not a snapshot: {error}") from error
        session.saved = session.change
        session.on_disk = True
        return session


def without_exchanges(snapshot: bytes) -> bytes:
    """The snapshot for a store that goes back to an earlier moment: with no QoS 2 exchange that waits for PUBREL.

    The client has ended those exchanges long ago and uses their ids for other messages, which would be taken for
    repeats, answered and never stored. One that was really cut off there may be stored twice: the lesser evil. A
    snapshot that can't be read comes back as it is.
    """
    try:
        session = Session.restore("", snapshot)
    except SnapshotUnreadable:
        return snapshot
    if not session.awaiting_release:
        return snapshot
    session.awaiting_release.clear()
    return session.snapshot()


def _options(subscription: Subscription) -> int:
    return subscription.no_local | subscription.retain_as_published << 1 | subscription.retain_handling << 2


def _held(topic_filter: Any, qos: Any, options: Any, identifier: Any) -> Held:
    if not (isinstance(topic_filter, str) and topic_filter and qos in {0, 1, 2}):
        raise ValueError(f"{topic_filter!r} with QoS {qos!r} is no subscription")
    return Held(
        subscription=Subscription(
            topic_filter=topic_filter,
            qos=qos,
            no_local=bool(options & 1),
            retain_as_published=bool(options & 2),
            retain_handling=options >> 2,
        ),
        identifier=identifier,
    )


def _packed_will(will: Will) -> list[Any]:
    properties = None if will.properties is None else will.properties.to_map()
    return [will.topic, will.payload, will.qos, will.retain, will.delay_interval_s, properties]


def _will(topic: Any, payload: Any, qos: Any, retain: Any, delay_interval_s: Any, properties: Any) -> Will:
    if not (isinstance(topic, str) and isinstance(payload, bytes) and qos in {0, 1, 2}):
        raise ValueError(f"a will to {topic!r} with QoS {qos!r} is none")
    return Will(
        topic=topic,
        payload=payload,
        qos=qos,
        retain=bool(retain),
        delay_interval_s=int(delay_interval_s),
        properties=None if properties is None else Properties.from_map(properties),
    )
