"""The files that the dashboard borrows are what their checksums say, and ask nothing of the network."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from tools.vendor import VENDOR, wrong_files

STATIC = VENDOR.parent


def test_every_borrowed_file_is_what_its_checksum_says() -> None:
    assert wrong_files() == []


def test_a_changed_a_missing_and_a_strange_file_are_told_apart(tmp_path: Path) -> None:
    folder = tmp_path / "vendor"
    shutil.copytree(VENDOR, folder)
    (folder / "htm.js").write_text("alert(1)")
    (folder / "uplot.css").unlink()
    (folder / "more.js").touch()
    assert wrong_files(folder) == [
        "more.js is not listed in SHA256SUMS.",
        "htm.js is not what SHA256SUMS says.",
        "uplot.css is missing.",
    ]


def test_every_package_has_its_licence_beside_it() -> None:
    for name, package in json.loads((VENDOR / "packages.json").read_text()).items():
        licences = [target for target in package["files"] if target.startswith("LICENSE")]
        assert licences, name
        assert all((VENDOR / licence).stat().st_size > 500 for licence in licences), name


def test_our_pages_have_nothing_inline_and_name_only_files_that_are_there() -> None:
    shell = (STATIC / "index.html").read_text()
    assert re.search(r"<script(?![^>]* src=)|<style|\son\w+=|\sstyle=", shell) is None
    for address in re.findall(r'(?:src|href)="([^"]+)"', shell):
        assert address.startswith("/static/")
        assert (STATIC / address.removeprefix("/static/")).is_file(), address


def test_modules_import_files_that_are_there_and_set_no_markup() -> None:
    for module in (STATIC / "js").rglob("*.js"):
        text = module.read_text()
        for target in re.findall(r'from "([^"]+)"', text):
            assert target.startswith("."), f"{module.name} imports {target}"
            assert (module.parent / target).resolve().is_file(), f"{module.name} imports {target}"
        code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith(("//", "*", "/*")))
        for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
            assert way not in code, f"{module.name} uses {way}"
