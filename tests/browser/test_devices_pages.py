"""Devices: who is there, who was refused, what one of them says and hears, and sending it away."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.async_api import Browser, expect

from tests.browser.conftest import Site, live_site
from tests.support.dashboard import Dashboard, dashboard
from tests.support.passwords import write_users
from tests.support.raw_client import RawClient
from tests.support.wire import V5

ADMINISTRATIVE_ACTION = 0x98


async def test_a_device_is_found_looked_at_and_sent_away(page: Dashboard, site: Site) -> None:
    press = await site.device("press/4")
    await press.subscribe(("plant/+/cmd", 1), ("$share/helpers/plant/#", 0))
    await press.publish("plant/press/state", b'{"strokes": 7}')
    for number in range(3):
        await site.device(f"plc-{number}")

    await page.open("/devices")
    await page.says("4 devices connected")
    rows = page.page.get_by_role("table", name="Devices").locator("tbody tr")
    await expect(rows).to_have_count(4)
    await page.button("Device").click()
    await expect(page.page).to_have_url(re.compile("order=desc"))
    await expect(rows.first).to_contain_text("press/4")
    await page.page.get_by_role("searchbox").fill("press")
    await expect(rows).to_have_count(1)
    await expect(page.page).to_have_url(re.compile("search=press"))
    await rows.first.get_by_role("link", name="press/4").click()

    await expect(page.page.get_by_role("heading", level=1)).to_have_text("press/4")
    await expect(page.page.get_by_role("heading", level=1)).to_be_focused()
    await page.says("plant/+/cmd")
    await page.says("helpers")
    await page.says('{"strokes": 7}')
    await page.page.go_back()
    await expect(page.page.get_by_role("searchbox")).to_have_value("press")
    await page.page.go_forward()

    page.may_fail("/api/v1/devices/press%2F4", 404)
    await page.button("Disconnect").click()
    await page.says("reason 0x98", within="dialog")
    await page.answer("Disconnect")
    packets = await press.closed()
    assert packets[-1].kind == 14
    assert packets[-1].body[0] == ADMINISTRATIVE_ACTION
    await expect(page.page.locator(".notice")).to_contain_text("The connection was ended.")
    await page.open("/devices?search=press")
    await page.says("No device is like that.")


async def test_a_device_that_is_not_let_in_is_listed_with_the_reason(tmp_path: Path, browser: Browser) -> None:
    users = write_users(tmp_path / "users", {"line1": "right"})
    access = [{"name": "default", "anonymous": "refuse", "password_file": str(users)}]
    async with live_site(tmp_path, access=access) as site, dashboard(browser, site.gateway.api_port) as page:
        for _ in range(2):
            async with RawClient(site.gateway.port, version=V5) as stranger:
                assert await stranger.connect("intruder", username="line1", password=b"wrong") != 0
        await page.open("/devices")
        refused = page.page.get_by_role("table", name="Connections that were refused").locator("tbody tr")
        await expect(refused).to_have_count(1)
        await expect(refused.first).to_contain_text("intruder")
        await expect(refused.first).to_contain_text("2")
        page.sound()
