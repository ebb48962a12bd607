"""A page of the dashboard in a real Chromium that nobody sees, and everything that went wrong in it.

    async with chromium() as browser, dashboard(browser, gateway.api_port) as page:
        await page.open("/devices")
        await page.says("3 devices connected")
        await page.accessible()
        page.sound()                           # no console error, no failed and no foreign request, so far

A request that is meant to fail is named before: `page.may_fail("/api/v1/session", 401)`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Response,
    async_playwright,
    expect,
)

CHROMIUM = Path("/usr/bin/chromium")
IS_THERE = CHROMIUM.exists()
TIMEOUT_MS = 15_000
WIDE = (1366, 900)
NARROW = (360, 740)
Theme = Literal["light", "dark"]

_ARGUMENTS = (
    "--no-sandbox",  # root of a container has no other way
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-first-run",
    "--no-pings",
    "--metrics-recording-only",
    "--font-render-hinting=none",
    "--force-color-profile=srgb",
)
expect.set_options(timeout=TIMEOUT_MS)
_LOAD_FAILED = re.compile(r"Failed to load resource|net::ERR_")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """The system's Chromium; skips the test where there is none."""
    if not IS_THERE:
        pytest.skip(f"{CHROMIUM} is not installed")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            await browser.close()


class Dashboard:
    """One page, watched from its beginning."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page = page
        self.origin = origin
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._allowed: list[tuple[str, int]] = []
        self.is_server_gone = False
        """Set while the test has stopped the server: requests fail then, and have to."""
        page.set_default_timeout(TIMEOUT_MS)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(f"uncaught: {error}"))
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("requestfailed", self._failed)
        page.on("response", self._answered)

    def may_fail(self, path: str, status: int) -> None:
        """An answer of this status to this path is meant."""
        self._allowed.append((path, status))

    async def open(self, path: str) -> None:
        """Go to an address, as if it had been typed; returns when the page has its heading and its first body."""
        await self.page.goto(self.origin + path)
        await self.settled()

    async def settled(self) -> None:
        """Return when a page is drawn, with what it asked for."""
        await expect(self.page.locator("h1").first).to_be_attached(timeout=TIMEOUT_MS)
        await expect(self.page.locator(".loading")).to_have_count(0, timeout=TIMEOUT_MS)

    async def says(self, text: str | re.Pattern[str], *, within: str = "body") -> None:
        """Wait until the text can be read; no-break spaces are spaces."""
        await expect(self.page.locator(within).first).to_contain_text(text, timeout=TIMEOUT_MS)

    async def says_not(self, text: str | re.Pattern[str], *, within: str = "body") -> None:
        """Wait until the text is gone."""
        await expect(self.page.locator(within).first).not_to_contain_text(text, timeout=TIMEOUT_MS)

    def button(self, name: str, *, exact: bool = False) -> Locator:
        """A button by what it is called."""
        return self.page.get_by_role("button", name=name, exact=exact)

    async def downloaded(self, link: Locator) -> bytes:
        """What a link gives to keep."""
        async with self.page.expect_download() as download:
            await link.click()
        path = await (await download.value).path()
        return await asyncio.to_thread(path.read_bytes)

    async def answer(self, action: str) -> None:
        """Press a button of the open dialog."""
        dialog = self.page.get_by_role("dialog")
        await dialog.get_by_role("button", name=action, exact=True).click()
        await expect(dialog).to_have_count(0, timeout=TIMEOUT_MS)

    async def accessible(self) -> None:
        """No violation that axe-core finds."""
        if not await self.page.evaluate("'axe' in window"):
            await self.page.evaluate(AXE_SCRIPT)
        violations: list[dict[str, Any]] = await self.page.evaluate(
            "axe.run({resultTypes: ['violations']}).then((results) => results.violations)"
        )
        found = [
            f"{one['id']}: {one['help']}\n    " + "\n    ".join(node["html"][:200] for node in one["nodes"][:3])
            for one in violations
        ]
        assert not found, f"{self.page.url}:\n" + "\n".join(found)

    async def fits(self) -> None:
        """Nothing is wider than the window."""
        wider = await self.page.evaluate(
            """() => {
                const wide = document.documentElement.clientWidth;
                if (document.documentElement.scrollWidth <= wide) return [];
                return [...document.querySelectorAll("body *")]
                    .filter((one) => one.getBoundingClientRect().right > wide + 1)
                    .slice(0, 5).map((one) => one.outerHTML.slice(0, 160));
            }"""
        )
        assert wider == [], f"{self.page.url} is wider than the window: {wider}"

    def sound(self) -> None:
        """No error in the console, no request that failed, none that went elsewhere."""
        foreign = [url for url in self.requests if not url.startswith((self.origin + "/", "data:", "blob:"))]
        assert foreign == [], "requests that left the gateway"
        assert self.errors == []

    def _console(self, message: ConsoleMessage) -> None:
        if message.type not in {"error", "warning"}:
            return
        # Failed answers are looked at one by one, with their status.
        if not _LOAD_FAILED.search(message.text):
            self.errors.append(f"{message.type}: {message.text}")

    def _failed(self, request: Request) -> None:
        reason = str(request.failure)
        # A stream that the page itself has closed, because it needs it no more, or a download.
        if "ERR_ABORTED" not in reason and not self.is_server_gone:
            self.errors.append(f"{request.url}: {reason}")

    def _answered(self, response: Response) -> None:
        path = response.url.removeprefix(self.origin).partition("?")[0]
        if response.status >= 400 and (path, response.status) not in self._allowed and not self.is_server_gone:
            self.errors.append(f"{response.url}: status {response.status}")


@asynccontextmanager
async def dashboard(
    browser: Browser, port: int, *, size: tuple[int, int] = WIDE, theme: Theme = "light", **options: Any
) -> AsyncIterator[Dashboard]:
    """A page in a context of its own: no cookie, no storage, nothing kept."""
    context: BrowserContext = await browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=theme,
        reduced_motion="reduce",
        timezone_id="Europe/Berlin",
        locale="en-GB",
        **options,
    )
    try:
        yield Dashboard(await context.new_page(), f"http://127.0.0.1:{port}")
    finally:
        await context.close()
