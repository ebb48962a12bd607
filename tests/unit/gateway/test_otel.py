"""Metrics of a gateway pushed to a small OTLP collector of the tests' own."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from bridge import otel
from config.errors import ConfigError
from tests.support.live_gateway import live_gateway
from tests.support.otlp_collector import Collector, attributes, collecting

TIMEOUT_S = 10


def telemetry(port: int) -> dict[str, Any]:
    return {"url": f"http://127.0.0.1:{port}", "interval": "1s"}


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
    with caplog.at_level(logging.INFO, "bridge.otel"):
        settings = {**telemetry(collector.port), "url": f"http://127.0.0.1:{collector.port}?key=hunter2"}
        async with live_gateway(tmp_path, telemetry=settings):
            await until(lambda: "can't be pushed" in caplog.text)
            collector.status = 503
            await collector.start()
            await collector.push()
            collector.status = 200
            await collector.push()
            await until(lambda: "again." in caplog.text)
            await collector.stop()
    lines = [record.getMessage() for record in caplog.records if record.name == "bridge.otel"]
    assert len(lines) == 2
    assert "hunter2" not in caplog.text
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


async def test_a_count_that_outlives_the_gateway_is_not_said_to_have_begun_with_it(tmp_path: Path) -> None:
    async with collecting() as collector, live_gateway(tmp_path, telemetry=telemetry(collector.port)):
        request = await collector.push()
    metrics = {metric.name: metric for metric in request.resource_metrics[0].scope_metrics[0].metrics}
    dropped = metrics["fieldgate_stream_dropped_records_total"].sum
    assert dropped.is_monotonic
    assert {point.start_time_unix_nano for point in dropped.data_points} == {0}
    assert metrics["fieldgate_stream_accepted_records_total"].sum.data_points[0].start_time_unix_nano > 0


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
