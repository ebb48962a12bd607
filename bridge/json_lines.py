"""Records as JSON, one object a line: for people, and for rules engines in a cloud.

    {"gateway","stream","epoch","seq","received_at","client","topic","qos","retain",
     "payload" | "payload_base64","properties"?}

`received_at` is RFC 3339 in UTC with microseconds. A payload that is UTF-8 stands as text in `payload`, any other in
`payload_base64`. `properties` has the MQTT 5 properties that are set, by the names of `bridge.record.Properties`;
correlation data, being bytes, stands as `correlation_data_base64`. Every line ends in a line feed.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import repeat
from typing import Any, Final

import orjson

from bridge.block import MAX_TIME_US, Block
from bridge.errors import BlockError
from bridge.record import FLAG_QOS_SHIFT, FLAG_RETAIN, Properties

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_FEW_CONTAINERS: Final = 1000
_PAIR_BYTES: Final = 8


@lru_cache(maxsize=256)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


def rfc3339(time_us: int) -> str:
    """Microseconds since 1970 UTC as RFC 3339 with six decimals and a Z."""
    seconds, fraction_us = divmod(time_us, 1_000_000)
    return f"{_second(seconds)}.{fraction_us:06d}Z"


def parse_rfc3339(text: str) -> int:
    """The inverse of `rfc3339`; takes any offset. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no offset from UTC")
    time_us = (moment - _EPOCH) // _MICROSECOND
    if not 0 <= time_us < MAX_TIME_US:
        raise ValueError(f"{text!r} is before 1970")
    return time_us


def properties_object(properties: Properties) -> dict[str, Any]:
    """MQTT 5 properties as JSON takes them."""
    value = properties.to_map()
    if "correlation_data" in value:
        value["correlation_data_base64"] = base64.b64encode(value.pop("correlation_data")).decode("ascii")
    return value


class _Stamps(dict[int, bytes]):
    """RFC 3339 by microseconds: records that came together share one."""

    def __missing__(self, time_us: int) -> bytes:
        stamp = self[time_us] = rfc3339(time_us).encode("ascii")
        return stamp


class _Middles(dict[tuple[int, int, int], bytes]):
    """A line's client, topic, QoS and retain, by (client index, topic index, flags)."""

    def __init__(self, block: Block) -> None:
        self._clients = list(map(orjson.dumps, block.clients))
        self._topics = list(map(orjson.dumps, block.topics))

    def __missing__(self, key: tuple[int, int, int]) -> bytes:
        client, topic, flags = key
        middle = self[key] = b'"client":%b,"topic":%b,"qos":%d,"retain":%b' % (
            self._clients[client],
            self._topics[topic],
            flags >> FLAG_QOS_SHIFT,
            b"true" if flags & FLAG_RETAIN else b"false",
        )
        return middle


def encode_lines(block: Block, *, gateway: str, stream: str, epoch: str) -> bytes:
    """All records of the block, a line each.

    Made by columns: what records share (topic, client, time, the constant parts) becomes JSON once, and each line is
    one formatting of bytes, called from C; half again as fast as a dict and orjson a record. Guarded by tests/bench
    (receiver into jsonl).
    """
    dumps = orjson.dumps
    opening = b'{"gateway":%b,"stream":%b,"epoch":%b,"seq":' % (dumps(gateway), dumps(stream), dumps(epoch))
    try:
        payloads = list(map(dumps, map(bytes.decode, block.payloads)))
        member = b'"payload":%b'
    except UnicodeDecodeError:
        payloads = list(map(_payload_member, block.payloads))
        member = b"%b"
    endings: Iterable[bytes] = repeat(b"")
    if block.property_index is not None:
        sets = [b"", *(b',"properties":' + dumps(properties_object(item)) for item in block.property_sets)]
        endings = map(sets.__getitem__, block.property_index)
    line = opening.replace(b"%", b"%%") + b'%d,"received_at":"%b",%b,' + member + b"%b}\n"
    columns = zip(
        range(block.first_seq, block.next_seq),
        map(_Stamps().__getitem__, [block.received_at_us + delta_us for delta_us in block.delta_us]),
        map(_Middles(block).__getitem__, zip(block.client_index, block.topic_index, block.flags, strict=True)),
        payloads,
        endings,
        strict=False,  # `repeat` has no end; every other column has one entry a record
    )
    return b"".join(map(line.__mod__, columns))


