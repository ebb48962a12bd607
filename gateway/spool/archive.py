"""The file that `fieldgate backup` writes: a .tar.gz that any tool can open.

    manifest.json     first; see `Manifest`
    spool.db          the database as it was at one moment, without a write-ahead log
    config/NAME       the configuration and the files that it names, if they were asked for

Invariants: every other member is named in the manifest, with its size and SHA-256; nothing is taken out of an archive
whose names, sizes or sums are others. The archive holds what devices said and password hashes: it is for its owner
alone (0600). It appears under its name when it is whole and on disk.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from bridge.crashpoints import reach
from gateway.spool.errors import BackupError

FORMAT: Final = 1
DATABASE: Final = "spool.db"
CONFIGURATION: Final = "config/"
_MANIFEST: Final = "manifest.json"
_MAX_MANIFEST_BYTES: Final = 1024 * 1024
_CHUNK_BYTES: Final = 1024 * 1024
_SYNC_EVERY_BYTES: Final = 8 * 1024 * 1024
"""So much may wait to be written at a time: a gateway beside us waits for the same disk at each of its commits."""

OnBytes = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file in the archive."""

    size_bytes: int
    sha256: str
    path: str | None = None
    """Where it was; None for the database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an archive holds, and what it was made of."""

    format: int = FORMAT
    fieldgate: str
    """The version that made it."""
    gateway: str
    made_at: str
    """RFC 3339, UTC: the moment whose records it holds."""
    schema: int
    """Of the database."""
    members: Mapping[str, Member] = field(default_factory=dict)

    def encode(self) -> bytes:
        """As it stands in the archive."""
        return json.dumps(asdict(self), indent=2, sort_keys=True).encode()

    @classmethod
    def decode(cls, data: bytes) -> Manifest:
        """The inverse. Raises BackupError."""
        try:
            found: dict[str, Any] = json.loads(data)
            if found["format"] != FORMAT:
                raise BackupError(
                    f"The backup is of format {found['format']}, and this Fieldgate reads format {FORMAT}. "
                    "Restore it with the version that made it, or a newer one."
                )
            members = {str(name): Member(**member) for name, member in found.pop("members").items()}
            manifest = cls(**found, members=members)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise BackupError(f"The manifest of the backup is not what Fieldgate writes: {error}.") from error
        for name, member in manifest.members.items():
            if not _is_name(name) or type(member.size_bytes) is not int or member.size_bytes < 0:
                raise BackupError("The manifest of the backup names files that no backup has.")
        if DATABASE not in manifest.members:
            raise BackupError("There is no database in the backup.")
        return manifest


def _is_name(name: str) -> bool:
    return name == DATABASE or (
        name.startswith(CONFIGURATION)
        and "/" not in name.removeprefix(CONFIGURATION)
        and name.removeprefix(CONFIGURATION) not in {"", ".", ".."}
    )


def sum_of(path: Path, on_bytes: OnBytes) -> Member:
    """Size and sum of a file."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
            on_bytes(len(chunk))
    return Member(size_bytes=size, sha256=digest.hexdigest())


def write(target: Path, manifest: Manifest, files: Mapping[str, Path], on_bytes: OnBytes) -> int:
    """Write the archive, as a whole or not at all; returns its size. `files`: where each member is now."""
    partial = target.with_name(target.name + ".partial")
    partial.unlink(missing_ok=True)
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with _named(partial), os.fdopen(fd, "wb") as raw:
            with tarfile.open(fileobj=raw, mode="w:gz", compresslevel=1) as archive:  # blocks are compressed
                data = manifest.encode()
                archive.addfile(_entry(_MANIFEST, len(data)), io.BytesIO(data))
                for name, path in files.items():
                    with path.open("rb") as file:
                        archive.addfile(
                            _entry(name, manifest.members[name].size_bytes), _Paced(file, raw.fileno(), on_bytes)
                        )
            raw.flush()
            os.fsync(raw.fileno())
        reach("backup.packed")
        partial.replace(target)
    except BaseException:  # raised again at once: only half an archive must not stay
        partial.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)
    return target.stat().st_size


def _entry(name: str, size_bytes: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size_bytes, 0o600
    return entry


@contextlib.contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """Open an archive and read its manifest. Raises BackupError."""
    try:
        with tarfile.open(path, mode="r|gz") as archive:
            yield Reader(archive)
    except (tarfile.TarError, EOFError) as error:
        raise BackupError(f"{path} is no whole backup of Fieldgate: {error}.") from error
    except OSError as error:
        if error.filename is not None:
            raise
        raise BackupError(f"{path} is no whole backup of Fieldgate: {error}.") from error  # not gzip, or cut short


class Reader:
    """An archive from its beginning to its end."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        entry = archive.next()
        file = archive.extractfile(entry) if entry is not None and entry.isreg() else None
        if entry is None or entry.name != _MANIFEST or file is None or entry.size > _MAX_MANIFEST_BYTES:
            raise BackupError("The file is no backup of Fieldgate: it does not begin with a manifest.")
        self.manifest = Manifest.decode(file.read())

    def extract(self, places: Mapping[str, Path], on_bytes: OnBytes) -> None:
        """Write the members to new files (0600), one place for each, and check all.

        Raises BackupError, and OSError with the name of the place that can't be written.
        """
        seen: list[str] = []
        while (entry := self._archive.next()) is not None:
            member = self.manifest.members.get(entry.name)
            file = self._archive.extractfile(entry) if entry.isreg() else None
            if member is None or file is None or entry.size != member.size_bytes or entry.name in seen:
                raise BackupError(f"The backup holds {entry.name!r}, and its manifest does not say so.")
            self._copy(file, member, places[entry.name], entry.name, on_bytes)
            seen.append(entry.name)
        missing = set(self.manifest.members) - set(seen)
        if missing:
            raise BackupError(f"The backup lacks {min(missing)}: it was cut short.")

    @staticmethod
    def _copy(source: IO[bytes], member: Member, place: Path, name: str, on_bytes: OnBytes) -> None:
        digest = hashlib.sha256()
        fd = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            while chunk := source.read(_CHUNK_BYTES):
                digest.update(chunk)
                on_bytes(len(chunk))
                with _named(place):
                    _write_all(fd, chunk)
            with _named(place):
                os.fsync(fd)
        finally:
            os.close(fd)
        if digest.hexdigest() != member.sha256:
            raise BackupError(f"{name} in the backup is not what was written: its checksum is another one.")


class _Paced:
    """A file on its way into an archive: its reading is told, and the archive is brought to the disk bit by bit."""

    def __init__(self, file: IO[bytes], target_fd: int, on_bytes: OnBytes) -> None:
        self._file = file
        self._target_fd = target_fd
        self._on_bytes = on_bytes
        self._waiting = 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._on_bytes(len(data))
        self._waiting += len(data)
        if self._waiting >= _SYNC_EVERY_BYTES:
            self._waiting = 0
            os.fdatasync(self._target_fd)
        return data


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Have an error that the system tells of a file that is open say which one: a full disk is no bad archive."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def _write_all(fd: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def names_for(paths: Sequence[Path]) -> dict[str, Path]:
    """A name in the archive for each of these files; two of one name get a number."""
    names: dict[str, Path] = {}
    for path in dict.fromkeys(paths):
        name, number = f"{CONFIGURATION}{path.name}", 2
        while name in names:
            name, number = f"{CONFIGURATION}{path.stem}-{number}{path.suffix}", number + 1
        names[name] = path
    return names
