"""What a start imports and opens; what was opened is closed again when a gateway cannot be put together."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

import gateway.app
from gateway.app import Gateway
from tests.support.in_process import settings_with

TIMEOUT_S = 30


async def test_a_part_that_cannot_be_made_leaves_no_thread_that_would_keep_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise LookupError("a part is missing")

    before = set(threading.enumerate())
    monkeypatch.setattr(gateway.app, "ApiServer", broken)
    with pytest.raises(LookupError, match="a part is missing"):
        await Gateway.open(settings_with(tmp_path))
    assert [thread for thread in threading.enumerate() if thread not in before and not thread.daemon] == []


def test_a_start_does_not_wait_for_what_only_some_need() -> None:
    late = {"jwt", "cryptography", "prometheus_client", "opentelemetry"}
    code = f"import sys, gateway.app; print(*sorted({late} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.stdout == "\n"
