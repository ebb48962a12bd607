"""Where the reader has colours of his own, none of ours is needed to see what is: shape, pattern and word say it."""

from __future__ import annotations

from playwright.async_api import Browser, expect

from tests.browser.conftest import Site
from tests.support.dashboard import dashboard

PATTERNS = """(states) => {
    const band = document.querySelector(".band");
    return states.map((state) => {
        const stretch = document.createElement("div");
        stretch.className = "stretch";
        stretch.dataset.state = state;
        band.append(stretch);
        const { backgroundImage, backgroundColor } = getComputedStyle(stretch);
        stretch.remove();
        return `${backgroundImage} ${backgroundColor}`;
    });
}"""
STYLE = "(element) => { const style = getComputedStyle(element); return [style.backgroundColor, style.outlineStyle]; }"
CANVAS_INK = """() => {
    const canvas = document.querySelector(".uplot canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let most = 0;
    for (let at = 0; at < data.length; at += 4) if (data[at + 3] > 200) most = Math.max(most, data[at], data[at + 1]);
    return most;
}"""


async def test_what_is_and_what_is_chosen_is_seen_without_our_colours(browser: Browser, site: Site) -> None:
    device = await site.device("plc-1")
    await device.publish("plant/line1/temp", b"21.5")
    async with dashboard(browser, site.gateway.api_port, theme="dark", forced_colors="active") as page:
        await page.open("/")
        await page.says("Safe", within=".verdict-word")
        await expect(page.page.locator(".stretch")).not_to_have_count(0)
        patterns = await page.page.evaluate(PATTERNS, ["online", "backing_off", "paused", "stopped"])
        assert len(set(patterns)) == len(patterns)
        chosen = page.page.locator(".choice label:has(:checked) span")
        other = page.page.locator(".choice label:not(:has(:checked)) span").first
        assert await chosen.evaluate(STYLE) != await other.evaluate(STYLE)
        here = page.page.locator(".side nav a[aria-current]")
        elsewhere = page.page.locator(".side nav a:not([aria-current])").first
        assert await here.evaluate(STYLE) != await elsewhere.evaluate(STYLE)
        await expect(page.page.locator(".verdict .icon")).to_be_visible()
        # Lines of a plot are drawn with the reader's ink, which is light on his dark ground.
        await expect(page.page.locator(".uplot canvas").first).to_be_visible()
        assert await page.page.evaluate(CANVAS_INK) > 200
        await page.accessible()
        page.sound()
