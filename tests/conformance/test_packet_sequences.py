"""Packet sequences: exact bytes to send, and what must come back or whether the server must close.

They are not part of this repository: see docs/conformance.md for where they are found.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.support.site import GatewayProcess

pytestmark = pytest.mark.slow

VARIABLE = "FIELDGATE_SEQUENCES"
WITHIN_S = 300.0


async def test_no_sequence_fails(tmp_path: Path) -> None:
    place = os.environ.get(VARIABLE)
    if not place:
        pytest.skip(f"The packet sequences are left out: {VARIABLE} does not say where they are.")
    folder = Path(place)
    with GatewayProcess(tmp_path, cloud_port=9) as gateway:
        await gateway.start()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(folder / "run_sequences.py"), str(folder / "sequences")),
            *("127.0.0.1", str(gateway.port), "-v"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(WITHIN_S):
                said = (await process.communicate())[0].decode(errors="replace")
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, said
        assert "Traceback" not in gateway.log
