"""Dead letters of an uplink that is gone: another one is chosen for them, and only for them."""

from __future__ import annotations

import random
from pathlib import Path

from playwright.async_api import Browser, expect

from tests.browser.conftest import Site, live_site
from tests.support.dashboard import NARROW, dashboard
from tests.support.mosquitto import Mosquitto

TOO_LARGE = 4000


async def letters_of_two(site: Site, pictures: int) -> None:
    """Make dead letters of two uplinks, and take one of these out of the configuration."""
    configuration = site.gateway.configuration
    (cloud,) = configuration["uplinks"]
    await site.start_receiver()
    await site.gateway.stop()
    configuration["uplinks"] = [cloud, {**cloud, "name": "radio"}]
    await site.gateway.start()
    device = await site.device("camera")
    rng = random.Random(1)
    for number in range(1, pictures + 1):
        await device.publish(f"plant/picture/{number}", rng.randbytes(TOO_LARGE), packet_id=number)
    await site.gateway.until(
        lambda status: all(uplink["dead_letters"] == pictures for uplink in status["uplinks"].values()), "dead letters"
    )
    await site.gateway.until_drained()
    await site.gateway.stop()
    configuration["uplinks"] = [cloud]
    await site.gateway.start()


async def test_letters_whose_uplink_is_gone_go_through_another_one(tmp_path: Path, browser: Browser) -> None:
    async with live_site(tmp_path, lines=["max_packet_size 2000"]) as site:
        await letters_of_two(site, 2)
        port = site.broker.port
        site.broker.stop()
        async with Mosquitto(tmp_path, port=port), dashboard(browser, site.gateway.api_port, size=NARROW) as page:
            await site.receiver.until_online()
            await site.gateway.until_uplink("online")
            keyboard, dialog = page.page.keyboard, page.page.get_by_role("dialog")
            through = dialog.get_by_role("combobox", name="Deliver")
            rows = page.page.get_by_role("table", name="Dead letters").locator("tbody tr")

            # One by its own uplink: there is nothing to choose.
            await page.open("/dead-letters?uplink=cloud")
            await rows.first.get_by_role("link").click()
            await page.button("Replay").click()
            await page.says("What it holds (1 record)", within="dialog")
            await expect(through).to_have_count(0)
            await page.answer("Cancel")

            # One whose uplink is gone, by keyboard alone: without a choice it goes nowhere.
            await page.open("/dead-letters?uplink=radio")
            await rows.first.get_by_role("link").click()
            await page.button("Replay").focus()
            await keyboard.press("Enter")
            await page.says("It is of uplink radio, which does not carry its stream any more.", within="dialog")
            await expect(through).to_be_focused()
            await expect(through).to_have_accessible_name("Deliver it through")
            await page.accessible()
            await page.fits()
            await dialog.get_by_role("button", name="Replay", exact=True).focus()
            await keyboard.press("Enter")
            await expect(through).to_be_focused()
            await through.press("c")
            await expect(through).to_have_value("cloud")
            await keyboard.press("Tab")
            await keyboard.press("Tab")
            await keyboard.press("Enter")
            notice = page.page.locator(".notice")
            await expect(notice).to_have_text(
                "1 record of 1 dead letter waits for delivery again through uplink cloud."
            )
            await site.receiver.until_received(1)

            # All that are left: those of the uplink that is there go by it, whatever is chosen for the other one.
            await page.open("/dead-letters")
            await expect(rows).to_have_count(3)
            await page.button("Replay all 3 letters").click()
            await page.says("1 of them is of uplink radio", within="dialog")
            await through.select_option("cloud")
            await page.answer("Replay")
            await page.says("There are no dead letters.")
            await expect(notice).to_have_text(
                [
                    "1 record of 1 dead letter waits for delivery again through uplink cloud.",
                    "2 records of 2 dead letters wait for delivery again.",
                ]
            )
            await site.receiver.until_received(4)
            page.sound()


async def test_letters_whose_uplink_is_gone_stay_where_nobody_is_chosen(tmp_path: Path, browser: Browser) -> None:
    async with live_site(tmp_path, lines=["max_packet_size 2000"]) as site:
        await letters_of_two(site, 1)
        port = site.broker.port
        site.broker.stop()
        async with Mosquitto(tmp_path, port=port), dashboard(browser, site.gateway.api_port) as page:
            await site.receiver.until_online()
            await site.gateway.until_uplink("online")
            await page.open("/dead-letters")
            await page.page.get_by_role("checkbox", name="Choose all 2 shown").check()
            await page.button("Replay 2 letters").click()
            await page.says("1 of them is of uplink radio", within="dialog")
            await page.answer("Replay")
            notice = page.page.locator(".notice")
            await expect(notice).to_have_attribute("data-tone", "critical")
            await expect(notice).to_contain_text("1 dead letter stayed: Uplink radio")
            await expect(page.page.get_by_role("table", name="Dead letters").locator("tbody tr")).to_have_count(1)
            await site.receiver.until_received(1)
            page.sound()
