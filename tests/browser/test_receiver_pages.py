"""The receiver's own pages, in the same shell."""

from __future__ import annotations

from playwright.async_api import Browser, expect

from tests.browser.conftest import Site
from tests.support.dashboard import dashboard
from tests.support.raw_client import RawClient
from tests.support.wire import V5

NOT_A_FRAME = b"<b>no frame</b>\x00\x1b[31m"


async def test_the_receiver_shows_gateways_sinks_and_what_it_set_aside(browser: Browser, site: Site) -> None:
    device = await site.device("plc-1")
    for number in range(1, 11):
        await device.publish("plant/line1/temp", b"21.5", packet_id=number)
    await site.receiver.until_received(10)
    async with dashboard(browser, site.receiver.api_port) as page:
        await page.open("/")
        await page.says("Receiving", within=".verdict-word")
        await page.says("edge-01", within=".gateway")
        await expect(page.page.get_by_role("table", name="Its streams")).to_contain_text("telemetry")
        await expect(page.page.get_by_role("table", name="Sinks").locator("tbody tr")).to_have_count(2)
        await page.page.get_by_role("link", name="Set aside").first.click()
        await page.says("No frame was set aside.")

        async with RawClient(site.broker.port, version=V5) as stranger:
            await stranger.connect("stranger")
            await stranger.publish("fieldgate/v1/edge-01/telemetry", NOT_A_FRAME)
        frames = page.page.get_by_role("table", name="Frames set aside").locator("tbody tr")
        await expect(frames).to_have_count(1)
        await page.button("Look at frame").click()
        await page.says("3c 62 3e 6e 6f")
        await page.says("<b>no frame</b>")
        assert await page.downloaded(page.page.get_by_role("link", name="Export frame")) == NOT_A_FRAME
        await page.button("Discard frame").click()
        await page.answer("Discard")
        await page.says("No frame was set aside.")
        page.sound()
