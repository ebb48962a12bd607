"""`gateway.yaml` and `receiver.yaml` to settings: the file, then the environment over it, then the checks.

A missing key has its default, so no file and an empty file are both fine. Every mistake is found in one go and raised
as one `ConfigError`. Relative paths are relative to the current directory, not to the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from config.checks import Checker
from config.errors import ConfigError, Place, Problem
from config.findings import Findings
from config.fitting import fit_to_spool
from config.gateway_keys import GATEWAY
from config.overrides import gather
from config.reading import Reader
from config.receiver_keys import RECEIVER
from config.settings import GatewaySettings, ReceiverSettings
from config.shapes import Section
from config.variables import expand
from config.yaml_nodes import MappingNode, Node, compose

SettingsT = TypeVar("SettingsT", GatewaySettings, ReceiverSettings)

Program = Literal["gateway", "receiver"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded(Generic[SettingsT]):
    """Settings, and by dotted key where each came from: `default`, `gateway.yaml:14`, `environment variable X`."""

    settings: SettingsT
    origins: Mapping[str, str]


def load_gateway(path: Path | None, environ: Mapping[str, str]) -> GatewaySettings:
    """The settings of the gateway; ConfigError names everything that is wrong."""
    return load_gateway_with_origins(path, environ).settings


def load_receiver(path: Path | None, environ: Mapping[str, str]) -> ReceiverSettings:
    """The settings of the receiver; ConfigError names everything that is wrong."""
    return load_receiver_with_origins(path, environ).settings


def load_gateway_with_origins(path: Path | None, environ: Mapping[str, str]) -> Loaded[GatewaySettings]:
    """As `load_gateway`, and where each value came from."""
    return _gateway(None if path is None else read_text(path), path, environ)


def load_gateway_text(text: str, path: Path | None, environ: Mapping[str, str]) -> Loaded[GatewaySettings]:
    """As `load_gateway_with_origins`, of a text that may become the file."""
    return _gateway(text, path or Path("gateway.yaml"), environ)


def _gateway(text: str | None, path: Path | None, environ: Mapping[str, str]) -> Loaded[GatewaySettings]:
    reader, settings, file = _load(text, path, environ, GATEWAY, RECEIVER, "gateway.yaml")
    settings = fit_to_spool(settings, Findings(reader, file))
    Checker(reader, file).gateway(settings)
    return _loaded(reader, settings)


def load_receiver_with_origins(path: Path | None, environ: Mapping[str, str]) -> Loaded[ReceiverSettings]:
    """As `load_receiver`, and where each value came from."""
    text = None if path is None else read_text(path)
    reader, settings, file = _load(text, path, environ, RECEIVER, GATEWAY, "receiver.yaml")
    Checker(reader, file).receiver(settings)
    return _loaded(reader, settings)


def program_of(path: Path) -> Program:
    """Whose configuration a file is: by its top keys, else by its name; ConfigError when it can't be read."""
    node = compose(read_text(path), str(path), str)
    keys = set(node.entries) if isinstance(node, MappingNode) else set()
    receiver = len(keys & (set(RECEIVER.by_name) - set(GATEWAY.by_name)))
    gateway = len(keys & (set(GATEWAY.by_name) - set(RECEIVER.by_name)))
    if receiver != gateway:
        return "receiver" if receiver > gateway else "gateway"
    return "receiver" if "receiver" in path.name.casefold() else "gateway"


def _load(
    text: str | None, path: Path | None, environ: Mapping[str, str], own: Section, other: Section, name: str
) -> tuple[Reader, Any, Place]:
    problems: list[Problem] = []
    root: Node | None = None
    if text is not None:
        root = compose(text, str(path), partial(expand, environ=environ))
    overrides = gather(environ, own=own.by_name, other=other.by_name, problems=problems)
    file = Place(source=str(path) if path is not None else f"the defaults of {name}")
    reader = Reader(file, problems)
    return reader, reader.section(own, root, overrides, own.settings(), ""), file


def _loaded(reader: Reader, settings: SettingsT) -> Loaded[SettingsT]:
    if reader.problems:
        raise ConfigError(reader.problems)
    return Loaded(settings=settings, origins=reader.origins)


def read_text(path: Path) -> str:
    """What a file holds. Raises ConfigError, with a sentence, when it can't be read or is not UTF-8."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        sentence = "this file does not exist; write it, or run without it to have the defaults"
        raise _unreadable(path, sentence) from error
    except IsADirectoryError as error:
        raise _unreadable(path, "this is a directory; name the file in it") from error
    except OSError as error:
        raise _unreadable(path, f"this file can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise _unreadable(path, "this is not UTF-8 text; save it as UTF-8", line) from error


def _unreadable(path: Path, sentence: str, line: int | None = None) -> ConfigError:
    return ConfigError([Problem.at(Place(source=str(path), line=line), "", sentence)])
