"""Links between documents lead somewhere."""

from __future__ import annotations

import re

import pytest

from tests.support.documents import ROOT, pages

OUTSIDE = ("http://", "https://", "mailto:")
MORE = [ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]


def anchors(text: str) -> set[str]:
    """What GitHub makes of headings."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.replace("`", "")).strip().lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", [*pages(), *MORE], ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_something_that_is_there(page: object) -> None:
    text = page.read_text()  # type: ignore[attr-defined]
    plain = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    for target in re.findall(r"!?\[[^\]]*\]\(([^)\s]+)\)", plain):
        if target.startswith(OUTSIDE):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page  # type: ignore[attr-defined]
        assert path.exists(), f"{page}: {target}"
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path.read_text()), f"{page}: there is no heading {anchor} in {name or 'it'}"
