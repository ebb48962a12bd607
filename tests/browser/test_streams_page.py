"""Queues and uplinks: what waits, what is on the way, pause, resume, drain."""

from __future__ import annotations

from playwright.async_api import expect

from tests.browser.conftest import Site
from tests.support.dashboard import Dashboard


async def test_an_uplink_is_paused_over_a_restart_and_resumed(page: Dashboard, site: Site) -> None:
    device = await site.device("plc-1")
    await page.open("/streams")
    pause = page.button("Pause cloud")
    await pause.click()
    await page.says("Nothing more is sent to", within="dialog")
    await page.answer("Cancel")
    await expect(pause).to_be_focused()
    await pause.click()
    await page.answer("Pause")
    panel = page.page.get_by_role("region", name="Uplink cloud")
    await expect(panel).to_contain_text("Paused")
    await expect(panel).to_contain_text("paused by local")
    # What can't be done now says why, and does nothing.
    drain = page.button("Drain now cloud")
    await expect(drain).to_have_attribute("aria-disabled", "true")
    await expect(drain).to_have_accessible_description("It is paused: resume it first.")

    for number in range(1, 6):
        await device.publish("plant/line1/temp", b"21.5", packet_id=number)
    row = page.page.get_by_role("row", name="telemetry")
    await expect(row).to_contain_text("5")
    page.is_server_gone = True
    await site.gateway.stop()
    await site.gateway.start()
    await page.open("/streams")
    page.is_server_gone = False
    await expect(page.page.get_by_role("region", name="Uplink cloud")).to_contain_text("paused by local")

    await page.button("Look inside telemetry").click()
    await page.says("What waits in telemetry")
    waiting = page.page.get_by_role("table", name="Records that wait in telemetry").get_by_role("row")
    await expect(waiting).to_have_count(6)
    assert len((await page.downloaded(page.page.get_by_role("link", name="Export all"))).splitlines()) == 5

    await page.button("Resume cloud").click()
    await site.gateway.until_drained()
    await expect(page.page.get_by_role("region", name="Uplink cloud")).to_contain_text("Online")
    await expect(page.page.get_by_role("row", name="telemetry")).to_contain_text("empty")


async def test_drain_now_does_not_wait_for_the_next_try(page: Dashboard, site: Site) -> None:
    await page.open("/streams")
    await page.button("Drain now cloud").click()
    await expect(page.page.locator(".notice")).to_contain_text("cloud")
    await page.button("Put this away").click()
    await expect(page.page.locator(".notice")).to_have_count(0)


async def test_a_page_that_stayed_open_over_a_restart_can_still_act(page: Dashboard, site: Site) -> None:
    await page.open("/streams")
    page.is_server_gone = True
    await site.gateway.stop()
    await expect(page.page.locator(".liveness")).to_have_text("Not live")
    await site.gateway.start()
    await expect(page.page.locator(".liveness")).to_have_text("Live")
    page.is_server_gone = False
    page.may_fail("/api/v1/uplinks/cloud/pause", 403)  # when it is quicker than the question who answers now
    await page.button("Pause cloud").click()
    await page.answer("Pause")
    await expect(page.page.get_by_role("region", name="Uplink cloud")).to_contain_text("paused by local")


async def test_frames_that_nobody_acknowledges_are_listed_with_their_attempt(page: Dashboard, site: Site) -> None:
    device = await site.device("plc-1")
    await page.open("/streams")
    site.broker.freeze()
    try:
        await device.publish("plant/line1/temp", b"21.5")
        table = page.page.get_by_role("table", name="Frames in flight")
        await expect(table.get_by_role("row", name="telemetry")).to_contain_text("1")
    finally:
        site.broker.thaw()
    await site.gateway.until_drained()
