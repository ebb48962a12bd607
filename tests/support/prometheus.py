"""A real Prometheus that scrapes what a test runs.

with Prometheus(tmp_path, {"fieldgate": "127.0.0.1:8080"}, rules=Path("fieldgate.rules.yml")) as prometheus:
    prometheus.until_scraped(); prometheus.query("up")
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from tests.support.ports import steady_port

TIMEOUT_S = 60.0
LOOK_EVERY_S = 0.1
PROGRAM = shutil.which("prometheus")
PROMTOOL = shutil.which("promtool")


class Prometheus:
    """One server on a free port of the loopback, with a folder of its own."""

    def __init__(self, folder: Path, targets: dict[str, str], *, rules: Path, token_file: Path | None = None) -> None:
        """`targets`: addresses by job."""
        self._port = steady_port()
        self._jobs = targets
        jobs = [
            {
                "job_name": job,
                "scrape_interval": "1s",
                "static_configs": [{"targets": [address]}],
                **({"authorization": {"credentials_file": str(token_file)}} if token_file else {}),
            }
            for job, address in targets.items()
        ]
        self._file = folder / "prometheus.yml"
        written = {"global": {"evaluation_interval": "1s"}, "rule_files": [str(rules)], "scrape_configs": jobs}
        self._file.write_text(yaml.safe_dump(written))
        self._data = folder / "prometheus"
        self._log = folder / "prometheus.log"
        self._process: subprocess.Popen[bytes] | None = None

    def get(self, path: str, **parameters: str) -> Any:
        """The `data` of an answer of its HTTP API. Raises AssertionError with what it says when that is an error."""
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{path} {parameters}: {error.read().decode()}") from error

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression has now."""
        found: list[dict[str, Any]] = self.get("query", query=expression)["result"]
        return found

    def until_scraped(self, times: int = 3) -> None:
        """Return when every target answered so often, and the rules were looked at after that."""
        jobs = len(self._jobs)
        enough = f"count(count_over_time(up[1h]) >= {times} and up == 1) == {jobs}"
        deadline_s = time.monotonic() + TIMEOUT_S
        while not self._holds(enough):
            assert time.monotonic() < deadline_s, self.get("targets")
            time.sleep(LOOK_EVERY_S)  # another process tells of no event

    def _holds(self, expression: str) -> bool:
        try:
            return bool(self.query(expression))
        except (OSError, AssertionError):  # it is not up yet
            return False

    def __enter__(self) -> Self:
        assert PROGRAM is not None
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    PROGRAM,
                    f"--config.file={self._file}",
                    f"--storage.tsdb.path={self._data}",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(TIMEOUT_S)
        if error is not None and self._log.exists():
            error.add_note("\n".join(self._log.read_text(errors="replace").splitlines()[-20:]))
