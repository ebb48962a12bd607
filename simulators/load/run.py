"""Running a load in a process of its own, so that it shares no interpreter with what it measures."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

from simulators.load.options import LoadFailed, LoadOptions, LoadResult
from simulators.load.processes import Child


def arguments(options: LoadOptions) -> list[str]:
    """The command line of `python -m simulators.load` for these options."""
    line = ["--protocol", "5" if options.version == 5 else "3.1.1"]
    flags = {
        "--host": options.host,
        "--port": options.port,
        "--connections": options.connections,
        "--window": options.window,
        "--qos": options.qos,
        "--payload-bytes": options.payload_bytes,
        "--messages": options.messages,
        "--duration": options.duration_s,
        "--rate": options.rate_per_s,
        "--stall": options.stall_s,
        "--topic": options.topic,
        "--client-id": options.client_id,
        "--username": options.username,
        "--password": options.password,
        "--ca-file": options.ca_file,
        "--seed": options.seed,
    }
    for flag, value in flags.items():
        if value is not None:
            line += [flag, str(value)]
    line += ["--user-property"] if options.user_property else []
    return [*line, "--retain"] if options.retain else line


def run_in_process(options: LoadOptions, *, timeout_s: float) -> LoadResult:
    """Run a load to its end in another process. Raises LoadFailed when it fails or takes longer than `timeout_s`."""
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "simulators.load", *arguments(options)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, cwd=root, check=False)  # noqa: S603 - our own module
    except subprocess.TimeoutExpired as error:
        raise LoadFailed(f"The load did not end within {timeout_s:g} s.") from error
    try:
        values = json.loads(done.stdout)
    except ValueError as error:
        raise LoadFailed(f"The load generator ended with code {done.returncode}: {done.stderr[-500:]}") from error
    if "error" in values:
        raise LoadFailed(values["error"], acknowledged=values["acknowledged"])
    return LoadResult(**{field.name: values[field.name] for field in fields(LoadResult)})


def run_against(child: Child, options: LoadOptions, *, timeout_s: float) -> LoadResult:
    """As `run_in_process`; when the process that is measured has died, that is what the error says (ProcessFailed)."""
    try:
        return run_in_process(options, timeout_s=timeout_s)
    except LoadFailed:
        child.check()
        raise
