"""Who may see, and who may act."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.async_api import Browser, expect

from tests.browser.conftest import live_site
from tests.support.dashboard import Dashboard, dashboard
from tests.support.passwords import write_users
from tests.support.ports import steady_port


async def log_in(page: Dashboard, user: str, password: str) -> None:
    """Fill in the form."""
    await page.page.get_by_label("User").fill(user)
    await page.page.get_by_label("Password").fill(password)
    await page.button("Log in").click()


async def test_a_viewer_sees_and_an_operator_acts(tmp_path: Path, browser: Browser) -> None:
    users = write_users(tmp_path / "web-users", {"anna": "right", "ben": "also right"})
    api = {"bind": f"127.0.0.1:{steady_port()}", "password_file": str(users), "operators": ["anna"]}
    async with live_site(tmp_path, api=api) as site, dashboard(browser, site.gateway.api_port) as page:
        page.may_fail("/api/v1/session", 401)
        await page.open("/streams?queue=telemetry")
        await page.says("Log in to edge-01")
        await expect(page.page.get_by_label("User")).to_be_focused()
        await page.accessible()
        await log_in(page, "ben", "wrong")
        await page.says("password", within="[role=alert]")
        await log_in(page, "ben", "also right")

        # The page that was asked for first.
        await expect(page.page).to_have_url(re.compile(r"/streams\?queue=telemetry$"))
        await page.says("ben · viewer")
        await page.says("actions are for operators")
        pause = page.button("Pause cloud")
        await expect(pause).to_have_attribute("aria-disabled", "true")
        await expect(pause).to_have_accessible_description(re.compile("only an operator"))
        await pause.click(force=True)
        await expect(page.page.get_by_role("dialog")).to_have_count(0)
        await page.accessible()

        page.may_fail("/api/v1/overview", 401)
        page.may_fail("/api/v1/streams", 401)
        await page.button("Log out").click()
        await page.says("Log in to edge-01")
        await page.page.go_back()
        await page.says("Log in to edge-01")
        await log_in(page, "anna", "right")
        await page.says("anna · operator")
        await page.open("/streams")
        await page.button("Pause cloud").click()
        await page.answer("Pause")
        await page.says("paused by anna")
        await page.open("/")
        await page.says("anna", within=".events")
        page.sound()


async def test_the_way_back_after_logging_in_leads_nowhere_else(tmp_path: Path, browser: Browser) -> None:
    users = write_users(tmp_path / "web-users", {"anna": "right"})
    api = {"bind": f"127.0.0.1:{steady_port()}", "password_file": str(users), "operators": ["anna"]}
    async with live_site(tmp_path, api=api) as site, dashboard(browser, site.gateway.api_port) as page:
        await page.open("/login?next=https://elsewhere.example/")
        await log_in(page, "anna", "right")
        await expect(page.page).to_have_url(f"{page.origin}/")
        page.sound()
