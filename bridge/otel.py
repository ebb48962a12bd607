"""Metrics pushed by OpenTelemetry's protocol (OTLP over HTTP, protobuf): those that /metrics shows, by its names.

The collectors are read on the event loop, like for a scrape, so that nothing changes under them; the body is sent by
aiohttp, which blocks nobody. What could not be sent is not kept: counters are cumulative, so the next push tells it
all. A collector that is away is one line of the log, and one more when it is back. Needs the extra `otel` (the messages
of the protocol); nothing of it is imported before it is used.

Headers, such as a token, are taken from OTEL_EXPORTER_OTLP_HEADERS, as OpenTelemetry defines it: `name=value,…`.
"""

from __future__ import annotations

import asyncio
import gzip
import importlib.util
import logging
import math
import os
import time
import urllib.parse
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from bridge.version import VERSION
from config.errors import ConfigError, Problem
from config.settings import Telemetry

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric, Sample

logger = logging.getLogger(__name__)

SERVICE: Final = "fieldgate"
"""The gateway's name among services, and that of what counts."""
METRICS_PATH: Final = "/v1/metrics"
HEADERS: Final = "OTEL_EXPORTER_OTLP_HEADERS"
MAX_TIMEOUT_S: Final = 10.0
MAX_ANSWER_BYTES: Final = 4096
CUMULATIVE: Final = 2
"""AGGREGATION_TEMPORALITY_CUMULATIVE."""

MISSING: Final = (
    "this needs the extra otel, which is not installed here. Run: pip install 'fieldgate[otel]'; or leave the key out"
)


class CannotPush(Exception):
    """The collector did not take the metrics; the message is the half of a sentence."""


def is_installed() -> bool:
    """Whether the extra is there."""
    try:
        return importlib.util.find_spec("opentelemetry.proto.collector.metrics.v1") is not None
    except ModuleNotFoundError:
        return False


def require(problem: Callable[[str, str], Problem]) -> None:
    """Raises ConfigError where the extra is not there; `problem` makes one of a key of the file and a sentence."""
    if not is_installed():
        raise ConfigError([problem("telemetry.url", MISSING)])


def endpoint(url: str) -> str:
    """Where metrics go: an address without a path is that of a collector, which has them at /v1/metrics."""
    parts = urllib.parse.urlsplit(url)
    return url if parts.path.strip("/") else parts._replace(path=METRICS_PATH).geturl()


def headers_of(environ: Mapping[str, str]) -> dict[str, str]:
    """The headers that the environment asks for; what is not `name=value` is left out."""
    pairs = (item.partition("=") for item in environ.get(HEADERS, "").split(","))
    return {
        urllib.parse.unquote(name.strip()): urllib.parse.unquote(value.strip())
        for name, _, value in pairs
        if name.strip() and value.strip()
    }


def encoded(
    metrics: Iterable[Metric],
    *,
    service: str = SERVICE,
    instance: str,
    started_ns: int,
    now_ns: int,
    lasting: Container[str] = (),
) -> bytes:
    """The protobuf body. Counters and histograms are cumulative since `started_ns`; all else is a gauge. Unix times.

    The names in `lasting` are those of counters that outlive the process: when they began is not known, and not told.
    """
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    request = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    own = {"service.name": service, "service.version": VERSION, "service.instance.id": instance}
    _label(resource.resource.attributes, own)
    scope = resource.scope_metrics.add()
    scope.scope.name, scope.scope.version = SERVICE, VERSION
    for metric in metrics:
        if metric.type == "histogram":
            if metric.samples:
                _histogram(scope.metrics.add(), metric, started_ns=started_ns, now_ns=now_ns)
            continue
        for name, samples in _by_name(metric):
            into = scope.metrics.add()
            into.name, into.description, into.unit = name, metric.documentation, _unit(name)
            if metric.type == "counter":
                into.sum.is_monotonic, into.sum.aggregation_temporality = True, CUMULATIVE
            points = into.sum.data_points if metric.type == "counter" else into.gauge.data_points
            for sample in samples:
                point = points.add()
                point.time_unix_nano, point.as_double = now_ns, float(sample.value)
                if metric.type == "counter" and name not in lasting:
                    point.start_time_unix_nano = started_ns
                _label(point.attributes, sample.labels)
    return bytes(request.SerializeToString())


