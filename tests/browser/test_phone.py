"""Many devices on a telephone: each takes a few lines, and a screen reader is told as much as on a wide window."""

from __future__ import annotations

import re
from typing import Any

from playwright.async_api import Browser, expect

from tests.browser.conftest import Site
from tests.support.dashboard import NARROW, WIDE, Dashboard, dashboard

DEVICES = 50
MOST_HIGH = 110
"""Pixels for a device that has a name, a topic and numbers of usual length."""
IN_BETWEEN = (360, 600, 768, 960, 961, 1024, 1100, 1216, 1217, 1280)
CELLS = """(table) => [...table.querySelectorAll("tbody tr")].map((row) =>
    [...row.querySelectorAll("[role=cell], [role=rowheader]")].map((cell) => cell.innerText.trim()))"""
SPILLED = """() => [...document.querySelectorAll(".panel")].flatMap((panel) => [...panel.children]
    .filter((one) => one.getBoundingClientRect().right > panel.getBoundingClientRect().right + 1)
    .map((one) => one.outerHTML.slice(0, 80)))"""


async def fifty(site: Site) -> None:
    """They connect, and all but one publish."""
    for number in range(DEVICES):
        device = await site.device(f"line{number % 4}-energy-meter-{number:02}")
        if number:
            await device.publish(f"plant/line{number % 4}/energy-meter/measurements", b"21.5")


async def spoken_columns(page: Dashboard) -> list[str]:
    """The names of the columns as the tree for screen readers has them."""
    heads: Any = page.page.get_by_role("table", name="Devices").get_by_role("columnheader")
    return [re.sub(r"\s*[↑↓]", "", text.strip()) for text in await heads.all_text_contents()]


async def test_a_device_takes_a_few_lines_and_nothing_is_lost_to_a_screen_reader(browser: Browser, site: Site) -> None:
    await fifty(site)
    async with dashboard(browser, site.gateway.api_port, size=NARROW) as page:
        await page.open("/devices")
        table = page.page.get_by_role("table", name="Devices")
        rows = table.locator("tbody tr")
        await expect(rows).to_have_count(DEVICES)
        heights = await rows.evaluate_all("(rows) => rows.map((row) => row.getBoundingClientRect().height)")
        assert max(heights) <= MOST_HIGH
        columns = await spoken_columns(page)
        cells = await table.evaluate(CELLS)
        assert {len(row) for row in cells} == {len(columns)} == {9}
        assert cells[1][-2:] == ["0", "0"]  # not drawn, but told
        await expect(rows.nth(1).get_by_role("cell")).to_have_count(len(columns) - 1)

        # What one can sort by can be seen and pressed, though there are no columns.
        sort = page.button("Published")
        await expect(sort).to_be_in_viewport()
        await sort.focus()
        await page.page.keyboard.press("Enter")
        await expect(page.page).to_have_url(re.compile("sort=published&order=desc"))
        await expect(rows.last).to_contain_text("energy-meter-00")
        await expect(page.page.get_by_role("columnheader", name="Published")).to_have_attribute(
            "aria-sort", "descending"
        )

        await page.page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
        await expect(table).not_to_have_class(re.compile("is-cards"))
        assert await spoken_columns(page) == columns
        page.sound()


async def test_no_table_is_wider_than_its_panel_in_any_window(browser: Browser, site: Site) -> None:
    await fifty(site)
    async with dashboard(browser, site.gateway.api_port) as page:
        for path in ("/devices", "/streams?queue=telemetry"):
            await page.open(path)
            for width in IN_BETWEEN:
                await page.page.set_viewport_size({"width": width, "height": 800})
                # The table hears of the new width after the window has it.
                await page.page.wait_for_function(f"({SPILLED})().length === 0")
                await page.fits()
        page.sound()


async def test_a_last_topic_that_was_cut_says_so_and_is_no_link(page: Dashboard, site: Site) -> None:
    device = await site.device("long-talker")
    await device.publish("plant/" + "level/" * 100, b"21.5")
    await page.open("/devices")
    row = page.page.get_by_role("table", name="Devices").locator("tbody tr")
    await expect(row).to_have_count(1)
    more = row.get_by_role("button", name="the first 512 characters")
    await expect(row.locator("bdi").last).to_have_text(re.compile("^plant/level/.*…$"))
    await expect(row.get_by_role("link")).to_have_count(1)
    await more.click()
    await expect(row.locator("bdi").last).to_have_text(("plant/" + "level/" * 100)[:512] + "…")
