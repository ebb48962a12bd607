"""Configuration: what is in force and from where; a new one refused with its line, compared, applied."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from playwright.async_api import expect

from tests.browser.conftest import Site
from tests.support.dashboard import Dashboard


async def test_every_value_is_shown_with_where_it_came_from(page: Dashboard, site: Site) -> None:
    await page.open("/configuration")
    await page.says(str(site.gateway.config_path))
    await page.page.get_by_role("searchbox").fill("keep_alive cloud")
    rows = page.page.get_by_role("table", name="Effective settings").locator("tbody tr")
    await expect(rows).to_have_count(1)
    await expect(rows.first).to_contain_text("1s")
    await expect(rows.first).to_contain_text(re.compile(r"run\.yaml:\d+"))
    await expect(page.page).to_have_url(re.compile("search=keep_alive"))
    await page.page.get_by_role("searchbox").fill("spool.max_size")
    await expect(rows.first).to_contain_text("default")


async def test_a_bad_file_is_refused_with_its_line_and_a_good_one_applied(
    page: Dashboard, site: Site, tmp_path: Path
) -> None:
    good = {**site.gateway.configuration, "spool": {"max_size": "256MiB"}}
    bad = yaml.safe_dump({**good, "spool": {"max_sise": "256MiB"}}, sort_keys=False)
    line = bad.splitlines().index("  max_sise: 256MiB") + 1

    await page.open("/configuration?view=new")
    await expect(page.button("Check", exact=True)).to_have_attribute("aria-disabled", "true")
    text = page.page.get_by_label("New configuration", exact=True)
    await text.fill(bad)
    await page.button("Check", exact=True).click()
    await page.says("Refused: 1 mistake")
    await page.says("max_sise")
    await page.page.get_by_role("button", name=re.compile(rf":{line}$")).click()
    chosen = await text.evaluate("area => area.value.slice(area.selectionStart, area.selectionEnd)")
    assert chosen == "  max_sise: 256MiB"
    await expect(page.button("Apply…")).to_have_count(0)

    upload = tmp_path / "new.yaml"
    upload.write_text(yaml.safe_dump(good, sort_keys=False))
    await page.page.get_by_label("Take a file").set_input_files(upload)
    await page.button("Check", exact=True).click()
    changed = page.page.get_by_role("table", name="What would change").locator("tbody tr")
    await expect(changed).to_have_count(1)
    await expect(changed.first).to_contain_text("spool.max_size")
    await expect(changed.first).to_contain_text("256MiB")
    await page.button("Apply…").click()
    await page.says("1 change", within="dialog")
    await page.answer("Apply")
    await expect(page.page.locator(".notice")).not_to_have_count(0)
    assert "256MiB" in site.gateway.config_path.read_text()
    await page.open("/configuration?search=spool.max_size")
    await page.says("256MiB", within="tbody")

    site.gateway.config_path.write_text(yaml.safe_dump({**good, "spool": {"max_size": "128MiB"}}, sort_keys=False))
    await page.button("Read the file again").click()
    await page.says("128MiB", within="tbody")
