"""The project's documents as a test sees them: their code blocks, and what the comments before them ask for.

    <!-- run: edge -->                          the next block is run with bash, in the folder and network of "edge"
    <!-- run: edge, shows "connected" -->       and its output has that text
    <!-- run: edge, stays until "is ready" -->  it stays in the background; go on when its output has that text
    <!-- file: edge gateway.yaml -->            the next block is written to that file there

Blocks of one name and page are one walk, from top to bottom, as a reader goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(
    r"(?:^<!-- (?P<asks>(?:run|file): [^\n]*?) -->\n+)?^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
_ASKS = re.compile(
    r'(?P<kind>run|file): (?P<walk>[\w-]+)(?: (?P<file>\S+))?(?:, (?P<how>shows|stays until) "(?P<expected>[^"]+)")?'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block; `walk` is None for one that nothing is asked of."""

    page: Path
    line: int
    language: str
    text: str
    kind: str | None = None
    walk: str | None = None
    file: str | None = None
    stays: bool = False
    expected: str | None = None

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """README and everything below docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order. Raises ValueError for a comment that is no wish."""
    text = page.read_text()
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("language")) + 1
        body = re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE)
        if found["asks"] is None:
            yield Block(page=page, line=line, language=found["language"], text=body)
            continue
        asks = _ASKS.fullmatch(found["asks"])
        if asks is None or (asks["kind"] == "file") != (asks["file"] is not None):
            raise ValueError(f"{page}:{line}: nobody knows what {found['asks']!r} asks for")
        yield Block(
            page=page,
            line=line,
            language=found["language"],
            text=body,
            kind=asks["kind"],
            walk=asks["walk"],
            file=asks["file"],
            stays=asks["how"] == "stays until",
            expected=asks["expected"],
        )
