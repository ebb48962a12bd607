"""With a thousand devices and five thousand topics no body takes long to make: the loop serves devices meanwhile."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from bridge.web.routes import Answer, Call
from bridge.web.shape import read_query
from gateway.app import Gateway
from gateway.history import Totals
from tests.support.in_process import running, settings_with
from tests.support.plain_mqtt import PlainClient

DEVICES = 1000
TOPICS_EACH = 5
MOST_S = 0.1
"""Measured at 15 ms at most; a slower machine gets some more."""

PATHS: list[tuple[str, dict[str, str], dict[str, str]]] = [
    ("/api/v1/overview", {}, {}),
    ("/api/v1/history", {"span": "24h"}, {}),
    ("/api/v1/history", {"span": "30d"}, {}),
    ("/api/v1/streams", {}, {}),
    ("/api/v1/devices", {"limit": "500", "sort": "per_s", "order": "desc"}, {}),
    ("/api/v1/devices/{client}", {}, {"client": "dev/3"}),
    ("/api/v1/topics", {}, {}),
    ("/api/v1/topics", {"prefix": "plant/", "limit": "1000"}, {}),
    ("/api/v1/topics", {"search": "line3"}, {}),
    ("/api/v1/retained", {"limit": "1000"}, {}),
    ("/api/v1/events", {"limit": "500"}, {}),
    ("/api/v1/status", {}, {}),
    ("/metrics", {}, {}),
]


async def fill(gateway: Gateway, port: int) -> list[PlainClient]:
    clients = []
    for number in range(DEVICES):
        client = await PlainClient.connect("127.0.0.1", port, f"dev/{number}")
        for k in range(TOPICS_EACH):
            topic = f"plant/{number % 20}/line{number % 7}/{number}/{k}"
            client.publish(topic, b'{"t": 1}', packet_id=k + 1, retain=k == 0)
        clients.append(client)
    for client in clients:
        for _ in range(TOPICS_EACH):
            await client.read()
    now_s = gateway.chronicle._clock.now_us() / 1e6
    for quarter in range(30 * 24 * 4):
        counts = {"accepted": quarter * 1000, "delivered": quarter * 900, "raw_bytes": quarter * 99_999}
        totals = Totals(**counts, dropped=0, wire_bytes=quarter * 9999, records=quarter, bytes=quarter * 100)
        gateway.chronicle.history.feed(now_s - 30 * 86400 + 900 * quarter, 1e7 + 900 * quarter, totals)
    return clients


@pytest.mark.slow
async def test_no_body_of_a_large_site_takes_long_to_make(tmp_path: Path) -> None:
    async with running(settings_with(tmp_path)) as (gateway, port):
        clients = await fill(gateway, port)
        routes = {route.path: route for route in gateway.api.web.routes if route.method == "GET"}
        took_s: dict[str, float] = {}
        for path, query, places in PATHS:
            route = routes[path]
            assert route.operation is not None
            read = read_query(route.operation.query, list(query.items()))
            tries = []
            for _ in range(5):
                call = Call(method="GET", url_path=path, path=places, query=read, role="viewer")
                start_s = time.thread_time()  # of the loop's own thread: what others do on this machine is not in it
                found: Any = await route.handler(call)
                body = found.body if isinstance(found, Answer) else orjson.dumps(found)
                tries.append(time.thread_time() - start_s)
                assert body
            took_s[f"{path} {query}"] = min(tries)
        for client in clients:
            await client.abort()
    assert {path: round(seconds, 3) for path, seconds in took_s.items() if seconds > MOST_S} == {}
