"""What is known of a gateway or a receiver that does not answer: of a gateway, what its data folder tells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from config.loader import Program

ANYWHERE = "Start the gateway with `fieldgate run`, or say where its api listens, with --api or -c."
RECEIVER = "Start the receiver with `fieldgate receive`, or say where its api listens, with --api or -c."
_BESIDE = "`fieldgate queue` and `fieldgate dlq` can read the folder beside it, with --data-dir."


def standing(data_dir: Path | None, program: Program = "gateway") -> str:
    """Whether a gateway runs on the folder (None: which one is not known), and what to do then."""
    if program == "receiver":
        return RECEIVER
    if data_dir is None or not data_dir.is_dir():
        return ANYWHERE
    holder = _holder(data_dir)
    if holder is not None:
        return (
            f"A gateway runs on {data_dir} (process {holder}), but its HTTP interface is not there: its log says where "
            f"it listens. {_BESIDE}"
        )
    if not (data_dir / "spool.db").exists():
        return ANYWHERE
    return (
        f"No gateway runs on {data_dir}; `fieldgate run` starts it. What is kept there can be seen all the same, with "
        "`fieldgate queue` and `fieldgate dlq`."
    )


def beside(data_dir: Path | None) -> str:
    """What can be done where a gateway runs on the folder and says nothing; empty where none does."""
    return "" if data_dir is None or _holder(data_dir) is None else _BESIDE


def _holder(data_dir: Path) -> str | None:
    from gateway.spool.errors import SpoolError
    from gateway.spool.folder import holder_of

    try:
        return holder_of(data_dir)
    except SpoolError:  # it is somebody else's: nothing is known of it
        return None
