"""What Prometheus reads: the HTTP interface's own requests, and any registry in the form that a scrape asks for.

The same for the gateway and the receiver.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

from bridge.metric_entry import MetricEntry, entries_of
from bridge.web.meter import BOUNDS_S, Meter
from bridge.web.routes import Answer


class HttpCollector(Collector):
    """Reads a meter at each scrape."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def describe(self) -> list[Metric]:
        """Nothing: the names are those of `collect`."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Both families."""
        requests = CounterMetricFamily(
            "fieldgate_http_requests",
            "Requests to the HTTP interface that were answered; a path that is no route's counts as other.",
            labels=["route", "method", "status_class"],
        )
        for (asked, status_class), count in sorted(self._meter.requests.items()):
            requests.add_metric([*asked, status_class], count)
        yield requests
        durations = HistogramMetricFamily(
            "fieldgate_http_request_duration_seconds",
            "From a request's head to the end of its answer; streams of events are left out.",
            labels=["route", "method"],
        )
        for asked, found in sorted(self._meter.durations.items(), key=lambda item: item[0]):
            totals = accumulate(found.counts)
            ends = (*map(str, BOUNDS_S), "+Inf")
            durations.add_metric(list(asked), list(zip(ends, totals, strict=True)), found.sum_s)
        yield durations


def describe() -> list[MetricEntry]:
    """Every metric of the HTTP interface."""
    return entries_of(HttpCollector(Meter()).collect())


def exposition(registry: CollectorRegistry, accept: str) -> Answer:
    """All of a registry in the form that the header Accept asks for; in the usual one where it asks for nonsense."""
    try:
        encode, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # a version that is no number: whoever scrapes wrote it, so it is no error of ours
        encode, content_type = choose_encoder("")
    if not (content_type.isascii() and content_type.isprintable()):  # the library repeats the version as it came
        encode, content_type = choose_encoder("")
    return Answer(body=encode(registry), content_type=content_type)
