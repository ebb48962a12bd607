"""The first page through an outage and back: sentence, tiles, band and events follow what happens."""

from __future__ import annotations

import json
import re

from playwright.async_api import Browser, expect

from tests.browser.conftest import Site
from tests.support.dashboard import Dashboard


async def test_a_new_gateway_says_that_it_waits_and_what_to_do_next(page: Dashboard) -> None:
    await page.open("/")
    await page.says("Waiting for the first record", within=".verdict")
    await page.says("Fieldgate", within=".events")
    steps = page.page.get_by_role("region", name="Begin here").get_by_role("listitem")
    await expect(steps).to_have_count(3)
    await expect(steps.first).to_contain_text("fieldgate pub plant/line1/temp")
    await page.page.get_by_role("link", name="Devices", exact=True).click()
    await page.says("No device has connected yet.")
    await page.says("Point one at mqtt://")
    await page.page.get_by_role("link", name="Topics", exact=True).click()
    await page.says("Nothing has been published since the gateway started.")
    await page.page.get_by_role("link", name="Dead letters", exact=True).click()
    await page.says("There are no dead letters.")


async def test_the_overview_follows_an_outage_and_its_end(page: Dashboard, site: Site) -> None:
    device = await site.device("plc-1")
    await device.publish("plant/line1/temp", json.dumps({"celsius": 21.5}).encode())
    await site.gateway.until_drained()
    await page.open("/")
    await page.says("Safe", within=".verdict-word")
    await expect(page.page.get_by_role("region", name="Begin here")).to_have_count(0)
    await expect(page.page.locator(".tile", has_text="Uplink cloud")).to_contain_text("Online")
    bands = page.page.locator('.stretch[data-state="online"]')
    await expect(bands.first).to_be_attached()

    site.broker.stop()
    for number in range(1, 40):
        await device.publish("plant/line1/temp", json.dumps({"celsius": 20 + number / 10}).encode(), packet_id=number)
    await site.gateway.until_waiting(30)
    await expect(page.page.locator(".verdict")).not_to_have_attribute("data-tone", "ok")
    await expect(page.page.locator(".tile", has_text="Uplink cloud")).to_contain_text(
        re.compile("Backing off|Connecting")
    )
    await expect(page.page.locator(".tile", has_text="Queued")).to_contain_text("39")
    await page.says("Uplink cloud", within=".events")
    await expect(page.page.locator('.stretch[data-state="backing_off"]').first).to_be_attached()

    # The band tells each stretch and its reason, to the keyboard too.
    await page.page.get_by_role("slider", name="State of the uplink cloud").focus()
    await page.page.keyboard.press("End")
    await page.says("Backing off", within=".band-told")
    await page.page.get_by_text("As a list", exact=False).first.click()
    await page.says("Online", within=".stretches")

    site.broker.start()
    await site.gateway.until_drained()
    await expect(page.page.locator(".verdict")).to_have_attribute("data-tone", "ok")
    await expect(page.page.locator(".tile", has_text="Uplink cloud")).to_contain_text("Online")
    await expect(page.page.locator(".tile", has_text="Queued")).to_contain_text("Nothing waits")
    await expect(page.page.locator(".tile", has_text="Saved on the wire")).to_contain_text("of messages")


async def test_the_word_is_read_out_when_it_changes_and_only_then(page: Dashboard, site: Site) -> None:
    device = await site.device("plc-1")
    await page.open("/")
    spoken = page.page.locator("main p[aria-live=polite]")
    await page.says("Waiting for the first record", within=".verdict-word")
    await expect(spoken).to_have_text("")
    await device.publish("plant/line1/temp", b"21.5")
    await expect(spoken).to_have_text("Safe")


async def test_the_span_of_the_plots_is_part_of_the_address(page: Dashboard, site: Site) -> None:
    await page.open("/?span=1h")
    await expect(page.page.get_by_role("radio", name="1 hour")).to_be_checked()
    await expect(page.page.locator("figure.plot")).to_have_count(3)
    await page.page.get_by_text("7 days").click()
    await expect(page.page).to_have_url(re.compile(r"span=7d$"))
    await page.page.get_by_text("As a table", exact=False).first.click()
    await expect(page.page.get_by_role("table", name="Records a second")).to_be_visible()


async def test_the_reader_chooses_light_or_dark_and_it_stays(page: Dashboard, browser: Browser) -> None:
    await page.open("/")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light = await page.page.evaluate(ground)
    await page.page.locator(".themes label[title=Dark]").click()
    dark = await page.page.evaluate(ground)
    assert dark != light
    await page.open("/streams")
    assert await page.page.evaluate(ground) == dark
