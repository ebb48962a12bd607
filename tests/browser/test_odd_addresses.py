"""A page for every name that a device may take, and a sentence for every address that names nothing."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, urlencode

from playwright.async_api import Browser, expect

from tests.browser.conftest import live_site
from tests.support.dashboard import dashboard

NAMES = (
    "__proto__",
    "constructor",
    "toString",
    "../x",
    "%2e%2e",
    "%",
    ".",
    "..",
    "-",
    "a?b=c#d",
    "a b",
    "a+b",
    "ä\u202eb",
)
SHOWN = {"ä\u202eb": "ä⟨U+202E⟩b"}
DIRECTIONS = (".", "..")
STREAMS = [{"name": name, "topics": [f"odd/{name}/#"]} for name in ("constructor", "toString")]
NOWHERE = (
    ("/devices/nobody", "There is no device of that client id"),
    ("/devices?offset=-5&sort=__proto__&order=x&state=constructor", ""),
    ("/topics?topic=", ""),
    ("/topics?view=__proto__", "Tree of topics"),
    ("/topics?view=retained&filter=%23%2Fx", "#"),
    ("/dead-letters/abc", "There is no"),
    ("/dead-letters/1e999", "There is no"),
    ("/dead-letters?before=abc&reason=__proto__", ""),
    ("/streams?queue=__proto__", "There is no stream of that name"),
    ("/streams?queue=..%2F..%2Fx", "There is no stream of that name"),
    ("/?span=__proto__", "Over time"),
    ("/configuration?search=__proto__&view=constructor", "0 of"),
)
LONG = "long/" + "ä" * 1_500


async def test_every_name_has_a_page_of_its_own(tmp_path: Path, browser: Browser) -> None:
    streams = [*STREAMS, {"name": "rest", "topics": ["#"]}]
    async with live_site(tmp_path, streams=streams) as site, dashboard(browser, site.gateway.api_port) as page:
        for name in NAMES:
            device = await site.device(name)
            await device.publish(f"odd/{name.replace('#', '').replace('+', '')}", name.encode(), packet_id=1)
        for name in NAMES:
            topic = f"odd/{name.replace('#', '').replace('+', '')}"
            if name not in DIRECTIONS:  # a browser resolves these before it asks
                await page.open(f"/devices/{quote(name, safe='')}")
                await page.says(SHOWN.get(name, name), within="h1")
                await page.says("Connected", within="main")
            await page.open(f"/topics?{urlencode({'topic': topic})}")
            await page.says("1 message since the start", within=".topic")
        for name in DIRECTIONS:
            await page.open("/devices")
            await page.page.get_by_role("link", name=SHOWN.get(name, name), exact=True).click()
            await page.says(SHOWN.get(name, name), within="h1")
            await page.says("Connected", within="main")
        for stream in STREAMS:
            await page.open(f"/streams?{urlencode({'queue': stream['name']})}")
            await page.says(f"What waits in {stream['name']}")
        page.sound()


async def test_an_address_that_names_nothing_says_so(tmp_path: Path, browser: Browser) -> None:
    async with live_site(tmp_path) as site, dashboard(browser, site.gateway.api_port) as page:
        for path, sentence in NOWHERE:
            await page.open(path)
            await page.says(sentence, within="main")
            await page.says_not("could not be drawn")
            await page.fits()
        await page.page.evaluate(
            "history.pushState(null, '', '/devices/%ff'); dispatchEvent(new PopStateEvent('popstate'))"
        )
        await page.says("This address names no device.")
        # Refusals are meant here; anything else in the console is not.
        assert [error for error in page.errors if "status 4" not in error] == []


async def test_what_is_too_long_for_an_address_is_shown_and_not_linked(tmp_path: Path, browser: Browser) -> None:
    async with live_site(tmp_path) as site, dashboard(browser, site.gateway.api_port) as page:
        device = await site.device("c" * 20_000)
        await device.publish(LONG, b"21.5", packet_id=1)
        await page.open("/devices")
        row = page.page.get_by_role("table", name="Devices").locator("tbody tr")
        await expect(row).to_have_count(1)
        await expect(row).to_contain_text("the first 1\u00a0024 characters")
        await expect(row.get_by_role("link")).to_have_count(0)
        await page.fits()
        await page.open(f"/devices/{'c' * 20_000}"[:7_000])
        await page.says("There is no device of that client id", within="main")
        await page.fits()
        assert [error for error in page.errors if "status 404" not in error] == []
