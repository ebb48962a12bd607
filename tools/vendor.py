"""What the dashboard borrows from npm, copied into the repository: `python tools/vendor.py [renew|newest|check]`.

The dashboard has no build step and works without internet, so its few borrowed files stand in
`bridge/web/static/vendor`, with their licences. `packages.json` there says which version of which package, the hash
that npm's registry gave for it, and which files are taken; `SHA256SUMS` what the files came to.

    renew    fetch the versions of packages.json anew, check npm's hash of each, write files, licences and sums
    newest   take the newest version of each package into packages.json first; then look at the result before committing
    check    (default) compare the files with SHA256SUMS; needs no network

Copies are changed in two ways only: an import by bare name becomes one by file, because browsers know no packages, and
the line that names a source map goes, because it is not here.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

VENDOR = Path(__file__).parents[1] / "bridge" / "web" / "static" / "vendor"
PACKAGES = VENDOR / "packages.json"
SUMS = VENDOR / "SHA256SUMS"
_OURS = {PACKAGES.name, SUMS.name, "README.md"}
_BARE_IMPORTS = {b'from"preact"': b'from"./preact.js"'}
_SOURCE_MAP = re.compile(rb"\n//# sourceMappingURL=[^\n]*\n?")


class VendorError(Exception):
    """A package or a file is not what it should be; the sentence says which and how."""


def wrong_files(folder: Path = VENDOR) -> list[str]:
    """One sentence for each file that is missing, changed, or not listed in SHA256SUMS."""
    listed = {}
    for line in (folder / SUMS.name).read_text().splitlines():
        digest, _, name = line.partition("  ")
        listed[name] = digest
    there = {path.name for path in folder.iterdir() if path.is_file()} - _OURS
    wrong = [f"{name} is not listed in {SUMS.name}." for name in sorted(there - listed.keys())]
    for name, digest in sorted(listed.items()):
        if name not in there:
            wrong.append(f"{name} is missing.")
        elif _sha256(folder / name) != digest:
            wrong.append(f"{name} is not what {SUMS.name} says.")
    return wrong


def renew(*, newest: bool) -> None:
    """Fetch every package, and write files, licences, sums and packages.json. Raises VendorError."""
    packages: dict[str, dict[str, Any]] = json.loads(PACKAGES.read_text())
    written: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, package in packages.items():
            if newest:
                facts = json.loads(_npm("view", name, "version", "dist.integrity", "license", "--json"))
                package["version"], package["integrity"] = facts["version"], facts["dist.integrity"]
                package["license"] = facts["license"]
            wanted = f"{name}@{package['version']}"
            archive = Path(folder) / _npm("pack", "--silent", "--pack-destination", folder, wanted)
            _check_integrity(name, archive, str(package["integrity"]))
            with tarfile.open(archive) as tar:
                for target, source in package["files"].items():
                    written[target] = _member(tar, name, source)
            for target in package["files"]:
                if target.endswith(".js"):
                    written[target] = _for_browsers(written[target], str(package.get("append", "")))
            _say(f"{name} {package['version']}: {', '.join(package['files'])}")
    for path in VENDOR.iterdir():
        if path.name not in _OURS | written.keys():
            path.unlink()
    for target, content in written.items():
        (VENDOR / target).write_bytes(content)
    SUMS.write_text("".join(f"{_sha256(VENDOR / target)}  {target}\n" for target in sorted(written)))
    PACKAGES.write_text(json.dumps(packages, indent=2) + "\n")


def _for_browsers(source: bytes, append: str) -> bytes:
    for bare, relative in _BARE_IMPORTS.items():
        source = source.replace(bare, relative)
    source = _SOURCE_MAP.sub(b"\n", source)
    return source.rstrip(b"\n") + b"\n" + (append.encode() + b"\n" if append else b"")


def _member(tar: tarfile.TarFile, name: str, source: str) -> bytes:
    try:
        file = tar.extractfile(f"package/{source}")
    except KeyError:
        file = None
    if file is None:
        raise VendorError(f"{name} holds no file {source}: look into the package and mend packages.json.")
    return file.read()


def _check_integrity(name: str, archive: Path, integrity: str) -> None:
    method, _, wanted = integrity.partition("-")
    if method != "sha512" or base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() != wanted:
        raise VendorError(f"{name}: what npm delivered has not the hash that packages.json names. Nothing was written.")


def _npm(*arguments: str) -> str:
    done = subprocess.run(["npm", *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607
    if done.returncode:
        raise VendorError(f"`npm {' '.join(arguments)}` failed: {done.stderr.strip()[-300:]}")
    return done.stdout.strip()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(arguments: list[str]) -> int:
    """Do what the first argument says; the exit code."""
    match arguments:
        case [] | ["check"]:
            wrong = wrong_files()
            _say("\n".join(wrong) or f"All files in {VENDOR.name}/ are what {SUMS.name} says.")
            return 1 if wrong else 0
        case ["renew" | "newest" as how]:
            try:
                renew(newest=how == "newest")
            except VendorError as error:
                sys.stderr.write(f"{error}\n")
                return 1
            return 0
        case _:
            _say(__doc__ or "")
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
