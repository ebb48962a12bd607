"""When what has the focus goes away, the focus goes to what is nearest to it, and never back to the beginning."""

from __future__ import annotations

import random
from pathlib import Path

from playwright.async_api import Browser, expect

from tests.browser.conftest import Site, live_site
from tests.support.dashboard import Dashboard, dashboard


async def test_a_notice_that_is_put_away_gives_the_focus_back(page: Dashboard, site: Site) -> None:
    await page.open("/streams")
    drain = page.button("Drain now cloud")
    notices = page.page.locator(".notice")
    for number in (1, 2):
        await drain.focus()
        await page.page.keyboard.press("Enter")
        await expect(notices).to_have_count(number)
    first = page.button("Put this away").first
    await first.focus()
    await page.page.keyboard.press("Enter")
    await expect(notices).to_have_count(1)
    await expect(page.button("Put this away")).to_be_focused()
    await page.page.keyboard.press("Enter")
    await expect(notices).to_have_count(0)
    await expect(drain).to_be_focused()


async def test_a_queue_that_is_closed_gives_the_focus_to_what_opened_it(page: Dashboard, site: Site) -> None:
    await page.open("/streams?queue=telemetry")
    await page.button("Close what waits in telemetry").focus()
    await page.page.keyboard.press("Enter")
    await expect(page.button("Look inside telemetry")).to_be_focused()


async def test_a_row_that_goes_leaves_the_focus_at_its_list(tmp_path: Path, browser: Browser) -> None:
    rng = random.Random(1)
    async with (
        live_site(tmp_path, lines=["max_packet_size 2000"]) as site,
        dashboard(browser, site.gateway.api_port) as page,
    ):
        await site.start_receiver()
        device = await site.device("camera")
        for number in (1, 2):
            await device.publish(f"plant/picture/{number}", rng.randbytes(4000), packet_id=number)
        await site.gateway.until(lambda status: status["uplinks"]["cloud"]["dead_letters"] == 2, "two dead letters")
        await page.open("/dead-letters")
        await page.page.get_by_role("checkbox", name="Choose letter").first.check()
        await page.button("Discard 1 letter").focus()
        await page.page.keyboard.press("Enter")
        # The row that has the focus is gone after the answer.
        letter = page.page.get_by_role("table", name="Dead letters").get_by_role("link").first
        await page.answer("Discard")
        await expect(page.page.get_by_role("table", name="Dead letters").locator("tbody tr")).to_have_count(1)
        await expect(page.page.locator(":focus")).to_have_count(1)

        # Gone by somebody else's hand, while the reader stands on it.
        await letter.focus()
        await page.page.evaluate(
            """() => fetch("/api/v1/session").then((answer) => answer.json()).then((session) =>
                fetch("/api/v1/dead-letters/discard", {
                    method: "POST",
                    headers: {"Content-Type": "application/json", "X-CSRF-Token": session.csrf_token ?? ""},
                    body: JSON.stringify({all: true}),
                }))"""
        )
        await page.says("There are no dead letters.")
        await expect(page.page.get_by_role("heading", level=1)).to_be_focused()
        page.sound()


async def test_who_has_clicked_beside_everything_is_left_in_peace(page: Dashboard, site: Site) -> None:
    await page.open("/streams?queue=telemetry")
    close = page.button("Close what waits in telemetry")
    await close.focus()
    await page.page.get_by_role("heading", level=1).click()
    await page.page.evaluate("document.activeElement.blur()")
    await page.page.mouse.click(1200, 5)
    await close.evaluate("button => button.click()")
    await expect(close).to_have_count(0)
    await expect(page.button("Look inside telemetry")).to_be_focused()
