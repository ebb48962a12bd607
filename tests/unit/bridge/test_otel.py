"""The metrics as OpenTelemetry has them: bodies, addresses, headers."""

from __future__ import annotations

import gzip

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from bridge import otel
from bridge.otel import endpoint, headers_of
from bridge.web.meter import BOUNDS_S, Asked, Meter
from bridge.web.metrics import HttpCollector
from tests.support.otlp_collector import attributes


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
    body = otel.encoded(HttpCollector(meter).collect(), instance="edge", started_ns=1, now_ns=2)
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
    body = otel.encoded([], instance="edge", started_ns=1, now_ns=2)
    assert ExportMetricsServiceRequest.FromString(gzip.decompress(gzip.compress(body))).resource_metrics
