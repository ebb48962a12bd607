"""What a screen reader is told of a page: Chromium's own accessibility tree, flattened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Page


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """One thing that is there for a screen reader, and what stands in it."""

    role: str
    name: str
    level: int = 0
    children: tuple[Spoken, ...] = field(default=(), repr=False)

    def walk(self) -> Iterator[Spoken]:
        """It, and all that stands in it, in reading order."""
        yield self
        for child in self.children:
            yield from child.walk()

    def all(self, *roles: str) -> list[Spoken]:
        """Everything of these roles in it, in reading order."""
        return [one for one in self.walk() if one.role in roles]


async def spoken(page: Page) -> Spoken:
    """The whole page as it is now."""
    session = await page.context.new_cdp_session(page)
    try:
        nodes = (await session.send("Accessibility.getFullAXTree"))["nodes"]
    finally:
        await session.detach()
    by_id = {node["nodeId"]: node for node in nodes}
    return _spoken(nodes[0], by_id)


def _spoken(node: dict[str, Any], by_id: dict[str, dict[str, Any]]) -> Spoken:
    properties = {one["name"]: one["value"].get("value") for one in node.get("properties", ())}
    below = tuple(_spoken(by_id[child], by_id) for child in node.get("childIds", ()) if child in by_id)
    return Spoken(
        role="" if node.get("ignored") else str(node.get("role", {}).get("value", "")),
        name=str(node.get("name", {}).get("value", "")),
        level=int(properties.get("level") or 0),
        children=below,
    )
