"""The pictures that the documents show, taken of a real site: only when asked, by FIELDGATE_SCREENSHOTS=docs/images."""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.browser.conftest import Site, live_site
from tests.support import wire
from tests.support.dashboard import Dashboard, dashboard
from tests.support.raw_client import RawClient

FOLDER = os.environ.get("FIELDGATE_SCREENSHOTS")
DESKTOP = (1280, 800)
PHONE = (390, 800)
MOST_BYTES = 200_000
LINES = ("press", "paint", "oven", "packing")

pytestmark = pytest.mark.skipif(FOLDER is None, reason="FIELDGATE_SCREENSHOTS names no folder for them")


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


async def take(page: Dashboard, name: str) -> None:
    """One picture, of the window as it is."""
    assert FOLDER is not None
    path = Path(FOLDER) / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    await page.page.mouse.move(0, 0)
    await page.page.evaluate("document.fonts.ready")
    await page.page.screenshot(path=path, animations="disabled", caret="hide")
    assert path.stat().st_size < MOST_BYTES, f"{path} is too large for a document"


async def test_the_pictures_of_the_documents_are_taken(tmp_path: Path, browser: Browser) -> None:
    async with live_site(tmp_path, lines=["max_packet_size 3000", "max_queued_messages 0"]) as site:
        await site.start_receiver()
        plant = Plant()
        await plant.connect(site)
        talking = asyncio.create_task(plant.go_on())
        camera = await site.device("oven-camera")
        rng = random.Random(1)
        for number in range(1, 4):
            await camera.publish(f"plant/oven/picture/{number}", rng.randbytes(5000), packet_id=number)
        await camera.publish("plant/oven/state", b'{"on": true}', retain=True, packet_id=4)
        await site.gateway.until(lambda status: status["uplinks"]["cloud"]["dead_letters"] == 3, "dead letters")
        try:
            async with dashboard(browser, site.gateway.api_port, size=DESKTOP) as page:
                await page.open("/?span=1h")
                await asyncio.sleep(20)  # a little history, so that the plots have lines
                site.broker.stop()
                await expect(page.page.locator(".verdict")).not_to_have_attribute("data-tone", "ok")
                await asyncio.sleep(15)
                await take(page, "overview-outage")
                await page.page.get_by_role("link", name="Streams", exact=True).click()
                await page.settled()
                await take(page, "streams")
                site.broker.start()
                await site.gateway.until_uplink("online")
                await page.open("/?span=1h")
                await expect(page.page.locator(".verdict")).to_have_attribute("data-tone", "ok")
                await asyncio.sleep(12)
                await take(page, "overview")
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
                await page.open("/?span=1h")
                await asyncio.sleep(2)
                await take(page, "overview-dark")
            async with dashboard(browser, site.gateway.api_port, size=PHONE) as page:
                await page.open("/?span=1h")
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
