"""`fieldgate receive`: the cloud side."""

from __future__ import annotations

import logging
import os

from gateway.cli.options import RECEIVER_FILE, ReceiverConfig, found

EXAMPLE = """\b
Example:
  fieldgate receive -c receiver.yaml"""


def receive(config: ReceiverConfig = None) -> None:
    """Run the receiver, on the cloud's side.

    Takes frames from the cloud's broker, and acknowledges them once every sink has their records. Ends at SIGTERM or
    Ctrl-C.
    """
    from config.loader import load_receiver
    from gateway import logs
    from gateway.cli import loop

    path = found(config, RECEIVER_FILE)
    settings = load_receiver(path, os.environ)
    logs.set_up(settings.log, service="fieldgate-receiver")
    source = f"Configuration: {path}" if path is not None else f"No ./{RECEIVER_FILE}: running with the defaults"
    logging.getLogger("fieldgate").info(source)

    from bridge.receiver.app import run_receiver  # after the configuration, so that a mistake in it shows at once
    from config.advice import advice
    from gateway.access.hashing import HashingPool
    from gateway.access.web_users import open_web_users

    async def received() -> None:
        pool = HashingPool()
        try:
            await run_receiver(settings, verifier=open_web_users(settings.api, pool=pool))
        finally:
            pool.close()

    for sentence in advice(settings):
        logging.getLogger("fieldgate").warning("%s", sentence)
    loop.run(received())
