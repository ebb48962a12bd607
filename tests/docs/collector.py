"""The OpenTelemetry collector that a reader of "Prometheus, Grafana, OpenTelemetry" has: says which metrics came."""

from __future__ import annotations

import gzip
from http.server import BaseHTTPRequestHandler, HTTPServer

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest


class Collector(BaseHTTPRequestHandler):
    """OTLP over HTTP, at /v1/metrics."""

    def do_POST(self) -> None:
        """One push."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        pushed = ExportMetricsServiceRequest.FromString(body)
        for resource in pushed.resource_metrics:
            for scope in resource.scope_metrics:
                print("came:", *(metric.name for metric in scope.metrics), flush=True)
        self.send_response(200 if self.path == "/v1/metrics" else 404)
        self.end_headers()


def main() -> None:
    """Listen where collectors do, until killed."""
    HTTPServer(("127.0.0.1", 4318), Collector).serve_forever()


if __name__ == "__main__":
    main()
