"""`fieldgate run`: the gateway."""

from __future__ import annotations

import importlib
import logging
import os
import threading

from gateway.cli.imports import uncollected
from gateway.cli.options import GATEWAY_FILE, GatewayConfig, found

EXAMPLE = """\b
Example:
  fieldgate run -c /etc/fieldgate/gateway.yaml"""


def run(config: GatewayConfig = None) -> None:
    """Run the gateway.

    Until SIGTERM or Ctrl-C, which stop it in order; a second one stops it at once. Either way nothing acknowledged is
    lost.
    """
    # aiohttp reads the system's certificates when it is imported, without the interpreter lock: a tenth of a second in
    # which everything else can be imported.
    threading.Thread(target=importlib.import_module, args=("aiohttp.web",), name="import aiohttp", daemon=True).start()

    with uncollected():
        from config.loader import load_gateway_with_origins
        from gateway import logs
        from gateway.cli import loop

        path = found(config, GATEWAY_FILE)
        loaded = load_gateway_with_origins(path, os.environ)
        logs.set_up(loaded.settings.log)
        source = f"Configuration: {path}" if path is not None else f"No ./{GATEWAY_FILE}: running with the defaults"
        logging.getLogger("fieldgate").info(source)

        from gateway.app import run_gateway  # after the configuration, so that a mistake in it shows at once
        from gateway.configuration import Configuration

    loop.run(run_gateway(Configuration(loaded, path=path, environ=os.environ)))
