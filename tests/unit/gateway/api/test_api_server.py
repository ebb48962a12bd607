"""The HTTP interface over a real socket."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from config.settings import Address, Api
from gateway.api import ApiServer, Check, Recovery
from gateway.api.metrics import describe
from gateway.errors import CannotListen
from tests.support.api_view import GivenView, some_status

ANY_PORT = Api(bind=Address(host="127.0.0.1", port=0))


@pytest.fixture
def view() -> GivenView:
    return GivenView()


@pytest.fixture
async def server(view: GivenView) -> AsyncIterator[ApiServer]:
    server = ApiServer(ANY_PORT, view, name="edge-01")
    await server.start()
    yield server
    await server.close()


@pytest.fixture
async def http(server: ApiServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"http://{server.address}") as session:
        yield session


async def test_port_zero_becomes_a_real_port(server: ApiServer) -> None:
    assert server.address.host == "127.0.0.1"
    assert server.address.port > 0


async def test_the_status_has_exactly_the_documented_shape(http: aiohttp.ClientSession) -> None:
    async with http.get("/api/v1/status") as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        body = await response.json()
    assert body == {
        "version": "0.1.0",
        "gateway": "edge-01",
        "uptime_s": 12.5,
        "verdict": {"level": "ok", "word": "Safe", "sentence": "Safe: 1\u202f500 records kept, oldest 1 min."},
        "listeners": [
            {
                "name": "local",
                "transport": "tcp",
                "bind": "127.0.0.1:1883",
                "connections": 20,
                "certificate_expires_at": None,
            },
            {
                "name": "plant",
                "transport": "tls",
                "bind": "[::]:8883",
                "connections": 5,
                "certificate_expires_at": "2026-05-01T12:00:00Z",
            },
        ],
        "broker": {
            "connected": 25,
            "absent": 6,
            "subscriptions": 40,
            "shared_subscriptions": 2,
            "queued_messages": 70,
            "queued_bytes": 7100,
            "in_flight_messages": 8,
            "retained_messages": 9,
            "retained_bytes": 910,
            "retained_refused": 3,
            "connects": 111,
            "refused_connects": {"connect_timeout": 13, "not_authorized": 12},
            "disconnects": {"stalled": 14},
            "refused_publishes": {"full": 15},
            "delivered": 1600,
            "dropped": {"queue_full": 17},
            "throttled": 18,
        },
        "streams": {
            "alarms": {
                "records": 0,
                "bytes": 0,
                "oldest_age_s": None,
                "first_seq": 1,
                "next_seq": 1,
                "accepted": 0,
                "dropped": {"full": 0, "expired": 0},
            },
            "telemetry": {
                "records": 1500,
                "bytes": 240_000,
                "oldest_age_s": 61.25,
                "first_seq": 501,
                "next_seq": 2001,
                "accepted": 1900,
                "dropped": {"full": 7, "expired": 0, "corrupt": 2},
            },
        },
        "uplinks": {
            "cloud": {
                "state": "online",
                "since": "2026-01-31T12:00:00Z",
                "in_flight": 3,
                "last_error": None,
                "retries": 4,
                "frames": 11,
                "records": 400,
                "raw_bytes": 64_000,
                "wire_bytes": 6_400,
                "dead_letters": 1,
                "paused_by": None,
            }
        },
        "dead_letters": {"letters": 3, "records": 33},
        "spool": {
            "size_bytes": 524_288,
            "limit_bytes": 1_073_741_824,
            "commits": 90,
            "is_refusing": False,
            "disk_free_bytes": 5_000_000,
            "full_in_s": None,
            "drained_in_s": 12.3,
        },
        "rates": {"in_per_s": 123.5, "out_per_s": 100.0},
    }


async def test_a_database_that_was_set_aside_is_told(view: GivenView, http: aiohttp.ClientSession) -> None:
    recovery = Recovery(set_aside="/data/spool.db.corrupt-1", reason="file is not a database", records_saved=12)
    view.answer = replace(view.answer, spool=replace(view.answer.spool, recovery=recovery))
    async with http.get("/api/v1/status") as response:
        spool = (await response.json())["spool"]
    assert spool["recovery"] == {
        "set_aside": "/data/spool.db.corrupt-1",
        "reason": "file is not a database",
        "records_saved": 12,
    }


async def test_a_good_gateway_is_healthy_and_ready(http: aiohttp.ClientSession) -> None:
    async with http.get("/healthz") as response:
        assert response.status == 200
        body = await response.json()
        assert body["status"] == "ok"
        assert set(body["checks"]) == {"store", "event_loop"}
    async with http.get("/readyz") as response:
        assert response.status == 200
        assert set((await response.json())["checks"]) == {"listeners", "spool"}


async def test_a_failed_store_makes_it_unhealthy_and_says_why(view: GivenView, http: aiohttp.ClientSession) -> None:
    view.store = Check(name="store", ok=False, message="The spool cannot be written: Input/output error.")
    async with http.get("/healthz") as response:
        assert response.status == 503
        body = await response.json()
    assert body["status"] == "failed"
    assert body["checks"]["store"] == {"ok": False, "message": "The spool cannot be written: Input/output error."}


async def test_a_full_spool_makes_it_unready_but_not_unhealthy(view: GivenView, http: aiohttp.ClientSession) -> None:
    view.ready = [Check(name="spool", ok=False, message="The spool is full and refuses records.")]
    async with http.get("/readyz") as response:
        assert response.status == 503
    async with http.get("/healthz") as response:
        assert response.status == 200


async def test_an_event_loop_that_stood_still_makes_it_unhealthy(view: GivenView) -> None:
    server = ApiServer(ANY_PORT, view, name="edge-01", max_lag_s=0.1)
    await server.start()
    try:
        time.sleep(1.0)  # noqa: ASYNC251 - the loop standing still is what is tested
        async with aiohttp.ClientSession() as http, http.get(f"http://{server.address}/healthz") as response:
            assert response.status == 503
            body = await response.json()
        assert body["checks"]["event_loop"]["message"].startswith("The event loop stood still for ")
        assert body["checks"]["store"]["ok"] is True
    finally:
        await server.close()


async def test_the_metrics_parse_and_agree_with_the_status(http: aiohttp.ClientSession) -> None:
    async with http.get("/metrics") as response:
        assert response.status == 200
        assert response.content_type == "text/plain"
        text = await response.text()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families.values()
        for sample in family.samples
    }

    def of(name: str, **labels: str) -> float:
        return samples[name, tuple(sorted(labels.items()))]

    assert of("fieldgate_build_info", version="0.1.0", gateway="edge-01") == 1
    assert of("fieldgate_uptime_seconds") == 12.5
    assert of("fieldgate_listener_connections", listener="local") == 20
    expiry = "fieldgate_listener_certificate_expiry_timestamp_seconds"
    assert of(expiry, listener="plant") == datetime(2026, 5, 1, 12, tzinfo=UTC).timestamp()
    assert (expiry, (("listener", "local"),)) not in samples
    assert of("fieldgate_sessions", state="connected") == 25
    assert of("fieldgate_sessions", state="absent") == 6
    assert of("fieldgate_subscriptions") == 40
    assert of("fieldgate_shared_subscriptions") == 2
    assert of("fieldgate_session_queued_messages") == 70
    assert of("fieldgate_session_queued_bytes") == 7100
    assert of("fieldgate_session_in_flight_messages") == 8
    assert of("fieldgate_retained_messages") == 9
    assert of("fieldgate_retained_bytes") == 910
    assert of("fieldgate_retained_refused_total") == 3
    assert of("fieldgate_connects_total") == 111
    assert of("fieldgate_refused_connects_total", reason="not_authorized") == 12
    assert of("fieldgate_disconnects_total", reason="stalled") == 14
    assert of("fieldgate_refused_publishes_total", reason="full") == 15
    assert of("fieldgate_delivered_messages_total") == 1600
    assert of("fieldgate_dropped_messages_total", reason="queue_full") == 17
    assert of("fieldgate_throttled_total") == 18
    assert of("fieldgate_stream_records", stream="telemetry") == 1500
    assert of("fieldgate_stream_bytes", stream="telemetry") == 240_000
    assert of("fieldgate_stream_oldest_age_seconds", stream="telemetry") == 61.25
    assert ("fieldgate_stream_oldest_age_seconds", (("stream", "alarms"),)) not in samples
    assert of("fieldgate_stream_accepted_records_total", stream="telemetry") == 1900
    assert of("fieldgate_stream_dropped_records_total", stream="telemetry", reason="full") == 7
    assert of("fieldgate_stream_dropped_records_total", stream="telemetry", reason="expired") == 0
    assert of("fieldgate_stream_dropped_records_total", stream="telemetry", reason="corrupt") == 2
    assert of("fieldgate_uplink_online", uplink="cloud") == 1
    assert of("fieldgate_uplink_in_flight_frames", uplink="cloud") == 3
    assert of("fieldgate_uplink_retries_total", uplink="cloud") == 4
    assert of("fieldgate_uplink_frames_total", uplink="cloud") == 11
    assert of("fieldgate_uplink_records_total", uplink="cloud") == 400
    assert of("fieldgate_uplink_raw_bytes_total", uplink="cloud") == 64_000
    assert of("fieldgate_uplink_wire_bytes_total", uplink="cloud") == 6_400
    assert of("fieldgate_uplink_dead_letters_total", uplink="cloud") == 1
    assert of("fieldgate_spool_size_bytes") == 524_288
    assert of("fieldgate_spool_limit_bytes") == 1_073_741_824
    assert of("fieldgate_spool_commits_total") == 90
    assert of("fieldgate_spool_refusing") == 0
    assert of("fieldgate_spool_disk_free_bytes") == 5_000_000
    assert of("fieldgate_spool_drained_in_seconds") == 12.34
    assert ("fieldgate_spool_full_in_seconds", ()) not in samples
    assert of("fieldgate_uplink_paused", uplink="cloud") == 0
    assert of("fieldgate_dead_letters") == 3
    assert of("fieldgate_dead_letter_records") == 33
    assert of("fieldgate_event_loop_lag_seconds") < 30
    assert of("process_resident_memory_bytes") > 0
    assert all(family.documentation for family in families.values())


async def test_what_is_described_of_the_metrics_is_what_is_served(http: aiohttp.ClientSession) -> None:
    for _ in range(2):  # requests are counted once they were answered
        async with http.get("/metrics") as response:
            text = await response.text()
    served = {
        family.name: family for family in text_string_to_metric_families(text) if family.name.startswith("fieldgate_")
    }
    entries = {entry.name.removesuffix("_total").removesuffix("_info"): entry for entry in describe()}
    for name, family in served.items():
        entry = entries[name.removesuffix("_info")]
        assert family.documentation == entry.help
        for sample in family.samples:
            plain = re.sub("_(bucket|count|sum)$", "", sample.name) if entry.type == "histogram" else sample.name
            assert (plain, set(sample.labels) - {"le"}) == (entry.name, set(entry.labels))
    assert "fieldgate_http_request_duration_seconds" in served
    assert all(
        entry.help.endswith(".") and entry.type in {"counter", "gauge", "histogram"} for entry in entries.values()
    )


async def test_a_scraper_that_asks_for_openmetrics_gets_it(http: aiohttp.ClientSession) -> None:
    async with http.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}) as response:
        assert response.content_type == "application/openmetrics-text"
        assert (await response.text()).endswith("# EOF\n")


@pytest.mark.parametrize("version", ["abc", "1.0.0x", ""])
async def test_a_scraper_that_asks_for_a_version_that_is_none_is_no_error_of_ours(
    http: aiohttp.ClientSession, version: str
) -> None:
    accept = f"application/openmetrics-text; version={version}"
    async with http.get("/metrics", headers={"Accept": accept}) as response:
        assert response.status == 200
        assert "fieldgate_uptime_seconds" in await response.text()


async def test_two_servers_in_one_process_do_not_share_metrics(server: ApiServer) -> None:
    other = ApiServer(ANY_PORT, GivenView(answer=replace(some_status(), gateway="edge-02")), name="edge-02")
    await other.start()
    try:
        async with aiohttp.ClientSession() as http:
            async with http.get(f"http://{server.address}/metrics") as response:
                assert "edge-02" not in await response.text()
            async with http.get(f"http://{other.address}/metrics") as response:
                assert "edge-02" in await response.text()
    finally:
        await other.close()


async def test_an_unknown_path_is_answered_with_a_sentence_as_json(http: aiohttp.ClientSession) -> None:
    async with http.get("/nothing") as response:
        assert response.status == 404
        error = (await response.json())["error"]
    assert error["status"] == 404
    assert error["message"] == "There is nothing at /nothing."


async def test_a_method_that_writes_is_refused_with_a_sentence(http: aiohttp.ClientSession) -> None:
    async with http.post("/api/v1/status") as response:
        assert response.status == 405
        assert "GET" in response.headers["Allow"]
        assert "POST is not possible here" in (await response.json())["error"]["message"]


async def test_a_fault_inside_is_answered_without_its_details(view: GivenView, http: aiohttp.ClientSession) -> None:
    view.fault = RuntimeError("secret detail")
    async with http.get("/api/v1/status") as response:
        assert response.status == 500
        text = await response.text()
    assert "secret detail" not in text
    assert "log says why" in text


async def test_bytes_that_are_no_http_are_refused_and_the_server_goes_on(
    server: ApiServer, http: aiohttp.ClientSession
) -> None:
    reader, writer = await asyncio.open_connection(server.address.host, server.address.port)
    writer.write(b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00\r\n\r\n")
    await writer.drain()
    assert b"400" in await asyncio.wait_for(reader.read(4096), 5)
    writer.close()
    await writer.wait_closed()
    async with http.get("/healthz") as response:
        assert response.status == 200


async def test_a_taken_port_is_a_sentence_that_says_what_to_do(server: ApiServer) -> None:
    second = ApiServer(Api(bind=server.address), GivenView(), name="edge-01")
    with pytest.raises(CannotListen, match="another program listens there") as raised:
        await second.start()
    assert str(server.address) in str(raised.value)
    assert "api.bind" in str(raised.value)
    await second.close()


async def test_an_address_this_machine_does_not_have_is_a_sentence() -> None:
    with pytest.raises(CannotListen, match="does not have that address"):
        await ApiServer(Api(bind=Address(host="192.0.2.1", port=0)), GivenView(), name="edge-01").start()


async def test_close_can_be_called_twice_and_frees_the_port(view: GivenView) -> None:
    first = ApiServer(ANY_PORT, view, name="edge-01")
    await first.start()
    address = first.address
    await first.close()
    await first.close()
    second = ApiServer(Api(bind=address), view, name="edge-01")
    await second.start()
    await second.close()


def test_a_failed_check_without_a_reason_can_not_exist() -> None:
    with pytest.raises(ValueError, match="says why"):
        Check(name="store", ok=False)
