"""`fieldgate reload` and `fieldgate status` on a running receiver, each a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.mosquitto import Mosquitto
from tests.support.otlp_collector import attributes, collecting
from tests.support.ports import steady_port
from tests.support.site import ReceiverProcess
from tests.support.web_house import OPERATOR_TOKEN, VIEWER_TOKEN, write_tokens

_ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60


async def fieldgate(*words: str, token: str | None = None, folder: Path = _ROOT) -> tuple[int, str, str]:
    """The command; its exit code and what it printed."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FIELDGATE_")}
    environment |= {"PYTHONPATH": str(_ROOT), "COLUMNS": "200"}
    if token is not None:
        environment["FIELDGATE_TOKEN"] = token
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *words),
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(TIMEOUT_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def change(at: ReceiverProcess, **sections: Any) -> None:
    """Have its file say something else; it goes on with what it has."""
    at.config_path.write_text(yaml.safe_dump({**at.configuration, **sections}))


async def test_a_receiver_follows_what_can_change_names_what_waits_and_refuses_a_bad_file(tmp_path: Path) -> None:
    write_tokens(tmp_path / "tokens", {OPERATOR_TOKEN: "operator", VIEWER_TOKEN: "viewer"})
    async with Mosquitto(tmp_path) as cloud, collecting() as collector:
        with ReceiverProcess(tmp_path / "cloud", cloud_port=cloud.port) as receiver:
            await receiver.start()
            await receiver.until_online()
            file = str(receiver.config_path)
            telemetry = {"url": f"http://127.0.0.1:{collector.port}", "interval": "1s"}
            other = {**receiver.configuration["receiver"], "topic": "other/#"}
            api = {**receiver.configuration["api"], "token_file": str(tmp_path / "tokens")}

            change(receiver, receiver=other, telemetry=telemetry, api=api)
            code, out, err = await fieldgate("reload", "-c", file)
            assert (code, err) == (0, ""), err
            assert f"telemetry.url: null -> {telemetry['url']}\n" in out
            assert 'receiver.topic: "fieldgate/v1/+/+" -> "other/#"  (waits for a restart)\n' in out
            assert out.splitlines()[-1] == (
                "Reloaded (local): api.token_file, telemetry.url, telemetry.interval changed; passwords, tokens and "
                "the certificate were read again. Waiting for a restart: receiver.topic (the link and the sinks are "
                "made at the start)."
            )
            pushed = await collector.push()
            own = attributes(pushed.resource_metrics[0].resource.attributes)
            assert own["service.name"] == "fieldgate-receiver"

            for token, said in ((None, "answered 401"), (VIEWER_TOKEN, "Use a token whose role is operator.")):
                code, out, err = await fieldgate("reload", "-c", file, token=token)
                assert (code, out, said in err) == (1, "", True), err

            change(receiver, api=api, log={"level": "loud"})
            code, out, err = await fieldgate("reload", "--api", f"127.0.0.1:{receiver.api_port}", token=OPERATOR_TOKEN)
            assert (code, out) == (78, "")
            assert "Nothing was changed (operator): 1 problem in the new configuration." in err
            assert re.search(rf"^  {re.escape(file)}:\d+: log\.level: .*debug", err, re.MULTILINE), err

            change(receiver, receiver=other, api=api, log={"level": "error"})
            code, out, err = await fieldgate("reload", "-c", file, "--json", token=OPERATOR_TOKEN)
            report = json.loads(out)
            assert (code, err, report["waiting_for_restart"]) == (0, "", ["receiver.topic"])
            assert report["applied"] == ["telemetry.url", "telemetry.interval", "log.level"]

            log = receiver.log
            assert "Asked to reload the configuration: done" in log
            assert "Asked to reload the configuration: refused" in log
            code, out, err = await fieldgate("status", "-c", file, "--json", token=VIEWER_TOKEN)
            status = json.loads(out)
            assert (status["link"]["state"], status["link"]["connections"]) == ("online", 1)
            assert await receiver.stop() == 0
            assert "Traceback" not in receiver.log


@pytest.mark.parametrize("command", ["reload", "status"])
async def test_where_no_receiver_runs_it_says_how_one_is_started(tmp_path: Path, command: str) -> None:
    (tmp_path / "receiver.yaml").write_text(
        f"receiver: {{state: ./receiver.db}}\napi: {{bind: 127.0.0.1:{steady_port()}}}\n"
    )
    for words in ([], ["-c", "receiver.yaml"]):
        code, out, err = await fieldgate(command, *words, folder=tmp_path)
        assert (code, out) == (1, "")
        assert "Start the receiver with `fieldgate receive`, or say where its api listens" in err
