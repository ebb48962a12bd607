"""The pages as a screen reader tells them: landmarks, headings in order, named tables and buttons, and no chatter."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from pathlib import Path

from playwright.async_api import Browser, expect

from tests.browser.conftest import Site, live_site
from tests.browser.test_every_page import PAGES, RECEIVER_PAGES, furnish
from tests.support.dashboard import Dashboard, dashboard
from tests.support.page_memory import FEED, fed
from tests.support.spoken import spoken

LISTEN = """() => {
    window.spokenAloud = [];
    const regions = [...document.querySelectorAll("[aria-live], [role=status], [role=alert], output")];
    const hear = (changes) => changes.forEach((change) => {
        const at = change.target instanceof Element ? change.target : change.target.parentElement;
        if (!at.closest("[aria-hidden=true]"))
            window.spokenAloud.push(at.closest("[aria-live], [role], output").outerHTML);
    });
    for (const region of regions)
        new MutationObserver(hear).observe(region, { childList: true, characterData: true, subtree: true });
    return regions.length;
}"""


async def test_every_page_can_be_read_aloud(tmp_path: Path, browser: Browser) -> None:
    async with live_site(tmp_path, lines=["max_packet_size 2000"]) as site:
        await site.start_receiver()
        await furnish(site)
        async with dashboard(browser, site.gateway.api_port) as page:
            page.may_fail("/api/v1/devices/nobody", 404)
            page.may_fail("/api/v1/topics/one", 404)
            for path in PAGES:
                await page.open(path)
                await is_well_told(page, path)
            page.sound()
        async with dashboard(browser, site.receiver.api_port) as page:
            for path in RECEIVER_PAGES:
                await page.open(path)
                await is_well_told(page, path)
            page.sound()


async def is_well_told(page: Dashboard, path: str) -> None:
    """One way through the page, by its landmarks, headings, tables and buttons."""
    whole = await spoken(page.page)
    landmarks = Counter(one.role for one in whole.all("banner", "main", "navigation"))
    assert (landmarks["banner"], landmarks["main"]) == (1, 1), path
    assert next(one.name for one in whole.all("navigation")) == "Pages", path
    assert [one.name for one in whole.all("region", "navigation") if not one.name] == [], path

    levels = [one.level for one in whole.all("heading")]
    assert levels.count(1) == 1, (path, levels)
    assert levels[0] == 1, (path, levels)
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), (path, levels)
    assert [one for one in whole.all("heading") if not one.name.strip()] == [], path

    for table in whole.all("table"):
        assert table.name, (path, table)
        assert table.all("columnheader"), (path, table.name)
    for figure in whole.all("figure"):
        assert figure.name or figure.all("region"), (path, "a figure without a name")
    for plot in await page.page.locator("figure.plot").all():
        await expect(plot.locator("summary")).to_contain_text("As a table")

    # Each button and each link that acts names what it acts on: no two are called the same.
    names = Counter(one.name for one in whole.all("button"))
    assert {name: times for name, times in names.items() if times > 1 or not name.strip()} == {}, path


async def test_only_what_matters_is_read_out_while_numbers_change(browser: Browser, site: Site) -> None:
    device = await site.device("plc-1")
    for number in range(1, 11):
        await device.publish("plant/line1/temp", b'{"celsius": 21.5, "rpm": 1400}', packet_id=number)
    async with dashboard(browser, site.gateway.api_port) as page:
        await page.page.add_init_script(FEED)
        for path in ("/", "/streams", "/devices", "/topics?topic=plant/line1/temp", "/devices/plc-1"):
            await page.open(path)
            assert await page.page.evaluate(LISTEN) >= 2
            await fed(page.page, 5)
            assert await page.page.evaluate("window.spokenAloud") == [], path
        page.sound()


async def test_the_band_of_a_day_can_be_read_as_text(page: Dashboard, site: Site) -> None:
    await page.open("/")
    slider = page.page.get_by_role("slider", name="State of the uplink cloud")
    await expect(slider).to_have_attribute("aria-valuetext", "Online all the time that was measured.")
    await slider.focus()
    await page.page.keyboard.press("End")
    await expect(slider).to_have_attribute("aria-valuetext", re.compile(r"^Online, .* to now"))
    await page.page.get_by_text("As a list", exact=False).first.click()
    listed = page.page.get_by_role("region", name="States of cloud over time").get_by_role("listitem")
    await expect(listed.first).to_contain_text("Online")
