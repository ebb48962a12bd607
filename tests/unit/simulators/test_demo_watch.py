"""The watch of the demo and of the scenarios, against an HTTP server that answers as it is told."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from simulators.demo.scene import Scene
from simulators.demo.site import HOST, Site
from simulators.demo.watch import Watch
from simulators.units import Endpoint

LONG_S = 20.0


class Gateway:
    """Says how many records wait: what `answers` holds, one after another, and the last for ever."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.asked = asyncio.Event()
        """Somebody is asking; who answers is `may_answer`."""
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def status(self, _: web.Request) -> web.Response:
        self.asked.set()
        await self.may_answer.wait()
        waiting = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.json_response({"uptime_s": 1, "streams": {"a": {"records": waiting}}, "uplinks": {}})


async def receiver_status(_: web.Request) -> web.Response:
    return web.json_response({"records": 0, "duplicates": 0})


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[tuple[Gateway, Watch, Scene]]:
    gateway = Gateway(0)
    apis, runners = [], []
    for handler in (gateway.status, receiver_status):
        application = web.Application()
        application.router.add_get("/api/v1/status", handler)
        runner = web.AppRunner(application, shutdown_timeout=0)
        await runner.setup()
        listening = socket.create_server((HOST, 0))
        apis.append(Endpoint(host=HOST, port=listening.getsockname()[1]))
        await web.SockSite(runner, listening).start()
        runners.append(runner)
    nowhere = Endpoint(host=HOST, port=1)
    site = Site(folder=tmp_path, devices=nowhere, cloud=nowhere, gateway_api=apis[0], receiver_api=apis[1])
    scene = Scene(duration_s=60)
    try:
        async with Watch(site, scene) as watch:
            yield gateway, watch, scene
    finally:
        gateway.may_answer.set()
        for runner in runners:
            await runner.cleanup()


async def test_what_was_known_before_fulfils_nothing(gateway: tuple[Gateway, Watch, Scene]) -> None:
    says, watch, scene = gateway
    assert await watch.until(lambda: scene.waiting == 0, timeout_s=LONG_S)
    says.answers = [19, 19, 0]
    assert await watch.until(lambda: scene.waiting == 0, timeout_s=LONG_S), "the records left in the end"
    assert says.answers == [0], "and it was not said before they had"


async def test_an_answer_on_its_way_fulfils_nothing_either(gateway: tuple[Gateway, Watch, Scene]) -> None:
    says, watch, scene = gateway
    says.may_answer.clear()
    says.asked.clear()
    await asyncio.wait_for(says.asked.wait(), LONG_S)
    waiting = asyncio.create_task(watch.until(lambda: scene.waiting == 0, timeout_s=LONG_S))
    await asyncio.sleep(0)  # it has begun to wait, with the question asked before
    says.answers = [0, 7, 0]
    says.may_answer.set()
    assert await waiting
    assert says.answers == [0]


async def test_it_says_that_nothing_came_in_time(gateway: tuple[Gateway, Watch, Scene]) -> None:
    says, watch, scene = gateway
    assert await watch.until(lambda: scene.waiting == 0, timeout_s=LONG_S)
    says.may_answer.clear()
    assert not await watch.until(lambda: scene.waiting == 0, timeout_s=0.05)
