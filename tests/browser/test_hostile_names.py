"""What devices send is text, whatever it looks like: on no page does an element or a script come of it."""

from __future__ import annotations

import random
import re
from pathlib import Path
from urllib.parse import quote, urlencode

from playwright.async_api import Browser

from tests.browser.conftest import live_site
from tests.support.dashboard import dashboard
from tests.support.raw_client import RawClient
from tests.support.wire import V5

MARK = "hostile-7f3a"
NAMES = (
    f"<img src=x id={MARK} onerror=alert(1)>",
    f"<script id={MARK}>alert(1)</script>",
    f'"><svg id={MARK} onload=alert(1)>',
    f"javascript:alert('{MARK}')",
    f"{MARK}\u202egnp.exe\u2066\u200b",
    f"{MARK}-" + "w" * 2000,
    f"{MARK}-مرحبا-\u0301\u0302\u0303\u0304\u0305\u0306",
    f"{MARK}/../../../api/v1/session",
    "..",
    f"__proto__ {MARK}",
    f"${{{MARK}}}&lt;b&gt;&#x3c;",
)
FOUND = f"""() => ({{
    elements: document.querySelectorAll('#{MARK}, img, iframe, object, embed, script:not([src])').length,
    attributes: [...document.querySelectorAll('*')].flatMap((one) => [...one.attributes])
        .filter((one) => /^on/i.test(one.name)).length,
    links: [...document.querySelectorAll('a')].filter((one) => one.origin !== location.origin).length,
    turned: /[\\u202a-\\u202e\\u2066-\\u2069\\u200b\\u0000-\\u0008\\u001b]/.test(document.body.innerText),
}})"""
SHOW_ALL = "() => document.querySelectorAll('button.whole').forEach((button) => button.click())"
NOTHING = {"elements": 0, "attributes": 0, "links": 0, "turned": False}


async def test_nothing_that_a_device_says_becomes_part_of_the_page(tmp_path: Path, browser: Browser) -> None:
    async with (
        live_site(tmp_path, lines=["max_packet_size 9000"]) as site,
        dashboard(browser, site.gateway.api_port, size=(360, 800)) as page,
    ):
        await site.start_receiver()
        asked: list[str] = []
        page.page.on("dialog", lambda dialog: asked.append(dialog.message))
        for name in NAMES:
            device = await site.device(name, will=(f"will/{MARK}", name.encode()))
            topic = re.sub(r"[+#]", "", f"odd/{name}")
            await device.subscribe((topic, 1))
            await device.publish(topic, name.encode(), packet_id=1, retain=True)
            await device.publish(f"{topic}/json", f'{{"{MARK}<b>": 1, "<img src=x>": 2}}'.encode(), packet_id=2)
            await device.publish(f"{topic}/bytes", b"\xff\xfe\x00" + name.encode() * 3, packet_id=3)
            if name is NAMES[0]:
                await device.publish(topic, name.encode() + random.Random(1).randbytes(16_000), packet_id=4)
        async with RawClient(site.broker.port, version=V5) as stranger:
            await stranger.connect("stranger")
            await stranger.publish(f"fieldgate/v1/{NAMES[0].replace('/', '')}/x", b"no frame")
        await site.gateway.until(lambda status: status["uplinks"]["cloud"]["dead_letters"] >= 1, "a dead letter")

        pages = [
            "/",
            "/streams?queue=telemetry",
            "/devices",
            "/dead-letters",
            "/dead-letters/1",
            "/topics?view=retained",
            *(f"/devices/{quote(name, safe='')}" for name in NAMES if name != ".."),
            *(f"/topics?{urlencode({'topic': re.sub('[+#]', '', f'odd/{name}')})}" for name in NAMES),
            *(f"/topics?{urlencode({'topic': re.sub('[+#]', '', f'odd/{name}/json')})}" for name in NAMES[:2]),
        ]
        for path in pages:
            await page.open(path)
            await page.page.evaluate(SHOW_ALL)
            assert await page.page.evaluate(FOUND) == NOTHING, path
            await page.fits()
        await page.open("/devices")
        await page.says(MARK)
        # A client id of dots alone would be a direction in a path.
        await page.page.get_by_role("link", name="..", exact=True).click()
        await page.says("..", within="h1")
        await page.button("Disconnect").click()
        await page.answer("Disconnect")
        await page.says("The connection was ended.", within=".notices")
        assert asked == []
        page.sound()


async def test_a_search_with_markup_in_it_stays_text(browser: Browser, tmp_path: Path) -> None:
    async with live_site(tmp_path) as site, dashboard(browser, site.gateway.api_port) as page:
        for path in ("/devices", "/topics", "/configuration", "/topics?view=retained"):
            await page.open(f"{path}{'&' if '?' in path else '?'}{urlencode({'search': NAMES[0], 'filter': NAMES[1]})}")
            assert await page.page.evaluate(FOUND) == NOTHING, path
        page.sound()
