"""The pictures that the documents show, taken of a real site: only when asked, by FIELDGATE_SCREENSHOTS=docs/images."""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from config.loader import load_gateway
from gateway.history import History, Totals
from gateway.segments import Segments
from gateway.spool.ports import Table
from tests.browser.conftest import Site, live_site
from tests.support import wire
from tests.support.dashboard import Dashboard, dashboard
from tests.support.raw_client import RawClient
from tests.support.spool import running

FOLDER = os.environ.get("FIELDGATE_SCREENSHOTS")
DESKTOP = (1280, 800)
PHONE = (390, 800)
MOST_BYTES = 200_000
LINES = ("press", "paint", "oven", "packing")

pytestmark = pytest.mark.skipif(FOLDER is None, reason="FIELDGATE_SCREENSHOTS names no folder for them")


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose name can be shown."""
    with tempfile.TemporaryDirectory(prefix="fieldgate-") as folder:
        yield Path(folder)


class Plant:
    """A few lines of machines that go on talking, and one screen that listens."""

    def __init__(self) -> None:
        self._machines: list[tuple[str, str, RawClient]] = []
        self._said = 0

    async def connect(self, site: Site) -> None:
        """All of them."""
        for line in LINES:
            for kind in ("plc", "energy", "vision"):
                self._machines.append((line, kind, await site.device(f"{line}-{kind}")))
        screen = await site.device("control-room")
        await screen.subscribe(("plant/+/state", 1), ("alarms/#", 1))

    async def speak(self) -> None:
        """One round: each machine says one thing, and everything is acknowledged."""
        self._said += 1
        for number, (line, kind, device) in enumerate(self._machines):
            value = {
                "plc": {"celsius": round(64 + 6 * math.sin(self._said / 9 + number), 2), "bar": 5.1, "running": True},
                "energy": {"kw": round(12 + number + 2 * math.sin(self._said / 15), 2), "kwh": 48_210 + self._said},
                "vision": {"parts": 1200 + self._said, "rejected": self._said // 40},
            }[kind]
            packet_id = self._said % 60_000 + 1
            device.send(
                wire.publish(
                    f"plant/{line}/{kind}", json.dumps(value).encode(), version=wire.V5, qos=1, packet_id=packet_id
                )
            )
        for _, _, device in self._machines:
            await device.until(4)

    async def go_on(self) -> None:
        """Until it is cancelled, about ten rounds a second."""
        while True:
            await self.speak()
            await asyncio.sleep(0.1)  # a rate, not an event that is waited for


async def a_day_before(site: Site) -> None:
    """Write a day of a plant into the history of a gateway that is stopped, with its own classes."""
    settings = load_gateway(site.gateway.config_path, {})
    rows: dict[int, bytes] = {}
    history = History(keep=rows.__setitem__, discard=lambda key: rows.pop(key, None))
    segments = Segments(keep=rows.__setitem__, discard=lambda key: rows.pop(key, None))
    now_s = time.time()
    rng = random.Random(4)
    outages = {5.2: (0.45, "the connection was cut"), 15.3: (0.8, "the broker refused the connection")}
    accepted = delivered = 0.0
    segments.enter(now_s - 86_400, "cloud", "online")
    was_away = False
    for step in range(8640):
        at_s = now_s - 86_400 + step * 10
        hour = step / 360
        per_s = 120 + 70 * math.sin((hour - 7) / 24 * 2 * math.pi) + rng.random() * 12
        reason = next((why for start, (length, why) in outages.items() if start <= hour < start + length), None)
        is_paused = 10.5 <= hour < 11
        accepted += per_s * 10
        if reason is None and not is_paused:
            delivered = min(accepted, delivered + 420 * 10)
        state = "paused" if is_paused else "backing_off" if reason else "online"
        if (state != "online") != was_away:
            segments.enter(at_s, "cloud", state, "by anna" if is_paused else reason)
            was_away = state != "online"
        waiting = int(accepted - delivered)
        history.feed(
            at_s,
            step * 10.0,
            Totals(
                accepted=int(accepted), delivered=int(delivered), dropped=0, raw_bytes=int(delivered * 178),
                wire_bytes=int(delivered * 21), records=waiting, bytes=waiting * 34,
            ),
        )  # fmt: skip
    segments.close(now_s)
    history.close()
    async with running(settings) as spool:
        for key, body in rows.items():
            spool.keep(Table.HISTORY, key, body)


async def take(page: Dashboard, name: str) -> None:
    """One picture, of the window as it is."""
    assert FOLDER is not None
    path = Path(FOLDER) / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    await page.page.mouse.move(0, 0)
    await page.page.evaluate("document.fonts.ready")
    await page.page.screenshot(path=path, animations="disabled", caret="hide")
    assert path.stat().st_size < MOST_BYTES, f"{path} is too large for a document"


async def test_the_pictures_of_the_documents_are_taken(short_path: Path, browser: Browser) -> None:
    async with live_site(short_path, lines=["max_packet_size 3000", "max_queued_messages 0"]) as site:
        await site.gateway.stop()
        await a_day_before(site)
        await site.gateway.start()
        await site.start_receiver()
        plant = Plant()
        await plant.connect(site)
        talking = asyncio.create_task(plant.go_on())
        try:
            async with dashboard(browser, site.gateway.api_port, size=DESKTOP) as page:
                await page.open("/")
                await page.says("Safe", within=".verdict-word")
                await asyncio.sleep(12)  # rates are those of the last seconds
                await take(page, "overview")
                await page.page.locator("figure.plot").nth(0).scroll_into_view_if_needed()
                await page.page.mouse.wheel(0, 600)
                await asyncio.sleep(1)
                await take(page, "overview-plots")
                await page.page.mouse.wheel(0, -2000)
                site.broker.stop()
                await expect(page.page.locator(".verdict")).not_to_have_attribute("data-tone", "ok")
                await asyncio.sleep(15)
                await take(page, "overview-outage")
                await page.page.get_by_role("link", name="Streams", exact=True).click()
                await page.settled()
                await take(page, "streams")
                site.broker.start()
                await site.gateway.until_uplink("online")
                camera = await site.device("oven-camera")
                rng = random.Random(1)
                for number in range(1, 4):
                    await camera.publish(f"plant/oven/picture/{number}", rng.randbytes(5000), packet_id=number)
                await camera.publish("plant/oven/state", b'{"on": true}', retain=True, packet_id=4)
                await site.gateway.until(
                    lambda status: status["uplinks"]["cloud"]["dead_letters"] == 3, "there are three dead letters"
                )
                for path, name in (
                    ("/devices", "devices"),
                    ("/devices/oven-plc", "device"),
                    ("/topics?topic=plant/oven/plc", "topics"),
                    ("/dead-letters", "dead-letters"),
                ):
                    await page.open(path)
                    await asyncio.sleep(3)
                    await take(page, name)
                await page.open("/configuration?view=new")
                text = site.gateway.config_path.read_text() + "spool:\n  max_size: 4GiB\n  when_full: reject\n"
                await page.page.get_by_label("New configuration", exact=True).fill(text)
                await page.button("Check", exact=True).click()
                await page.says("Right, with")
                await page.page.get_by_role("table", name="What would change").scroll_into_view_if_needed()
                await take(page, "configuration")
                page.sound()
            async with dashboard(browser, site.gateway.api_port, size=DESKTOP, theme="dark") as page:
                await page.open("/")
                await asyncio.sleep(2)
                await take(page, "overview-dark")
            async with dashboard(browser, site.gateway.api_port, size=PHONE) as page:
                await page.open("/")
                await asyncio.sleep(2)
                await take(page, "overview-phone")
            async with RawClient(site.broker.port, version=wire.V5) as stranger:
                await stranger.connect("stranger")
                await stranger.publish("fieldgate/v1/edge-01/telemetry", b"no frame")
            async with dashboard(browser, site.receiver.api_port, size=DESKTOP) as page:
                await page.open("/")
                await asyncio.sleep(2)
                await take(page, "receiver")
        finally:
            talking.cancel()
            await asyncio.gather(talking, return_exceptions=True)
