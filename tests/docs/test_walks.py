"""What the documents tell a reader to type is typed: in folders and a network of its own, the usual ports free."""

from __future__ import annotations

import contextlib
import re
import shutil
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.support.documents import ROOT, Block, blocks, pages
from tests.support.reader import Reader, can_isolate, can_lay_over

WALKS = list(dict.fromkeys((block.page, block.walk) for page in pages() for block in blocks(page) if block.walk))

QUICK = {
    "README-whole",
    "monitoring-otel",
    "operations-small",
    "scenarios-ready",
    "tls-balanced",
    "tls-welcome",
    "users-and-rights-others",
}
"""Those that take a second or two; the others are for the slow tests."""

PACKAGES = {
    "mosquitto": "mosquitto",
    "mosquitto_pub": "mosquitto-clients",
    "mosquitto_sub": "mosquitto-clients",
    "mosquitto_passwd": "mosquitto",
    "openssl": "openssl",
    "promtool": "prometheus",
    "prometheus": "prometheus",
    "curl": "curl",
    "systemd-analyze": "systemd",
}
"""Programs of others that a reader is told to use, and where Debian has them."""


def _missing(steps: list[Block]) -> str | None:
    """Why these steps can't be done here."""
    said = "\n".join(step.text for step in steps if step.kind in {"run", "given"})
    for program, package in PACKAGES.items():
        if re.search(rf"^(sudo )?{program}\b", said, re.MULTILINE) and shutil.which(program) is None:
            return f"{program} is not installed (Debian: {package})"
    return None


def _named(page: Path, walk: str) -> ParameterSet:
    name = f"{page.stem}-{walk}"
    return pytest.param(page, walk, id=name, marks=[] if name in QUICK else [pytest.mark.slow])


@pytest.mark.parametrize(("page", "walk"), [_named(page, walk) for page, walk in WALKS])
def test_a_reader_who_does_what_the_page_says_sees_what_it_says(page: Path, walk: str, tmp_path: Path) -> None:
    steps = [block for block in blocks(page) if block.walk == walk]
    folders = any(re.search(r"/(etc|opt|var)/|example", step.text) for step in steps)
    missing = _missing(steps)
    if missing is not None:
        pytest.skip(missing)
    if not can_isolate():
        pytest.skip("no network of its own here (unshare -rnpm, ip)")
    if folders and not can_lay_over():
        pytest.skip("no folders of its own in place of this machine's (root, overlayfs)")
    with contextlib.closing(Reader(tmp_path, own_folders=folders)) as reader:
        for step in steps:
            reader.does(step)


ELSEWHERE = {
    "containers.md": "tests/deploy does each step of the image, and what compose would, by itself",
    "hivemq-and-emqx.md": "tests/interop/brokers runs the whole road through such brokers",
}
"""Pages whose commands and configurations no reader types here."""


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_shows_is_typed_or_the_page_says_why_not(page: Path) -> None:
    if page.name in ELSEWHERE:
        pytest.skip(ELSEWHERE[page.name])
    shown = [block for block in blocks(page) if block.language in {"sh", "bash", "console", "yaml", "acl", "conf"}]
    assert [block.place for block in shown if block.walk is None and block.not_run is None] == []
