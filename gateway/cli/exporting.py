"""Lines of an export into a file or onto standard output, with progress."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import typer

from gateway.cli.outcome import Failed
from gateway.cli.progress import ProgressLine
from gateway.cli.words import size
from gateway.words import count, counted

_SHOW_EVERY = 256


def export(lines: Iterator[bytes], output: Path | None, *, total: int | None, force: bool, what: str) -> int:
    """Write them, each with a line feed; returns how many. A file that could not be finished does not stay.

    `total`: how many there will be, about; `what`: their noun. Raises Failed.
    """
    if output is None:
        written = _write(lines, sys.stdout.buffer, total=total, what=what)
        if not written:
            typer.echo(f"There is no {what} to write.", err=True)
        return written
    try:
        with output.open("wb" if force else "xb") as file:
            try:
                written = _write(lines, file, total=total, what=what)
            except BaseException:  # raised again at once: only half a file must not stay
                output.unlink(missing_ok=True)
                raise
    except FileExistsError as error:
        raise Failed(f"{output} is there already. Give another name, or --force to write over it.") from error
    except OSError as error:
        raise Failed(f"{output} can't be written: {error.strerror}.") from error
    typer.echo(f"Wrote {counted(written, what)} to {output}.", err=True)
    return written


def _write(lines: Iterator[bytes], file: IO[bytes], *, total: int | None, what: str) -> int:
    written = size_bytes = 0
    with ProgressLine(sys.stderr) as progress:
        for line in lines:
            file.write(line + b"\n")
            written += 1
            size_bytes += len(line) + 1
            if written % _SHOW_EVERY == 0:
                progress.show(progress_text(written, size_bytes, total, what))
        file.flush()
    return written


def progress_text(written: int, size_bytes: int, total: int | None, what: str) -> str:
    """How far it is. Pure."""
    if not total:
        return f"{counted(written, what)}, {size(size_bytes)}"
    share = min(written / total, 1.0)
    bar = f"{'#' * round(20 * share):<20}"
    return f"[{bar}] {100 * share:3.0f} %  {count(written)} of {counted(total, what)}, {size(size_bytes)}"
