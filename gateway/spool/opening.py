"""From a data folder to the parts of a spool: locked, saved from where it is damaged, and read as far as it must be."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from bridge.database import Database, open_database
from config.settings import GatewaySettings
from gateway.spool.errors import SpoolCorrupt, SpoolFull, translate
from gateway.spool.folder import DataFolder
from gateway.spool.lane import Lane
from gateway.spool.loading import load_lanes, load_sessions
from gateway.spool.ports import Table
from gateway.spool.recovery import mark_damaged, recover
from gateway.spool.rows import DeadLetterTotal, dead_letter_total
from gateway.spool.salvage import Salvage
from gateway.spool.size import Size
from gateway.spool.tables import Loaded
from gateway.spool.tables import load as load_tables
from gateway.spool.transaction import Transactor

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a spool is made of."""

    folder: DataFolder
    writer: Database
    reader: Database
    transactor: Transactor
    lanes: Sequence[Lane]
    sessions: dict[str, bytes]
    tables: dict[Table, Loaded]
    dead_letters: DeadLetterTotal
    salvage: Salvage | None


async def open_parts(settings: GatewaySettings) -> Opened:
    """Lock the folder, open (or save from) the database, read where every stream stands.

    Raises as `Spool.open` says; nothing stays open or locked then.
    """
    folder = DataFolder(settings.gateway.data_dir, reserve_bytes=Size.of(settings.spool).reserve_bytes)
    folder.open()
    try:
        try:
            return await _recover_and_open(settings, folder)
        except SpoolCorrupt as error:  # it looked sound at first
            log.error("%s What can be read of it is saved now.", error)
            mark_damaged(folder)
            return await _recover_and_open(settings, folder)
    except SpoolCorrupt:
        mark_damaged(folder)
        folder.close()
        raise
    except BaseException:  # raised again: only the lock must not stay
        folder.close()
        raise


async def _recover_and_open(settings: GatewaySettings, folder: DataFolder) -> Opened:
    salvage = recover(folder)
    if salvage:
        log.error("%s", salvage)
    folder.keep_reserve()
    try:
        return await _open(settings, folder, salvage)
    except SpoolFull:
        folder.give_reserve()
        return await _open(settings, folder, salvage)


async def _open(settings: GatewaySettings, folder: DataFolder, salvage: Salvage | None) -> Opened:
    opened: list[Database] = []
    try:
        interval = settings.spool.durability_s is not None
        writer = await open_database(folder.database, synchronous="NORMAL" if interval else "FULL")
        opened.append(writer)
        reader = await open_database(folder.database, synchronous="FULL")
        opened.append(reader)
        size = Size.of(settings.spool)
        await writer.run(size.bound_log)
        await writer.execute("PRAGMA cache_size = -8192")
        # Debian's SQLite overwrites what is deleted with zeros by default: that would write every byte twice.
        await writer.execute("PRAGMA secure_delete = OFF")
        return Opened(
            folder=folder,
            writer=writer,
            reader=reader,
            transactor=Transactor(folder, size),
            lanes=await writer.transaction(partial(load_lanes, settings=settings)),
            sessions=await writer.run(load_sessions),
            tables=await writer.run(load_tables),
            dead_letters=await writer.run(dead_letter_total),
            salvage=salvage,
        )
    except BaseException as error:  # raised again: only what was opened must not stay open
        for database in opened:
            await database.close()
        if isinstance(error, sqlite3.Error):
            raise translate(error) from error
        raise
