"""Settings as people read them: YAML with every key, each with where its value came from, secrets masked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from config.errors import DEFAULT
from config.gateway_keys import GATEWAY
from config.kinds import Flag, Maybe
from config.loader import Loaded
from config.reading import join, labels
from config.receiver_keys import RECEIVER
from config.settings import GatewaySettings, ReceiverSettings
from config.shapes import Section, SectionList, Shape, ValueList

MASK = "********"

_COMMENT_COLUMN = 56
_PLAIN = re.compile(r"[A-Za-z0-9./][A-Za-z0-9_./:@-]*(?<!:)")
_TRAPS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveValue:
    """One key of the effective settings: dotted, its value as YAML with secrets masked, and where it came from."""

    key: str
    text: str
    origin: str


AnySettings = GatewaySettings | ReceiverSettings


def describe(loaded: Loaded[GatewaySettings] | Loaded[ReceiverSettings] | AnySettings) -> str:
    """The effective settings as YAML text that the loader would read again (but for secrets), with origins beside."""
    settings, origins = _parts(loaded)
    lines = []
    for line in described(root_of(settings), settings):
        origin = origins.get(line.key) if line.key else None
        lines.append(f"{line.text:<{_COMMENT_COLUMN}}  # {origin}" if origin else line.text)
    return "\n".join(lines) + "\n"


def effective_values(loaded: Loaded[GatewaySettings] | Loaded[ReceiverSettings] | AnySettings) -> list[EffectiveValue]:
    """The same, one entry a key, for a page or for JSON."""
    settings, origins = _parts(loaded)
    return [
        EffectiveValue(key=line.key, text=line.value, origin=origins.get(line.key, DEFAULT))
        for line in described(root_of(settings), settings)
        if line.key
    ]


def _parts(
    loaded: Loaded[GatewaySettings] | Loaded[ReceiverSettings] | AnySettings,
) -> tuple[AnySettings, Mapping[str, str]]:
    if isinstance(loaded, Loaded):
        return loaded.settings, loaded.origins
    return loaded, {}


def root_of(settings: AnySettings) -> Section:
    """The description of these settings."""
    return GATEWAY if isinstance(settings, GatewaySettings) else RECEIVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of YAML; `key` and `value` where it gives a key a value."""

    text: str
    key: str = ""
    value: str = ""


def described(section: Section, settings: Any, variant: str = "") -> Iterator[Line]:
    """The lines of one section; keys are dotted from there on."""
    return _lines(section, settings, "", "", variant)


def _lines(section: Section, settings: Any, key: str, indent: str, variant: str = "") -> Iterator[Line]:
    for member in section.keys:
        if member.alias:
            continue
        dotted = join(key, member.name)
        value: Any = variant if member.selects else getattr(settings, member.attribute)
        shape = member.shape
        if isinstance(shape, Section):
            yield Line(text=f"{indent}{member.name}:")
            yield from _lines(shape, value, dotted, indent + "  ")
        elif isinstance(shape, SectionList) and not value:
            yield Line(text=f"{indent}# {member.name}:" if value is None else f"{indent}{member.name}: []")
        elif isinstance(shape, Maybe) and shape.must_have_value and value is None:
            yield Line(text=f"{indent}# {member.name}:", key=dotted, value="null")
        elif isinstance(shape, SectionList):
            yield Line(text=f"{indent}{member.name}:")
            yield from _items(shape, value, dotted, indent + "  ")
        else:
            text = written(shape, value)
            yield Line(text=f"{indent}{member.name}: {text}", key=dotted, value=text)


def _items(shape: SectionList, items: tuple[Any, ...], key: str, indent: str) -> Iterator[Line]:
    variants = [shape.variant_of(item) for item in items]
    names = [variant or str(getattr(item, shape.label)) for variant, item in zip(variants, items, strict=True)]
    for item, variant, label in zip(items, variants, labels(names), strict=True):
        lines = _lines(shape.variants[variant], item, f"{key}[{label}]", indent + "  ", variant)
        for number, line in enumerate(lines):
            text = f"{indent}- {line.text.lstrip()}" if number == 0 else line.text
            yield Line(text=text, key=line.key, value=line.value)


def written(shape: Shape, value: Any) -> str:
    """A value as YAML writes it; of a secret, only that there is one. TypeError for a section."""
    if isinstance(shape, ValueList):
        return f"[{', '.join(_quoted(shape.item.write(item), listed=True) for item in value)}]"
    if isinstance(shape, Section | SectionList):
        raise TypeError("a section has no text of its own")
    if shape.secret and value is not None:
        return f'"{MASK}"'
    return shape.write(value) if isinstance(shape, Flag) else _quoted(shape.write(value))


def _quoted(text: str | None, *, listed: bool = False) -> str:
    """A scalar as YAML reads it back: plain where that is safe, double-quoted where it is not."""
    if text is None:
        return "null"
    if _PLAIN.fullmatch(text) and text.casefold() not in _TRAPS and not (listed and ":" in text):
        return text
    dumped: str = yaml.safe_dump(text.replace("${", "$${"), default_style='"', width=10**9, allow_unicode=True)
    return dumped.rstrip("\n")
