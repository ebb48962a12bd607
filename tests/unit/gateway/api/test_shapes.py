"""What devices send is shown in parts that nobody can make large."""

from __future__ import annotations

import orjson
import pytest

from bridge.record import Properties, Record
from gateway.api import shapes


def record_with(properties: Properties) -> Record:
    return Record(
        seq=1, received_at_us=1, client="c", topic="t", payload=b"x", qos=0, retain=False, properties=properties
    )


def test_properties_that_are_small_are_shown_whole() -> None:
    small = Properties(content_type="text/plain", correlation_data=b"\xff", user_property=(("a", "b"),))
    assert shapes.record(record_with(small))["properties"] == {
        "content_type": "text/plain",
        "user_property": (("a", "b"),),
        "correlation_data_base64": "/w==",
    }


@pytest.mark.parametrize(
    "large",
    [
        Properties(content_type="c" * 65535),
        Properties(response_topic="r" * 65535),
        Properties(correlation_data=b"d" * 65535),
        Properties(user_property=(("k" * 65535, "v" * 65535),) * 15),
        Properties(user_property=(("k", "v"),) * 100_000, message_expiry_interval=7),
    ],
    ids=["content type", "response topic", "correlation data", "long pairs", "many pairs"],
)
def test_of_properties_that_are_large_the_beginnings_are_shown_and_it_is_said(large: Properties) -> None:
    shown = shapes.record(record_with(large))["properties"]
    assert shown.pop("is_truncated") is True
    assert len(shown) == len(large.to_map())
    assert len(orjson.dumps(shown)) < shapes.PROPERTIES_BYTES


def test_a_name_is_cut_where_nobody_gives_one_so_long_in_earnest() -> None:
    assert shapes.name("n" * 1024) == "n" * 1024
    assert shapes.name("n" * 1025) == "n" * 1024 + "…"
