"""All of /api/v1 of the gateway."""

from __future__ import annotations

from typing import Final

from bridge.web.routes import Route
from gateway.api import (
    configuration,
    dead_letters,
    devices,
    events,
    history,
    overview,
    queue,
    streams,
    tail,
    topics,
)
from gateway.api.parts import Parts

PAGES: Final = (
    "/",
    "/streams",
    "/devices",
    "/devices/{client}",
    "/topics",
    "/topics/{topic...}",
    "/dead-letters",
    "/dead-letters/{id}",
    "/configuration",
    "/login",
)
"""What the dashboard shows at addresses of its own."""

_RESOURCES: Final = (overview, history, events, streams, devices, topics, tail, dead_letters, queue, configuration)


def routes(parts: Parts) -> list[Route]:
    """In the order in which the description has them."""
    return [route for resource in _RESOURCES for route in resource.routes(parts)]
