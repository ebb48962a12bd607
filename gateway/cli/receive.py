"""`fieldgate receive`: the cloud side."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

from gateway.cli.options import RECEIVER_FILE, ReceiverConfig, found

if TYPE_CHECKING:
    from config.loader import Loaded
    from config.settings import ReceiverSettings

SERVICE: Final = "fieldgate-receiver"

EXAMPLE = """\b
Example:
  fieldgate receive -c receiver.yaml"""


def receive(config: ReceiverConfig = None) -> None:
    """Run the receiver, on the cloud's side.

    Takes frames from the cloud's broker, and acknowledges them once every sink has their records. Ends at SIGTERM or
    Ctrl-C. At SIGHUP, as at `fieldgate reload`, the configuration is read again: `api`, `telemetry` and `log` hold at
    once, what else changed waits for a restart and is named.
    """
    from config.loader import load_receiver_with_origins
    from gateway import logs
    from gateway.cli import loop

    path = found(config, RECEIVER_FILE)
    loaded = load_receiver_with_origins(path, os.environ)
    settings = loaded.settings
    logs.set_up(settings.log, service=SERVICE)
    source = f"Configuration: {path}" if path is not None else f"No ./{RECEIVER_FILE}: running with the defaults"
    logging.getLogger("fieldgate").info(source)

    def reread() -> Loaded[ReceiverSettings]:
        from gateway.named_files import check_receiver_files

        again = load_receiver_with_origins(path, os.environ)
        check_receiver_files(again)
        return again

    from bridge.receiver.app import run_receiver  # after the configuration, so that a mistake in it shows at once
    from bridge.receiver.configuration import Configuration
    from config.advice import advice
    from gateway.access.hashing import HashingPool
    from gateway.access.web_users import web_users

    async def received() -> None:
        pool = HashingPool()
        try:
            await run_receiver(
                Configuration(loaded, path=path, reread=reread),
                set_up_log=lambda log: logs.set_up(log, service=SERVICE),
                open_verifier=web_users(pool),
            )
        finally:
            pool.close()

    for sentence in advice(settings):
        logging.getLogger("fieldgate").warning("%s", sentence)
    loop.run(received())
