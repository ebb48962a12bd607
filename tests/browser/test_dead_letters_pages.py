"""Dead letters, made by a broker that takes no large packet: looked at, exported, sent again, discarded."""

from __future__ import annotations

import json
import random
from pathlib import Path

from playwright.async_api import Browser, expect

from tests.browser.conftest import live_site
from tests.support.dashboard import dashboard
from tests.support.mosquitto import Mosquitto

TOO_LARGE = 4000


async def test_letters_are_looked_at_exported_replayed_and_discarded(tmp_path: Path, browser: Browser) -> None:
    rng = random.Random(1)
    async with (
        live_site(tmp_path, lines=["max_packet_size 2000"]) as site,
        dashboard(browser, site.gateway.api_port) as page,
    ):
        await site.start_receiver()
        device = await site.device("camera")
        for number in range(1, 4):
            await device.publish(f"plant/picture/{number}", rng.randbytes(TOO_LARGE), packet_id=number)
        await site.gateway.until(lambda status: status["uplinks"]["cloud"]["dead_letters"] == 3, "three dead letters")
        await site.gateway.until_drained()

        await page.open("/dead-letters")
        letters = page.page.get_by_role("table", name="Dead letters").locator("tbody tr")
        await expect(letters).to_have_count(3)
        await expect(page.page.locator(".badge")).to_contain_text("3")
        await letters.first.get_by_role("link").click()
        await expect(page.page.get_by_role("table", name="Records of this letter")).to_contain_text("plant/picture/3")
        await expect(page.page.get_by_role("table", name="Records of this letter")).to_contain_text("not text")
        await page.page.get_by_role("link", name="All dead letters").click()

        # Without a choice there is nothing to do, and the button says so.
        discard = page.button("Discard the chosen letters")
        await expect(discard).to_have_attribute("aria-disabled", "true")
        await page.page.get_by_role("checkbox", name="Choose letter").first.check()
        lines = await page.downloaded(page.page.get_by_role("link", name="Export 1 letter"))
        assert [json.loads(line)["topic"] for line in lines.splitlines()] == ["plant/picture/3"]
        await page.button("Discard 1 letter").click()
        await page.says("can't be had back", within="dialog")
        await page.answer("Discard")
        await expect(letters).to_have_count(2)

        # The broker is told to take them; what is sent again arrives.
        port = site.broker.port
        site.broker.stop()
        async with Mosquitto(tmp_path, port=port):
            await site.receiver.until_online()
            await site.gateway.until_uplink("online")
            await page.button("Replay all 2 letters").click()
            await page.says("2 records", within="dialog")
            await page.answer("Replay")
            await page.says("There are no dead letters.")
            await site.receiver.until_received(2)
        page.sound()
