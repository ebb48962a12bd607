"""A receiver's metrics pushed to a small OTLP collector of the tests' own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridge import otel
from bridge.receiver.app import run_receiver
from bridge.receiver.configuration import Configuration
from bridge.receiver.metrics import LASTING
from config.errors import ConfigError
from config.loader import Loaded, load_receiver_with_origins
from config.settings import Address, Api, BrokerUrl, JsonLinesSink, ReceiverIdentity, ReceiverSettings, Retry, Telemetry
from gateway.named_files import check_receiver_files
from tests.support.otlp_collector import Collector, attributes, collecting

TIMEOUT_S = 20
NOBODY = 1
"""A port where no broker listens."""


def settings(folder: Path, collector: Collector | None, *, interval_s: float = 1.0) -> ReceiverSettings:
    return ReceiverSettings(
        receiver=ReceiverIdentity(
            id="cloud-01",
            url=BrokerUrl(port=NOBODY),
            state=folder / "receiver.db",
            retry=Retry(first_s=0.01, max_s=0.05),
        ),
        api=Api(bind=Address(host="127.0.0.1", port=0)),
        sinks=(JsonLinesSink(path=folder / "received.jsonl"),),
        telemetry=Telemetry(url=None if collector is None else address(collector), interval_s=interval_s),
    )


def address(collector: Collector) -> str:
    return f"http://127.0.0.1:{collector.port}"


@asynccontextmanager
async def running(configuration: Configuration | ReceiverSettings) -> AsyncIterator[str]:
    """A receiver; where it is asked."""
    async with asyncio.timeout(TIMEOUT_S):
        stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
        task = asyncio.create_task(run_receiver(configuration, stop=stop, on_ready=ready.set_result))
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            await task
        try:
            yield f"http://{ready.result()}"
        finally:
            stop.set()
            await task


def metrics_of(request: Any) -> dict[str, Any]:
    (resource,) = request.resource_metrics
    return {metric.name: metric for metric in resource.scope_metrics[0].metrics}


async def test_the_metrics_of_the_page_are_pushed_by_its_names_with_who_they_are_of(tmp_path: Path) -> None:
    async with collecting() as collector, running(settings(tmp_path, collector)) as url:
        request = await collector.push()
        async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as answer:
            page = await answer.text()
    own = attributes(request.resource_metrics[0].resource.attributes)
    assert (own["service.name"], own["service.instance.id"]) == ("fieldgate-receiver", "cloud-01")
    metrics = metrics_of(request)
    # What is asked of the page is counted too, from the first answer on.
    shown = {sample.name for family in text_string_to_metric_families(page) for sample in family.samples}
    assert {name for name in shown if not name.startswith("fieldgate_http_")} == {
        name for name in metrics if not name.startswith("fieldgate_http_")
    }
    assert metrics["process_resident_memory_bytes"].gauge.data_points[0].as_double > 0
    assert metrics["fieldgate_receiver_online"].gauge.data_points[0].as_double == 0.0
    assert metrics["fieldgate_receiver_records_total"].sum.is_monotonic


async def test_counters_that_outlive_the_receiver_are_not_said_to_have_begun_with_it(tmp_path: Path) -> None:
    async with collecting() as collector, running(settings(tmp_path, collector)):
        metrics = metrics_of(await collector.push())
    begun = {name: {point.start_time_unix_nano > 0 for point in metrics[name].sum.data_points} for name in metrics}
    assert {name for name, told in begun.items() if told == {False}} == LASTING - {"fieldgate_receiver_set_aside_total"}
    assert begun["fieldgate_receiver_connections_total"] == {True}


async def test_a_reload_begins_changes_and_ends_it(tmp_path: Path) -> None:
    async with collecting() as collector:
        given = settings(tmp_path, None)
        files = [given]
        at_work = Configuration(
            Loaded(settings=given, origins={}), reread=lambda: Loaded(settings=files[-1], origins={})
        )
        async with running(at_work):
            files.append(settings(tmp_path, collector))
            assert (await at_work.reload()).applied == ["telemetry.url"]
            before = metrics_of(await collector.push())["fieldgate_receiver_connections_total"].sum.data_points[0]
            files.append(settings(tmp_path, collector, interval_s=2.0))
            assert (await at_work.reload()).applied == ["telemetry.interval"]
            while not collector.pushes.empty():
                collector.pushes.get_nowait()
            after = metrics_of(await collector.push())["fieldgate_receiver_connections_total"].sum.data_points[0]
            assert after.start_time_unix_nano == before.start_time_unix_nano, "it would be counted twice"
            files.append(given)
            await at_work.reload()
            pushing = [task for task in asyncio.all_tasks() if task.get_name() == "telemetry"]
            await asyncio.gather(*pushing, return_exceptions=True)


async def test_a_receiver_whose_collector_is_away_receives_and_stops_in_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with asyncio.timeout(TIMEOUT_S), running(settings(tmp_path, Collector())):
        while "can't be pushed" not in caplog.text:  # noqa: ASYNC110 - the log tells nobody
            await asyncio.sleep(0.005)


async def test_without_the_extra_a_receiver_with_a_url_does_not_start_and_none_takes_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otel, "is_installed", lambda: False)
    with pytest.raises(ConfigError, match=r"receiver\.yaml: telemetry\.url: this needs the extra otel"):
        async with running(settings(tmp_path, Collector())):
            pass
    file = tmp_path / "cloud.yaml"
    file.write_text("receiver: {}\ntelemetry:\n  url: http://127.0.0.1:4318\n")
    with pytest.raises(ConfigError) as refused:
        check_receiver_files(load_receiver_with_origins(file, {}))
    (problem,) = refused.value.problems
    assert (problem.file, problem.line, problem.key) == (str(file), 3, "telemetry.url")