def _payload_member(payload: bytes) -> bytes:
    try:
        return b'"payload":' + orjson.dumps(payload.decode())
    except UnicodeDecodeError:
        return b'"payload_base64":"%b"' % base64.b64encode(payload)


def decode_lines(data: bytes, first_seq: int, max_records: int | None = None) -> Block:
    """The lines as one block whose first record is `first_seq`. Raises BlockError when they are anything else.

    With `max_records`, as a frame declares them, more lines are refused before any is read.
    """
    topics: dict[str, int] = {}
    clients: dict[str, int] = {}
    topic_index: list[int] = []
    client_index: list[int] = []
    times_us: list[int] = []
    flags = bytearray()
    payloads: list[bytes] = []
    sets: list[Properties] = []
    property_index: list[int] = []
    if not data.endswith(b"\n"):
        raise BlockError("The last line of JSON does not end.")
    if max_records is not None and data.count(b"\n") > max_records:
        raise BlockError(f"There are more lines of JSON than {max_records}.")
    for number, text in enumerate(data[:-1].split(b"\n")):
        try:
            _check_nesting(text)
            line = orjson.loads(text)
            if line["seq"] != first_seq + number:
                raise ValueError(f"its sequence number is {line['seq']}, expected {first_seq + number}")
            topic_index.append(topics.setdefault(_text(line["topic"]), len(topics)))
            client_index.append(clients.setdefault(_text(line["client"]), len(clients)))
            times_us.append(parse_rfc3339(line["received_at"]))
            flags.append(_flags(line["qos"], line["retain"]))
            payloads.append(_payload(line))
            if "properties" in line:
                sets.append(_properties(line["properties"]))
                property_index.append(len(sets))
            else:
                property_index.append(0)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise BlockError(f"Line {number + 1} of JSON is not a record: {error}") from error
    return Block(
        first_seq=first_seq,
        received_at_us=times_us[0],
        topics=list(topics),
        clients=list(clients),
        topic_index=topic_index,
        client_index=client_index,
        delta_us=[time_us - times_us[0] for time_us in times_us],
        flags=bytes(flags),
        payloads=payloads,
        property_sets=sets,
        property_index=property_index if sets else None,
    )


def _check_nesting(text: bytes) -> None:
    """Refuse a line with more arrays and objects than its length explains, before they are built.

    An array is two bytes of JSON and some seventy of memory. A record's are pairs of strings, of seven bytes each and
    their comma; what stands in a payload's text builds nothing.
    """
    if text.count(b"[") + text.count(b"{") <= _FEW_CONTAINERS:
        return
    bare = _STRING.sub(b"", text)
    if (bare.count(b"[") + bare.count(b"{")) * _PAIR_BYTES > len(text):
        raise ValueError("it holds more arrays and objects than a record has")


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError(f"{value!r} is not text")
    return value


def _flags(qos: Any, retain: Any) -> int:
    if type(qos) is not int or not 0 <= qos <= 2 or type(retain) is not bool:
        raise ValueError(f"QoS {qos!r} or retain {retain!r} is out of range")
    return qos << FLAG_QOS_SHIFT | retain


def _payload(line: dict[str, Any]) -> bytes:
    if "payload" in line:
        return _text(line["payload"]).encode()
    return _bytes(line["payload_base64"])


def _bytes(value: Any) -> bytes:
    try:
        return base64.b64decode(_text(value), validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error


def _properties(value: Any) -> Properties:
    known = dict(value)
    if "correlation_data_base64" in known:
        known["correlation_data"] = _bytes(known.pop("correlation_data_base64"))
    return Properties.from_map(known)
