"""One JSON object a line, appended to a file (the format is in bridge/json_lines.py).

Exactly once across crashes: a write appends lines, has them on disk, and only then makes the file's new length durable
in the receiver's state, together with the ledger of what the file holds. What is found after that length at the next
start was never accounted for (a torn line, or lines that will come again) and is cut off; whole lines are copied to a
file beside it before, for a state that came back from a backup knows less than it acknowledged. Cut is only a file
that is known again, by its inode and its first bytes, and whose tail begins as our lines do: a file that somebody put
in the place of ours is appended to and never cut. When the file was rotated away, a new one is begun.

The file is locked while it is open: of two receivers with states of their own, each would take the other's lines for a
tail that was never accounted for.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import stat
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from bridge.crashpoints import reach
from bridge.errors import SinkRefused, SinkUnavailable
from bridge.json_lines import encode_lines
from bridge.receiver.batch import Batch, Refusal
from bridge.receiver.errors import StateUnusable
from bridge.receiver.ledger import Ledger
from bridge.receiver.state import FileMark, State

T = TypeVar("T")
log = logging.getLogger(__name__)

_HEAD_BYTES: Final = 512
_LINE_START: Final = b'{"gateway":'
_PIECE_BYTES: Final = 1 << 20


class JsonLines:
    """The sink; its file is written on a thread of its own."""

    def __init__(self, path: Path, state: State, utc_now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """`utc_now` names what is cut off."""
        self._utc_now = utc_now
        self._path = path.absolute()
        self._state = state
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="jsonl")
        self._file = -1
        self._mark = FileMark(inode=0, length=0, head=b"")

    @property
    def name(self) -> str:
        """As the protocol says."""
        return f"jsonl:{self._path}"

    async def open(self) -> Ledger:
        """Open or create the file and cut off what is not accounted for."""
        known = await self._stored(self._state.file_mark(self.name))
        self._mark = await self._on_thread(lambda: self._open(known))
        if self._mark != known:
            # Before the first byte: a crash must find which file the tail that it cuts off is in.
            await self._stored(self._state.save_progress(self.name, (), self._mark))
        return await self._stored(self._state.ledger(self.name))

    async def write(self, batch: Batch) -> Sequence[Refusal]:
        """Append the batch, fsync, and account for it. An error leaves a tail, which `open` cuts off."""
        if await self._on_thread(self._was_replaced):
            log.warning("The file %s was moved, removed or changed by somebody; it is opened anew.", self._path)
            await self._on_thread(self._close)
            await self.open()
        mark = await self._on_thread(lambda: self._append(batch))
        reach("receiver.before_sink_commit")
        await self._stored(self._state.save_progress(self.name, batch.ledger_rows, mark))
        reach("receiver.after_sink_commit")
        self._mark = mark
        return ()

    async def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            await self._on_thread(self._close)

    async def _on_thread(self, fn: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, fn)
        except (PermissionError, IsADirectoryError, NotADirectoryError) as error:
            raise SinkRefused(
                f"The file {self._path} cannot be written: {error.strerror}. "
                "Give this user the right to, or choose another path (sinks)."
            ) from error
        except OSError as error:
            raise SinkUnavailable(f"The file {self._path} cannot be written for now: {error.strerror}.") from error

    async def _stored(self, doing: Awaitable[T]) -> T:
        try:
            return await doing
        except StateUnusable as error:
            raise SinkUnavailable(str(error)) from error

    # What follows runs on the thread.

    def _open(self, known: FileMark | None) -> FileMark:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        status = os.fstat(self._file)
        if not stat.S_ISREG(status.st_mode):
            raise SinkRefused(
                f"{self._path} is no file that can be appended to and synced. Choose another path (sinks)."
            )
        self._lock()
        inode, size = status.st_ino, status.st_size
        if known is not None and self._is_ours(known, inode, size):
            if size > known.length:
                self._keep_tail(known.length, size)
                log.warning("Cut %d bytes that were not accounted for off %s.", size - known.length, self._path)
                os.ftruncate(self._file, known.length)
                os.fsync(self._file)
            return known
        if known is not None:
            log.warning("The file %s is not the one written before; it is appended to as it is.", self._path)
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            size += os.write(self._file, b"\n")  # somebody's last line has no end: ours must not become part of it
        os.fsync(self._file)
        self._sync_folder()
        return FileMark(inode=inode, length=size, head=os.pread(self._file, min(size, _HEAD_BYTES), 0))

    def _keep_tail(self, start: int, end: int) -> None:
        """Copy what is to be cut to a file of its own when it has a whole line."""
        if not any(b"\n" in piece for piece in self._pieces(start, end)):
            return
        path = self._path.with_name(f"{self._path.name}.cut-{self._utc_now():%Y%m%dT%H%M%S.%fZ}")
        with path.open("xb") as kept:
            try:
                for piece in self._pieces(start, end):
                    kept.write(piece)
                kept.flush()
                os.fsync(kept.fileno())
            except OSError:
                path.unlink(missing_ok=True)  # it is tried again, and a full disk must not fill with attempts
                raise
        self._sync_folder()
        log.warning(
            "What is cut off %s has whole lines, which are kept in %s. After a crash they come again and the copy may "
            "be deleted; when the state file came from a backup, they do not, and the copy is all there is of them.",
            self._path,
            path,
        )

    def _pieces(self, start: int, end: int) -> Iterator[bytes]:
        for at in range(start, end, _PIECE_BYTES):
            yield os.pread(self._file, min(_PIECE_BYTES, end - at), at)

    def _sync_folder(self) -> None:
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SinkRefused(
                f"Another receiver, or another sink, writes to the file {self._path}. Stop it, or choose another path "
                "(sinks)."
            ) from error

    def _is_ours(self, known: FileMark, inode: int, size: int) -> bool:
        if inode != known.inode or size < known.length or os.pread(self._file, len(known.head), 0) != known.head:
            return False
        tail = os.pread(self._file, len(_LINE_START), known.length)
        return _LINE_START.startswith(tail) or tail.startswith(_LINE_START)

    def _was_replaced(self) -> bool:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return True
        return status.st_ino != self._mark.inode or status.st_size != self._mark.length

    def _append(self, batch: Batch) -> FileMark:
        data = b"".join(
            [
                encode_lines(
                    portion.block,
                    gateway=portion.lane.gateway,
                    stream=portion.lane.stream,
                    epoch=portion.lane.epoch,
                )
                for portion in batch.portions
            ]
        )
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        os.fdatasync(self._file)
        head = self._mark.head
        if len(head) < _HEAD_BYTES:
            head += data[: _HEAD_BYTES - len(head)]
        return FileMark(inode=self._mark.inode, length=self._mark.length + len(data), head=head)

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
