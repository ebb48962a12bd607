"""Mosquitto as the peer, in the best configuration it has for the job (docs/benchmarks.md names it).

No limit on what is queued, none on what is in flight unless one is faster, no log but errors. `bridge_to` makes it
forward everything to another broker with QoS 1; `on_disk` has it write its queue to disk.
"""

from __future__ import annotations

import getpass
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simulators.load.processes import Child, accepts, free_port

_START_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """A running Mosquitto."""

    child: Child
    port: int


def executable() -> str | None:
    """Where mosquitto is, if it is anywhere; Debian puts it into /usr/sbin."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def version() -> str:
    """Such as `2.0.11`; "not installed" where it isn't."""
    program = executable()
    if program is None:
        return "not installed"
    output = subprocess.run([program, "-h"], capture_output=True, text=True, timeout=5, check=False).stdout  # noqa: S603 - its own path
    found = re.search(r"version (\S+)", output)
    return found[1] if found else "unknown"


def configuration(
    *,
    port: int,
    folder: Path,
    bridge_to: int | None = None,
    on_disk: bool = False,
    save_each: bool = False,
    max_inflight: int = 0,
    lines: Sequence[str] = (),
) -> str:
    """Its configuration file, `lines` at its end; those that begin with allow_anonymous take the place of ours.

    `on_disk`: its queue is written every second, the shortest time there is; `save_each`: after every change instead,
    when Mosquitto writes the whole of its database again.
    """
    settings = [
        f"listener {port} 127.0.0.1",
        *([] if any(line.startswith("allow_anonymous") for line in lines) else ["allow_anonymous true"]),
        "log_dest stderr",
        "log_type error",
        f"user {getpass.getuser()}",
        f"max_inflight_messages {max_inflight}",
        "max_queued_messages 0",
        "sys_interval 1",
    ]
    if on_disk or save_each:
        settings += [
            "persistence true",
            f"persistence_location {folder}/",
            "autosave_interval 1",
            f"autosave_on_changes {'true' if save_each else 'false'}",
        ]
    if bridge_to is not None:
        settings += [
            "connection cloud",
            f"address 127.0.0.1:{bridge_to}",
            "topic # out 1",
            "bridge_protocol_version mqttv311",
            "cleansession false",
            "notifications false",
            "restart_timeout 1",
        ]
    return "\n".join([*settings, *lines]) + "\n"


def start(
    folder: Path,
    *,
    name: str = "mosquitto",
    bridge_to: int | None = None,
    on_disk: bool = False,
    save_each: bool = False,
    max_inflight: int = 0,
    lines: Sequence[str] = (),
) -> Broker:
    """Start one on a free port; returns when it accepts connections. Raises ProcessFailed or FileNotFoundError."""
    program = executable()
    if program is None:
        raise FileNotFoundError(
            "mosquitto is not installed, so there is nothing to compare with; install it and try again."
        )
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    file = folder / f"{name}.conf"
    file.write_text(
        configuration(
            port=port,
            folder=folder,
            bridge_to=bridge_to,
            on_disk=on_disk,
            save_each=save_each,
            max_inflight=max_inflight,
            lines=lines,
        )
    )
    child = Child([program, "-c", str(file)], name=name, log=folder / f"{name}.log")
    try:
        child.wait_until(lambda: accepts(port), timeout_s=_START_TIMEOUT_S, what="its listener")
    except BaseException:  # whatever went wrong, an interrupt too: nobody else knows this process yet
        child.stop()
        raise
    return Broker(child=child, port=port)
