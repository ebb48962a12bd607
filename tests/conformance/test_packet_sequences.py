"""Packet sequences: exact bytes to send, and what must come back or whether the server must close.

They are not part of this repository: see docs/conformance.md for where they are found.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.other_suite import run_script
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
        code, said = await run_script(
            *(str(folder / "run_sequences.py"), str(folder / "sequences"), "127.0.0.1", str(gateway.port), "-v"),
            within_s=WITHIN_S,
        )
        assert code == 0, said
        assert "TOTAL" in said
        assert "TOTAL 0 " not in said, "there are no sequences in that folder"
        assert "Traceback" not in gateway.log
