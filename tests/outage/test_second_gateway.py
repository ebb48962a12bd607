"""A gateway that can't start says so in a sentence, and the one that runs does not notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.ports import steady_port
from tests.support.site import GatewayProcess

CLOUD_IS_AWAY = steady_port()


@pytest.mark.parametrize("shared", ["folder", "port", "api"])
async def test_a_second_gateway_gets_a_sentence_and_the_first_goes_on(tmp_path: Path, shared: str) -> None:
    with (
        GatewayProcess(tmp_path / "first", cloud_port=CLOUD_IS_AWAY) as first,
        GatewayProcess(tmp_path / "second", cloud_port=CLOUD_IS_AWAY) as second,
    ):
        if shared == "folder":
            second.configuration["gateway"] = first.configuration["gateway"]
            named = str(first.data_dir)
        elif shared == "port":
            second.configuration["listeners"] = first.configuration["listeners"]
            named = str(first.port)
        else:
            second.configuration["api"] = first.configuration["api"]
            named = str(first.api_port)
        await first.start()
        second.launch()
        assert await second.ended() == 1
        last = second.log.splitlines()[-1]
        assert last.startswith("Error: ")
        assert named in last
        assert "Traceback" not in second.log
        assert first.get("/readyz")[0] == 200
        assert await first.stop() == 0
        if shared == "folder":  # the lock goes with the process
            await second.start()


async def test_a_bad_configuration_ends_with_78_and_names_the_line(tmp_path: Path) -> None:
    with GatewayProcess(
        tmp_path, cloud_port=CLOUD_IS_AWAY, spool={"max_size": "lots", "when_fulll": "reject"}
    ) as gateway:
        gateway.launch()
        assert await gateway.ended() == 78
        assert "Traceback" not in gateway.log
        assert "run.yaml:" in gateway.log
        assert "when_full" in gateway.log
