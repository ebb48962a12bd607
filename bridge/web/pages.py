"""The pages: one HTML shell for all of them, and the files that it loads.

All files are read into memory at start, a few hundred KiB: a request never waits for the disk, and a path that is no
name of one of them leads nowhere, so there is no way out of the folder. What shrinks is kept gzipped beside itself.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

STATIC_FOLDER: Final = Path(__file__).with_name("static")
SHELL: Final = "index.html"
MAX_TOTAL_BYTES: Final = 16 * 1024 * 1024

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".md": "text/plain; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
_SHRINKS: Final = frozenset({".css", ".html", ".js", ".json", ".md", ".mjs", ".svg", ".txt", ".webmanifest"})
_WORTH_BYTES: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file. `gzipped` is None where it would hardly be smaller; each has an ETag of its own."""

    content: bytes
    content_type: str
    etag: str
    gzipped: bytes | None
    gzipped_etag: str

    @classmethod
    def of(cls, name: str, content: bytes) -> Asset:
        """What is served for a file of this name."""
        suffix = Path(name).suffix.lower()
        digest = hashlib.sha256(content).hexdigest()[:32]
        small = gzip.compress(content, mtime=0) if suffix in _SHRINKS and len(content) >= _WORTH_BYTES else None
        return cls(
            content=content,
            content_type=_TYPES.get(suffix, "application/octet-stream"),
            etag=f'"{digest}"',
            gzipped=small if small is not None and len(small) < 0.9 * len(content) else None,
            gzipped_etag=f'"{digest}-gzip"',
        )


def load_assets(folder: Path = STATIC_FOLDER) -> Mapping[str, Asset]:
    """All files of the folder by their names, with `/` between folders. Hidden files and links are left out.

    Raises ValueError when they are more than MAX_TOTAL_BYTES together.
    """
    assets: dict[str, Asset] = {}
    total = 0
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_symlink() or not path.is_file() or any(part.startswith(".") for part in name.parts):
            continue
        content = path.read_bytes()
        total += len(content)
        if total > MAX_TOTAL_BYTES:
            raise ValueError(f"The files of {folder} are more than {MAX_TOTAL_BYTES >> 20} MiB together.")
        assets[name.as_posix()] = Asset.of(name.name, content)
    return assets


def is_known(etag: str, if_none_match: str | None) -> bool:
    """Whether the caller has this very content already (RFC 9110 §13.1.2)."""
    if if_none_match is None:
        return False
    known = [item.strip().removeprefix("W/") for item in if_none_match.split(",")]
    return "*" in known or etag in known


def takes_gzip(accept_encoding: str | None) -> bool:
    """Whether the caller says that it reads gzip."""
    for item in (accept_encoding or "").split(","):
        name, _, parameters = item.partition(";")
        if name.strip().lower() in {"gzip", "*"}:
            weight = parameters.replace(" ", "").removeprefix("q=")
            return weight.strip("0.") != "" or not weight
    return False
