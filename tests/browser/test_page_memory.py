"""A page that stays open for weeks in a control room holds no more than after its first minutes."""

from __future__ import annotations

import json

from playwright.async_api import Browser

from tests.browser.conftest import Site
from tests.support.dashboard import dashboard
from tests.support.page_memory import FEED, fed, held_by

WARM_BODIES = 40
"""Until everything that is kept on purpose is there: a thousand points of a plot, and compiled code."""
MORE_BODIES = 60
MOST_A_BODY = 4_096
"""Of heap; measured over a thousand bodies it is 200 bytes and falling, a body that is kept is some ten thousand."""


PAGES = ("/", "/devices", "/topics?topic=plant/line1/temp")


async def test_a_page_that_stays_open_does_not_grow(browser: Browser, site: Site) -> None:
    device = await site.device("plc-1")
    for number in range(1, 31):
        await device.publish("plant/line1/temp", json.dumps({"celsius": 20 + number}).encode(), packet_id=number)
    for path in PAGES:
        async with dashboard(browser, site.gateway.api_port) as page:
            await page.page.add_init_script(FEED)
            await page.open(path)
            await fed(page.page, WARM_BODIES)
            before = await held_by(page.page)
            await fed(page.page, MORE_BODIES)
            after = await held_by(page.page)
            print(path, before, after)
            assert after.nodes <= before.nodes * 1.1
            assert after.listeners <= before.listeners * 1.1
            assert after.heap_bytes <= before.heap_bytes + MORE_BODIES * MOST_A_BODY
            page.sound()
