"""Topics: the tree of what flows, one topic with its values over time, what is retained."""

from __future__ import annotations

import json
import re

from playwright.async_api import expect

from tests.browser.conftest import Site
from tests.support.dashboard import Dashboard


async def test_the_tree_leads_to_a_topic_and_to_a_plot_of_any_number_in_it(page: Dashboard, site: Site) -> None:
    device = await site.device("plc-1")
    for number in range(1, 21):
        text = json.dumps({"celsius": 20 + number / 2, "motor": {"rpm": 1400 + number}, "name": "M1"})
        await device.publish("plant/line1/temp", text.encode(), packet_id=number)
    await page.open("/topics")
    await page.button("plant: 1 below it").click()
    await page.button("plant/line1: 1 below it").click()
    await page.page.get_by_role("link", name="temp").click()
    await expect(page.page).to_have_url(re.compile(r"topic=plant%2Fline1%2Ftemp"))
    await page.says('"rpm": 1420')
    await page.says("celsius of plant/line1/temp")
    field = page.page.get_by_role("combobox", name="Field")
    await expect(field.locator("option")).to_have_text(["celsius", "motor.rpm"])
    await field.select_option("motor.rpm")
    await expect(page.page).to_have_url(re.compile(r"field=motor\.rpm"))
    await page.page.get_by_text("As a table", exact=False).first.click()
    plotted = page.page.get_by_role("table", name="motor.rpm of plant/line1/temp")
    await expect(plotted).to_contain_text("1420")

    # A new value enters plot and list by itself; the address alone leads back here.
    await device.publish("plant/line1/temp", b'{"motor": {"rpm": 1777}}', packet_id=21)
    await expect(plotted).to_contain_text("1777")
    await page.open(page.page.url.removeprefix(page.origin))
    await expect(page.page.get_by_role("combobox", name="Field")).to_have_value("motor.rpm")
    await expect(page.page.locator(".node[data-chosen=true]")).to_contain_text("temp")


async def test_what_is_retained_is_found_by_a_filter(page: Dashboard, site: Site) -> None:
    device = await site.device("plc-1")
    await device.publish("plant/line1/state", b'{"on": true}', retain=True, packet_id=1)
    await device.publish("plant/line2/state", b'{"on": false}', retain=True, packet_id=2)
    await page.open("/topics")
    await page.page.get_by_role("link", name="Retained").click()
    rows = page.page.get_by_role("table", name="Retained messages").locator("tbody tr")
    await expect(rows).to_have_count(2)
    await page.page.get_by_label("Topic filter").fill("+/line2/#")
    await page.button("Look").click()
    await expect(rows).to_have_count(1)
    await expect(rows.first).to_contain_text('{"on": false}')
