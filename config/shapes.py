"""The shapes of which a configuration is described: keys, sections, lists of sections, lists of values.

Defaults are not part of a description: they are those of the dataclasses in `config.settings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from config.kinds import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key: the attribute of the settings that it fills (its own name, if not given), its shape, its meaning.

    `alias`: another key fills the same attribute, and is the one to be shown. `selects`: the key says which variant
    of a section this is, and fills nothing.
    """

    name: str
    shape: Shape
    doc: str
    attribute: str = ""
    alias: bool = False
    selects: bool = False

    def __post_init__(self) -> None:
        if not self.attribute:
            object.__setattr__(self, "attribute", self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A mapping of keys that becomes one settings object."""

    settings: type[Any]
    keys: tuple[Key, ...]
    by_name: Mapping[str, Key] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {key.name: key for key in self.keys})


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionList:
    """A list of mappings. The key `label` tells them apart; it may also decide which of `variants` one is.

    Where its default is None, a list that was not written is None, and one that is empty is not.
    """

    noun: str
    label: str
    variants: Mapping[str, Section]
    may_be_empty: bool = False

    @property
    def only(self) -> Section | None:
        """The one section of a list whose items are all alike."""
        return self.variants.get("")

    def variant_of(self, settings: object) -> str:
        """The name of the variant that a settings object belongs to."""
        return next(name for name, section in self.variants.items() if section.settings is type(settings))


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueList:
    """A list of values of one kind: none of them twice, and not empty, unless that has a meaning."""

    item: Kind
    example: str
    may_be_empty: bool = False


Shape = Kind | Section | SectionList | ValueList
