"""A page of what is retained is bounded, however long the topics are, and the next one goes on behind it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from bridge.web.routes import Call
from bridge.web.shape import read_query
from gateway.api.topics import NAMES_BYTES
from tests.support.in_process import running, settings_with
from tests.support.plain_mqtt import PlainClient

TIMEOUT_S = 20.0
TOPICS = 40


async def test_a_page_of_long_topics_ends_early_and_nothing_is_left_out(tmp_path: Path) -> None:
    async with asyncio.timeout(TIMEOUT_S), running(settings_with(tmp_path)) as (gateway, port):
        client = await PlainClient.connect("127.0.0.1", port, "loud")
        topics = [f"{number:02}" + "x" * 60_000 for number in range(TOPICS)]
        for number, topic in enumerate(topics, 1):
            client.publish(topic, b"1", packet_id=number, retain=True)
            await client.read()
        (route,) = [route for route in gateway.api.web.routes if route.path == "/api/v1/retained"]
        assert route.operation is not None

        async def page(**query: str) -> Any:
            assert route.operation is not None
            read = read_query(route.operation.query, list(query.items()))
            return await route.handler(Call(method="GET", url_path=route.path, query=read))

        seen: list[str] = []
        after: dict[str, str] = {}
        pages = 0
        while True:
            found = await page(limit="1000", **after)
            pages += 1
            assert sum(len(one["topic"]) for one in found["retained"]) <= NAMES_BYTES
            seen += [one["topic"] for one in found["retained"]]
            if found["next_after"] is None:
                break
            after = {"after": found["next_after"]}
        await client.abort()
        assert (seen, pages) == (topics, 3)
