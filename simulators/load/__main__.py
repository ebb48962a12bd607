"""`python -m simulators.load`: one load, one JSON line with what came of it."""

from __future__ import annotations

import argparse
import json
import sys

from simulators.load.generator import run_load
from simulators.load.options import LoadFailed, LoadOptions


def parse(arguments: list[str] | None = None) -> LoadOptions:
    """The options of a command line. Exits with code 2 and a sentence for one that makes no sense."""
    parser = argparse.ArgumentParser(
        prog="python -m simulators.load",
        description="Publish pre-encoded MQTT messages as fast as a broker acknowledges them; print one line of JSON.",
        epilog="example: python -m simulators.load --port 1883 --messages 200000 --connections 20 --window 500",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--window", type=int, default=500, help="publishes in flight on each connection")
    parser.add_argument("--qos", type=int, default=1)
    parser.add_argument("--protocol", choices=("3.1.1", "5"), default="3.1.1")
    parser.add_argument("--user-property", action="store_true", help="give each publish a user property (MQTT 5)")
    parser.add_argument("--payload-bytes", type=int, default=160)
    parser.add_argument("--messages", type=int)
    parser.add_argument("--duration", type=float, dest="duration_s", metavar="SECONDS")
    parser.add_argument("--rate", type=float, dest="rate_per_s", help="publishes a second; times each PUBACK")
    parser.add_argument("--stall", type=float, dest="stall_s", default=10.0, metavar="SECONDS")
    parser.add_argument("--topic", default="plant/line-1/{device}/telemetry")
    parser.add_argument("--retain", action="store_true")
    parser.add_argument("--client-id", default="load-{device}")
    parser.add_argument("--username")
    parser.add_argument("--password")
    parser.add_argument("--ca-file", help="speak TLS, with who has a certificate of this authority for localhost")
    parser.add_argument("--seed", type=int, default=1)
    values = vars(parser.parse_args(arguments))
    values["version"] = {"3.1.1": 4, "5": 5}[values.pop("protocol")]
    try:
        return LoadOptions(**values)
    except ValueError as error:
        parser.error(str(error))


def main() -> int:
    """Run the load of the command line. Returns 0, or 1 when it could not be run to its end."""
    options = parse()
    try:
        result = run_load(options)
    except LoadFailed as error:
        sys.stdout.write(json.dumps({"error": str(error), "acknowledged": error.acknowledged}) + "\n")
        return 1
    sys.stdout.write(json.dumps(result.to_map()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
