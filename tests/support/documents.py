"""The project's documents as a test sees them: their code blocks, and what the comments before them ask for.

    <!-- run: edge -->                          the next block is run with bash, in the folder and network of "edge"
    <!-- run: edge, shows "connected" -->       and its output has that text; several texts, several `shows`
    <!-- run: edge, soon shows "connected" -->  the reader looks again until it has
    <!-- run: edge, stays until "is ready" -->  it stays in the background; go on when its output has that text
    <!-- run: edge, types "secret" -->          in a terminal, where a line is typed for each prompt that asks for one
    <!-- run: edge, ends with 78 -->            and that is its exit code
    <!-- run: edge, in another -->              in that folder of his
    <!-- file: edge gateway.yaml -->            the next block is written to that file there
    <!-- stop: edge "fieldgate run" -->         Ctrl-C where the block with that text stays, and it ends
    <!-- given: edge, stays until "running"     what the reader has, or does, without typing what stands here
    mosquitto -p 1884
    -->
    <!-- not run: there is no AWS here -->      the next block is not run, and why

Blocks of one name and page are one walk, from top to bottom, as a reader goes.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
_PIECES = re.compile(
    r"^ *<!-- (?P<alone>(?:stop|given): .*?)--> *$"
    r"|(?:^ *<!-- (?P<asks>(?:run|file|not run): (?:(?!-->).)*?) -->\n+)?"
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)
_ASKING = re.compile(r"^ *<!-- (?:run|file|not run|stop|given):", re.MULTILINE)
_WISH = re.compile(r'(?P<kind>run|file|stop|given): (?P<walk>[\w-]+)(?: (?P<file>[^\s",]+))?(?: "(?P<at>[^"]+)")?')
_CLAUSE = re.compile(
    r',\s+(?:(?P<how>shows|soon shows|stays until|types) "(?P<text>[^"]*)"'
    r"|ends with (?P<code>\d+)|in (?P<folder>[\w./-]+))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block, or a comment that is one; `walk` is None for one that nothing is asked of."""

    page: Path
    line: int
    language: str
    text: str
    kind: str | None = None
    walk: str | None = None
    file: str | None = None
    stays_until: str | None = None
    shows: tuple[str, ...] = ()
    looks_again: bool = False
    types: tuple[str, ...] = ()
    code: int = 0
    folder: str = "."
    not_run: str | None = None

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
    heard = 0
    for found in _PIECES.finditer(text):
        heard += found["alone"] is not None or found["asks"] is not None
        if found["alone"] is not None:
            wish, _, script = found["alone"].strip().partition("\n")
            line = text.count("\n", 0, found.start("alone")) + 1
            yield _with(Block(page=page, line=line, language="", text=textwrap.dedent(script)), wish.strip())
            continue
        line = text.count("\n", 0, found.start("language")) + 1
        body = re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE)
        block = Block(page=page, line=line, language=found["language"], text=body)
        asks = found["asks"]
        if asks is None:
            yield block
        elif asks.startswith("not run: "):
            yield replace(block, not_run=asks.removeprefix("not run: "))
        else:
            yield _with(block, asks)
    if heard != len(_ASKING.findall(text)):
        raise ValueError(f"{page}: a comment asks for something, and no block follows it")


def _with(block: Block, asks: str) -> Block:
    """The block with what a comment asks of it."""
    wish = _WISH.match(asks)
    rest = asks[wish.end() :] if wish else ""
    if wish is None or _CLAUSE.sub("", rest).strip():
        raise ValueError(f"{block.page}:{block.line}: nobody knows what {asks!r} asks for")
    if (wish["kind"] == "file") != (wish["file"] is not None) or (wish["kind"] == "stop") != (wish["at"] is not None):
        raise ValueError(f"{block.page}:{block.line}: {asks!r} names no file, or nothing to stop, or one too many")
    clauses = list(_CLAUSE.finditer(rest))

    def texts(*hows: str) -> tuple[str, ...]:
        return tuple(clause["text"] for clause in clauses if clause["how"] in hows)

    return replace(
        block,
        kind=wish["kind"],
        walk=wish["walk"],
        file=wish["file"],
        text=wish["at"] if wish["at"] is not None else block.text,
        stays_until=next(iter(texts("stays until")), None),
        shows=texts("shows", "soon shows"),
        looks_again=bool(texts("soon shows")),
        types=texts("types"),
        folder=next((clause["folder"] for clause in clauses if clause["folder"]), "."),
        code=next((int(clause["code"]) for clause in clauses if clause["code"]), 0),
    )