def _histogram(into: Any, metric: Metric, *, started_ns: int, now_ns: int) -> None:
    """Prometheus counts each bucket with all below it; OpenTelemetry each alone, the one without an end too."""
    into.name, into.description, into.unit = metric.name, metric.documentation, _unit(metric.name)
    into.histogram.aggregation_temporality = CUMULATIVE
    points: dict[tuple[tuple[str, str], ...], Any] = {}
    below: dict[tuple[tuple[str, str], ...], float] = {}
    for sample in metric.samples:
        labels = {name: value for name, value in sample.labels.items() if name != "le"}
        key = tuple(sorted(labels.items()))
        point = points.get(key)
        if point is None:
            point = points[key] = into.histogram.data_points.add()
            point.start_time_unix_nano, point.time_unix_nano = started_ns, now_ns
            _label(point.attributes, labels)
        if sample.name.endswith("_bucket"):
            if (end := float(sample.labels["le"])) != math.inf:
                point.explicit_bounds.append(end)
            point.bucket_counts.append(int(sample.value - below.get(key, 0.0)))
            below[key] = sample.value
        elif sample.name.endswith("_count"):
            point.count = int(sample.value)
        elif sample.name.endswith("_sum"):
            point.sum = float(sample.value)


def _by_name(metric: Metric) -> Iterator[tuple[str, list[Sample]]]:
    found: dict[str, list[Sample]] = {}
    for sample in metric.samples:
        if not sample.name.endswith("_created"):
            found.setdefault(sample.name, []).append(sample)
    yield from found.items()


def _unit(name: str) -> str:
    """UCUM's word for what the name ends in."""
    plain = name.removesuffix("_total")
    return "s" if plain.endswith("_seconds") else "By" if plain.endswith("_bytes") else ""


def _label(attributes: Any, labels: Mapping[str, str]) -> None:
    for key, value in labels.items():
        attribute = attributes.add()
        attribute.key, attribute.value.string_value = key, str(value)


class Pusher:
    """Pushes a registry until cancelled: `run` it in a task that somebody owns. It raises nothing of its own."""

    def __init__(
        self,
        settings: Telemetry,
        registry: CollectorRegistry,
        *,
        service: str = SERVICE,
        instance: str,
        started_ns: int | None = None,
        lasting: Container[str] = (),
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """`service` is the program, `instance` which one of them.

        `started_ns`: since when the counters count, Unix time; None: since now. A later one would say that they have
        begun anew, and have them counted twice; so would any for those that are `lasting`.
        """
        if settings.url is None:
            raise ValueError("Metrics are pushed where the settings name an address, and nowhere else.")
        self._url = endpoint(settings.url)
        # What the log calls it: behind the path may be a key of the collector's.
        self._name = urllib.parse.urlsplit(self._url)._replace(query="", fragment="").geturl()
        self._interval_s = settings.interval_s
        self._registry = registry
        self._lasting = lasting
        self._service, self._instance = service, instance
        self._headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip", **headers_of(environ)}
        self._started_ns = time.time_ns() if started_ns is None else started_ns
        self._is_away = False

    async def run(self) -> None:
        """Push at each interval."""
        import aiohttp

        from bridge.resolver import Resolver

        timeout = aiohttp.ClientTimeout(total=min(MAX_TIMEOUT_S, self._interval_s))
        connector = aiohttp.TCPConnector(resolver=Resolver())
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as session:
            loop = asyncio.get_running_loop()
            while True:
                due_s = loop.time() + self._interval_s
                try:
                    await self._push(session)
                except (CannotPush, TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
                    self._failed(error)
                else:
                    self._went()
                await asyncio.sleep(max(0.0, due_s - loop.time()))

    async def _push(self, session: Any) -> None:
        body = encoded(
            self._registry.collect(),
            service=self._service,
            instance=self._instance,
            started_ns=self._started_ns,
            now_ns=time.time_ns(),
            lasting=self._lasting,
        )
        async with session.post(
            self._url, data=gzip.compress(body, 1), headers=self._headers, allow_redirects=False
        ) as answer:
            if answer.status != 200:
                said = (await answer.content.read(MAX_ANSWER_BYTES)).decode("utf-8", "replace")
                raise CannotPush(f"it answered {answer.status} {answer.reason or ''}: {' '.join(said.split())[:200]}")

    def _failed(self, error: Exception) -> None:
        if not self._is_away:
            reason = "it did not answer in time" if isinstance(error, TimeoutError) else str(error)
            logger.warning(
                "Metrics can't be pushed to %s: %s. Nothing is lost by it, and it is tried again every %g s.",
                self._name,
                reason.rstrip(". "),
                self._interval_s,
            )
        self._is_away = True

    def _went(self) -> None:
        if self._is_away:
            logger.info("Metrics are pushed to %s again.", self._name)
        self._is_away = False
