"""Metrics pushed to a small OTLP collector of the test's own, which takes the protobuf apart."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from bridge.web.meter import BOUNDS_S, Asked, Meter
from bridge.web.metrics import HttpCollector
from config.errors import ConfigError
from gateway import otel
from gateway.otel import endpoint, headers_of
from tests.support.live_gateway import live_gateway
from tests.support.mosquitto import free_port

TIMEOUT_S = 10


class Collector:
    """Listens at /v1/metrics."""

    def __init__(self) -> None:
        self.pushes: asyncio.Queue[ExportMetricsServiceRequest] = asyncio.Queue()
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.port = free_port()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/v1/metrics", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _take(self, request: web.Request) -> web.Response:
        self.headers.append(dict(request.headers))
        body = await request.read()  # aiohttp has inflated it
        await self.pushes.put(ExportMetricsServiceRequest.FromString(body))
        return web.Response(status=self.status, text="no room")

    async def push(self) -> ExportMetricsServiceRequest:
        return await asyncio.wait_for(self.pushes.get(), TIMEOUT_S)


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    collector = Collector()
    await collector.start()
    try:
        yield collector
    finally:
        await collector.stop()


def telemetry(port: int) -> dict[str, Any]:
    return {"url": f"http://127.0.0.1:{port}", "interval": "1s"}


def attributes(pairs: Any) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in pairs}


async def test_the_metrics_of_the_page_are_pushed_by_its_names_with_who_they_are_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-token=a%20b, nonsense")
    async with collecting() as collector, live_gateway(tmp_path, telemetry=telemetry(collector.port)) as box:
        device = await box.device()
        device.publish("a", b"1")
        await device.read()
        await collector.push()  # it may have been begun before the publish
        request = await collector.push()
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{box.gateway.api.address}/metrics") as answer,
        ):
            page = await answer.text()
        (resource,) = request.resource_metrics
        own = attributes(resource.resource.attributes)
        assert (own["service.name"], own["service.instance.id"]) == ("fieldgate", "edge")
        metrics = {metric.name: metric for metric in resource.scope_metrics[0].metrics}
        shown = {sample.name for family in text_string_to_metric_families(page) for sample in family.samples} - {
            name for name in metrics if name.endswith("_created")
        }
        assert set(metrics) == shown
        accepted = metrics["fieldgate_stream_accepted_records_total"].sum
        assert accepted.is_monotonic
        assert [(attributes(point.attributes), point.as_double) for point in accepted.data_points] == [
            ({"stream": "telemetry"}, 1.0)
        ]
        assert 0 < accepted.data_points[0].start_time_unix_nano < accepted.data_points[0].time_unix_nano
        assert metrics["fieldgate_stream_records"].gauge.data_points[0].as_double == 1.0
        assert collector.headers[0]["x-token"] == "a b"


async def test_a_collector_that_is_away_is_one_line_and_one_when_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    collector = Collector()
    with caplog.at_level(logging.INFO, "gateway.otel"):
        async with live_gateway(tmp_path, telemetry=telemetry(collector.port)):
            await until(lambda: "can't be pushed" in caplog.text)
            collector.status = 503
            await collector.start()
            await collector.push()
            collector.status = 200
            await collector.push()
            await until(lambda: "again." in caplog.text)
            await collector.stop()
    lines = [record.getMessage() for record in caplog.records if record.name == "gateway.otel"]
    assert len(lines) == 2
    assert lines[1].endswith("are pushed to " + f"http://127.0.0.1:{collector.port}/v1/metrics again.")


async def until(condition: Any) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110 - the log tells nobody
            await asyncio.sleep(0.005)


async def test_a_reload_begins_and_ends_it(tmp_path: Path) -> None:
    async with collecting() as collector, live_gateway(tmp_path) as box:
        box.file["telemetry"] = telemetry(collector.port)
        assert (await box.reload()).applied == ["telemetry.url", "telemetry.interval"]
        await collector.push()
        del box.file["telemetry"]
        await box.reload()
        assert not box.gateway.tasks.is_running("telemetry")


async def test_counters_do_not_begin_anew_because_somebody_changed_the_interval(tmp_path: Path) -> None:
    def begins_at(request: ExportMetricsServiceRequest) -> set[int]:
        metrics = request.resource_metrics[0].scope_metrics[0].metrics
        return {point.start_time_unix_nano for metric in metrics for point in metric.sum.data_points}

    async with collecting() as collector, live_gateway(tmp_path, telemetry=telemetry(collector.port)) as box:
        before = begins_at(await collector.push())
        box.file["telemetry"]["interval"] = "2s"
        await box.reload()
        while not collector.pushes.empty():
            collector.pushes.get_nowait()
        assert begins_at(await collector.push()) == before


async def test_without_the_extra_a_url_is_a_mistake_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with live_gateway(tmp_path) as box:
        monkeypatch.setattr(otel, "is_installed", lambda: False)
        box.file["telemetry"] = telemetry(1)
        (problem,) = (await box.reload()).problems
        assert problem.key == "telemetry.url"
        assert "pip install 'fieldgate[otel]'" in problem.message


async def test_without_the_extra_a_gateway_with_a_url_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otel, "is_installed", lambda: False)
    with pytest.raises(ConfigError, match="this needs the extra otel"):
        async with live_gateway(tmp_path, telemetry=telemetry(1)):
            pass


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("http://collector:4318", "http://collector:4318/v1/metrics"),
        ("https://collector/", "https://collector/v1/metrics"),
        ("https://collector/otlp/v1/metrics?a=b", "https://collector/otlp/v1/metrics?a=b"),
    ],
)
def test_an_address_without_a_path_is_that_of_a_collector(url: str, meant: str) -> None:
    assert endpoint(url) == meant


def test_headers_come_from_the_environment() -> None:
    assert headers_of({}) == {}
    assert headers_of({"OTEL_EXPORTER_OTLP_HEADERS": "a=1,b%2Dc=x%3Dy,=no,d"}) == {"a": "1", "b-c": "x=y"}


def test_a_histogram_is_told_with_each_bucket_alone() -> None:
    meter = Meter()
    for duration_s in (0.001, 0.002, 0.05, 60.0):
        meter.note(Asked("/x", "GET"), 200, duration_s)
    meter.note(Asked("/y", "GET"), 200, 0.2)
    body = otel.encoded(HttpCollector(meter).collect(), service_id="edge", started_ns=1, now_ns=2)
    _, histogram = ExportMetricsServiceRequest.FromString(body).resource_metrics[0].scope_metrics[0].metrics
    assert (histogram.name, histogram.unit) == ("fieldgate_http_request_duration_seconds", "s")
    assert histogram.histogram.aggregation_temporality == otel.CUMULATIVE
    one, other = histogram.histogram.data_points
    assert attributes(one.attributes) == {"route": "/x", "method": "GET"}
    assert list(one.explicit_bounds) == list(BOUNDS_S)
    assert list(one.bucket_counts) == [2, 0, 1, 0, 0, 1]
    assert (one.count, one.sum, one.start_time_unix_nano, one.time_unix_nano) == (4, 60.053, 1, 2)
    assert list(other.bucket_counts) == [0, 0, 0, 1, 0, 0]


def test_a_body_is_small_when_it_is_compressed() -> None:
    body = otel.encoded([], service_id="edge", started_ns=1, now_ns=2)
    assert ExportMetricsServiceRequest.FromString(gzip.decompress(gzip.compress(body))).resource_metrics
