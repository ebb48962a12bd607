"""A dashboard whose gateway has gone must not go on saying that all is safe."""

from __future__ import annotations

import re
import signal
import time

from playwright.async_api import Route, expect

from tests.browser.conftest import Site
from tests.support.dashboard import Dashboard

MOST_SILENT_S = 10.0
"""So long at most may a page go on saying that it is live."""


async def test_a_banner_says_how_old_everything_is_until_the_gateway_is_back(page: Dashboard, site: Site) -> None:
    device = await site.device("plc-1")
    await device.publish("plant/line1/temp", b"21.5")
    await page.open("/")
    await page.says("Safe", within=".verdict-word")
    await expect(page.page.locator(".liveness")).to_have_text("Live")

    page.is_server_gone = True
    site.gateway.kill()
    banner = page.page.locator(".banner")
    await expect(banner).to_contain_text("What you see is old: live data has stopped at")
    await expect(banner).to_contain_text("next try is in")
    await expect(page.page.locator(".verdict-word")).to_contain_text("Last known: Safe")
    await expect(page.page.locator(".verdict")).not_to_have_attribute("data-tone", "ok")
    await expect(page.page.locator(".liveness")).to_have_text("Not live")
    await page.accessible()
    # Another page says so too, rather than nothing.
    await page.page.get_by_role("link", name="Devices", exact=True).click()
    await expect(banner).to_contain_text("What you see is old")

    await site.gateway.start()
    await page.button("Try now").click()
    await expect(banner).to_have_count(0)
    await expect(page.page.locator(".liveness")).to_have_text("Live")
    await page.settled()
    page.is_server_gone = False
    await page.page.get_by_role("link", name="Overview", exact=True).click()
    await expect(page.page.locator(".verdict-word")).not_to_contain_text("Last known")


async def test_a_page_older_than_the_gateway_says_that_it_has_to_be_loaded_again(page: Dashboard, site: Site) -> None:
    async def upgraded(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(response=answer, json={**await answer.json(), "version": "99.0"})

    await page.open("/")
    await page.page.route("**/api/v1/session", upgraded)
    page.is_server_gone = True
    site.gateway.kill()
    await expect(page.page.locator(".liveness")).to_have_text("Not live")
    await site.gateway.start()
    await expect(page.page.locator(".banner")).to_contain_text("another version than the gateway, which is 99.0 now")
    await page.page.unroute("**/api/v1/session")
    await page.button("Load again").click()
    await page.settled()
    await expect(page.page.locator(".banner")).to_have_count(0)
    page.is_server_gone = False


async def test_a_gateway_that_hangs_is_not_live_within_ten_seconds(page: Dashboard, site: Site) -> None:
    await page.open("/")
    liveness, banner = page.page.locator(".liveness"), page.page.locator(".banner")
    await expect(liveness).to_have_text("Live")
    process = site.gateway.process
    assert process is not None
    page.is_server_gone = True
    process.send_signal(signal.SIGSTOP)
    hung_s = time.monotonic()
    try:
        await expect(liveness).to_have_text("Not live")
        told_s = time.monotonic()
        await expect(banner).to_contain_text("What you see is old: live data has stopped at")
        await expect(banner).to_contain_text("The gateway hangs, or the network to it is cut")
        await expect(banner).to_contain_text(re.compile(r"That was \d+\s(s|min) ago"))
        await expect(page.page.locator(".verdict-word")).to_contain_text("Last known")
        # Trying goes on, though nobody answers.
        await expect(banner).to_contain_text("trying now")
    finally:
        process.send_signal(signal.SIGCONT)
    await expect(liveness).to_have_text("Live")
    await expect(banner).to_have_count(0)
    page.is_server_gone = False
    assert told_s - hung_s < MOST_SILENT_S
