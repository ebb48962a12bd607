"""What is counted of the requests to the HTTP interface."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from bridge.web.meter import BOUNDS_S, NOTHING_KNOWN, OTHER, Asked, Meter
from bridge.web.metrics import HttpCollector, exposition
from bridge.web.routes import Route
from tests.support.web_house import House, house, show

LIVE = Route(method="GET", path="/api/v1/live", handler=show, is_live=True)
THING = Route(method="GET", path="/api/v1/thing/{name}", handler=show)
ACT = Route(method="POST", path="/api/v1/thing/{name}/act", handler=show, role="operator", audit="act")


def counted(at: House) -> dict[tuple[str, str, str], int]:
    return {(*asked, status_class): count for (asked, status_class), count in at.server.meter.requests.items()}


async def test_requests_are_counted_by_templates_and_never_by_what_somebody_wrote() -> None:
    async with house(routes=(LIVE, THING, ACT)) as at:
        for name in ("pump-1", "pump-2", "%3Cscript%3E"):
            assert await at.status("GET", f"/api/v1/thing/{name}") == 200
            assert await at.status("GET", f"/nowhere/{name}") == 404
        assert await at.status("HEAD", "/api/v1/thing/x") == 200
        assert await at.status("GET", "/api/v1/thing/x?nonsense=1") == 200
        assert await at.status("POST", "/api/v1/thing/x/act", json=[]) == 400
        assert await at.status("DELETE", "/api/v1/thing/x") == 405
        assert await at.status("PUT", "/api/v1/thing/x") == 405
        assert await at.status("GET", "/api/v1/thing/x", headers={"Host": "evil.example"}) == 421
        assert await at.status("GET", "/devices/anything") == 200
        assert await at.status("GET", "/static/index.html") == 200
        assert await at.status("GET", "/static/nothing") == 404
        assert counted(at) == {
            ("/api/v1/thing/{name}", "GET", "2xx"): 4,
            ("/api/v1/thing/{name}", "HEAD", "2xx"): 1,
            ("/api/v1/thing/{name}/act", "POST", "4xx"): 1,
            ("/devices/{client}", "GET", "2xx"): 1,
            ("/static/", "GET", "2xx"): 1,
            ("/static/", "GET", "4xx"): 1,
            (OTHER, OTHER, "4xx"): 6,
        }


async def test_streams_are_counted_and_not_timed() -> None:
    async with house(routes=(LIVE,)) as at:
        async with at.client.get(at.url + LIVE.path, headers={"Accept": "text/event-stream"}) as response:
            assert response.status == 200
            await response.content.readline()
        assert await at.status("GET", LIVE.path) == 200
        await at.server.close()
        asked = Asked(LIVE.path, "GET")
        assert at.server.meter.requests[asked, "2xx"] == 2
        assert sum(at.server.meter.durations[asked].counts) == 1


def test_prometheus_reads_cumulative_buckets_with_their_sum() -> None:
    meter = Meter()
    for duration_s in (0.001, BOUNDS_S[0], 0.01, 9.0):
        meter.note(Asked("/x", "GET"), 200, duration_s)
    meter.note(NOTHING_KNOWN, 404, 0.0)
    registry = CollectorRegistry()
    registry.register(HttpCollector(meter))
    text = generate_latest(registry).decode()
    assert 'fieldgate_http_requests_total{method="GET",route="/x",status_class="2xx"} 4.0' in text
    assert 'fieldgate_http_requests_total{method="other",route="other",status_class="4xx"} 1.0' in text
    name = "fieldgate_http_request_duration_seconds"
    ends = {"0.005": 2, "0.025": 3, "0.1": 3, "0.5": 3, "2.5": 3, "+Inf": 4}
    for end, count in ends.items():
        assert f'{name}_bucket{{le="{end}",method="GET",route="/x"}} {float(count)}' in text
    assert f'{name}_count{{method="GET",route="/x"}} 4.0' in text
    assert f'{name}_sum{{method="GET",route="/x"}} 9.016' in text


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/plain"),
        ("application/openmetrics-text; version=1.0.0,text/plain;version=0.0.4;q=0.5", "application/openmetrics-text"),
        ("application/openmetrics-text; version=abc", "text/plain"),
        ("application/openmetrics-text; version=1.0.0\udcff", "text/plain"),
        ("application/openmetrics-text; version=2.0.\udcff", "text/plain"),
        ("text/plain; version=1.0.\x1b[31m", "text/plain"),
        ("text/plain; version=" + "9" * 8000, "text/plain"),
        ("*/*; version=x", "text/plain"),
    ],
)
def test_a_scrape_that_asks_for_nonsense_gets_the_usual_form(accept: str, kind: str) -> None:
    registry = CollectorRegistry()
    registry.register(HttpCollector(Meter()))
    answer = exposition(registry, accept)
    assert answer.content_type is not None
    assert answer.content_type.partition(";")[0] == kind
    assert answer.content_type.isascii()
    assert answer.content_type.isprintable()
    assert b"fieldgate_http_requests" in answer.body
