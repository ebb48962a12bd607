"""The files of a configuration of Mosquitto: the one that is named, and those of its `include_dir`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gateway.cli.import_mosquitto.conf import Line, parse
from gateway.cli.outcome import Failed

MAX_FILE_BYTES: Final = 16 * 1024 * 1024


def read_conf(path: Path) -> list[Line]:
    """Every line that says something. Raises Failed for a file or folder that can't be read."""
    lines: list[Line] = []
    for line in parse(_read(path), str(path)):
        if line.option == "include_dir":
            for included in _files(Path(line.value), line):
                lines += parse(_read(included), str(included))
        else:
            lines.append(line)
    return lines


def _files(folder: Path, line: Line) -> list[Path]:
    """The files of the folder in Mosquitto's order: by letters, and of one letter the upper case first."""
    try:
        found = [path for path in folder.iterdir() if path.name.endswith(".conf") and not path.is_dir()]
    except OSError as error:
        raise Failed(f"{line.place}: include_dir {line.value} can't be read: {error.strerror}.") from error
    return sorted(found, key=lambda path: [(one.lower(), one) for one in path.name])


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise Failed(f"{path} can't be read: {error.strerror}. Give the name of a mosquitto.conf.") from error
    if len(content) > MAX_FILE_BYTES:
        raise Failed(f"{path} is larger than 16 MiB. Give the name of a mosquitto.conf.")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Failed(f"{path}:{line} is not UTF-8 text. Give the name of a mosquitto.conf.") from error
