"""What holds on every page: nothing foreign, nothing failed, no barrier; light, dark, wide, narrow, by keyboard."""

from __future__ import annotations

import json
import random
from pathlib import Path

from playwright.async_api import Browser, expect

from tests.browser.conftest import Site, live_site
from tests.support.dashboard import NARROW, WIDE, Dashboard, Theme, dashboard

PAGES = (
    "/",
    "/?span=1h",
    "/streams?queue=telemetry",
    "/devices",
    "/devices/plc-1",
    "/devices/nobody",
    "/topics",
    "/topics?topic=plant/line1/temp",
    "/topics?topic=nothing/here",
    "/topics?view=retained",
    "/dead-letters",
    "/dead-letters/1",
    "/configuration",
    "/configuration?view=new",
)
RECEIVER_PAGES = ("/", "/set-aside")
THEMES: tuple[Theme, ...] = ("light", "dark")


async def furnish(site: Site) -> None:
    """Something for every page: a device, values, a subscription, something retained, a dead letter."""
    device = await site.device("plc-1")
    await device.subscribe(("plant/+/cmd", 1))
    for number in range(1, 31):
        text = json.dumps({"celsius": 20 + number / 10, "motor": {"rpm": 1400 + number}})
        await device.publish("plant/line1/temp", text.encode(), packet_id=number)
    await device.publish("plant/line1/state", b"on", retain=True, packet_id=31)
    await device.publish("plant/camera", random.Random(1).randbytes(5000), packet_id=32)
    await device.publish("alarms/fire", b"none", packet_id=33)
    await site.gateway.until(lambda status: status["uplinks"]["cloud"]["dead_letters"] == 1, "a dead letter")


async def test_no_page_has_a_barrier_or_an_error_light_or_dark_wide_or_narrow(tmp_path: Path, browser: Browser) -> None:
    async with live_site(tmp_path, lines=["max_packet_size 2000"]) as site:
        await site.start_receiver()
        await furnish(site)
        async with dashboard(browser, site.gateway.api_port) as page:
            page.may_fail("/api/v1/devices/nobody", 404)
            page.may_fail("/api/v1/topics/one", 404)
            for path in PAGES:
                await page.open(path)
                await without_barriers(page)
            page.sound()
        async with dashboard(browser, site.receiver.api_port) as page:
            for path in RECEIVER_PAGES:
                await page.open(path)
                await without_barriers(page)
            page.sound()


async def without_barriers(page: Dashboard) -> None:
    """Look at the page as it stands in each theme and width."""
    for theme in THEMES:
        await page.page.emulate_media(color_scheme=theme)
        for size in (WIDE, NARROW):
            await page.page.set_viewport_size({"width": size[0], "height": size[1]})
            await expect(page.page.locator("html")).to_have_attribute("data-theme", theme)
            await page.accessible()
            await page.fits()


async def test_the_keyboard_alone_leads_everywhere(page: Dashboard, site: Site) -> None:
    await site.device("plc-1")
    await page.open("/streams")
    keyboard = page.page.keyboard
    await keyboard.press("Tab")
    await expect(page.page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await keyboard.press("Enter")
    await expect(page.page.locator("main")).to_be_focused()

    # From the beginning to the end and round, each stop can be seen and is marked.
    await page.open("/streams")
    stops = []
    for _ in range(40):
        await keyboard.press("Tab")
        stop = await page.page.evaluate(
            """() => {
                const at = document.activeElement;
                if (!at || at === document.body) return null;
                const marked = at.closest("label") ?? at;
                return [at.outerHTML.slice(0, 90), getComputedStyle(marked).outlineStyle !== "none"
                    || getComputedStyle(at).outlineStyle !== "none"];
            }"""
        )
        if stop is None:
            break
        stops.append(stop)
    assert len(stops) >= 12
    assert [name for name, is_marked in stops if not is_marked] == []

    pause = page.button("Pause cloud")
    await pause.focus()
    await keyboard.press("Enter")
    await expect(page.page.get_by_role("dialog")).to_be_visible()
    await expect(page.button("Cancel")).to_be_focused()
    await keyboard.press("Escape")
    await expect(page.page.get_by_role("dialog")).to_have_count(0)
    await expect(pause).to_be_focused()


async def test_the_menu_of_a_narrow_window_opens_and_closes_by_itself(browser: Browser, site: Site) -> None:
    async with dashboard(browser, site.gateway.api_port, size=NARROW) as page:
        await page.open("/")
        menu = page.button("Menu")
        await expect(page.page.get_by_role("navigation", name="Pages")).to_be_hidden()
        await menu.click()
        await expect(menu).to_have_attribute("aria-expanded", "true")
        await page.page.get_by_role("link", name="Topics", exact=True).click()
        await expect(menu).to_have_attribute("aria-expanded", "false")
        await expect(page.page.get_by_role("heading", level=1)).to_have_text("Topics")
        page.sound()


async def test_an_address_without_a_page_says_so(page: Dashboard, site: Site) -> None:
    await page.open("/")
    await page.page.evaluate("history.pushState(null, '', '/nowhere'); dispatchEvent(new PopStateEvent('popstate'))")
    await page.says("There is no page at this address.")
