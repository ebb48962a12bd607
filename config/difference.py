"""What is different between two settings, by dotted key as `config.describe` names them. Pure.

Items of lists are matched by their names. What was added or taken out is one difference, told by the keys that are not
as they are by default; another order of the items that both have is one, too. Secrets are never shown: of one that is
another it is told that it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from config.describe import MASK, AnySettings, described, root_of, written
from config.reading import join, labels
from config.shapes import Key, Section, SectionList, ValueList

CHANGED_SECRET = f"{MASK} (changed)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One key, or one item of a list. `before` and `after` are as YAML writes them; None: it is not there."""

    key: str
    before: str | None
    after: str | None

    @property
    def is_added(self) -> bool:
        """Whether it is an item that was not there before."""
        return self.before is None

    @property
    def is_removed(self) -> bool:
        """Whether it is an item that is not there any more."""
        return self.after is None


def differences(before: AnySettings, after: AnySettings) -> list[Difference]:
    """Everything that is different, in the order of the keys. TypeError for settings of two programs."""
    if type(before) is not type(after):
        raise TypeError("settings of a gateway and of a receiver cannot be compared")
    return list(_section(root_of(before), before, after, ""))


def _section(shape: Section, before: Any, after: Any, key: str) -> Iterator[Difference]:
    for member in shape.keys:
        if member.alias or member.selects:
            continue
        dotted = join(key, member.name)
        one, other = getattr(before, member.attribute), getattr(after, member.attribute)
        if isinstance(member.shape, Section):
            yield from _section(member.shape, one, other, dotted)
        elif one == other:
            continue
        elif isinstance(member.shape, SectionList):
            yield from _items(member.shape, one, other, dotted)
        else:
            yield _value(member, one, other, dotted)


def _value(member: Key, before: Any, after: Any, key: str) -> Difference:
    shape = member.shape
    texts = written(shape, before), written(shape, after)
    is_secret = not isinstance(shape, Section | SectionList | ValueList) and shape.secret
    if is_secret and before is not None and after is not None:
        texts = texts[0], CHANGED_SECRET
    elif texts[0] == texts[1]:  # it differs in what is masked of it
        texts = texts[0], f"{texts[1]} (changed)"
    return Difference(key=key, before=texts[0], after=texts[1])


def _items(shape: SectionList, before: Any, after: Any, key: str) -> Iterator[Difference]:
    if before is None or after is None:
        # A list that was never written means another thing than one with nothing in it.
        yield Difference(key=key, before=_list(shape, before), after=_list(shape, after))
        return
    old, new = by_label(shape, before), by_label(shape, after)
    common = [label for label in old if label in new]
    if [label for label in new if label in old] != common:
        yield Difference(key=key, before=_names(old), after=_names(new))
    for label in [*old, *(label for label in new if label not in old)]:
        dotted = f"{key}[{label}]"
        if label not in new:
            yield Difference(key=dotted, before=_told(shape, old[label]), after=None)
        elif label not in old:
            yield Difference(key=dotted, before=None, after=_told(shape, new[label]))
        elif (variant := shape.variant_of(old[label])) != shape.variant_of(new[label]):
            yield Difference(key=dotted, before=_told(shape, old[label]), after=_told(shape, new[label]))
        else:
            yield from _section(shape.variants[variant], old[label], new[label], dotted)


def by_label(shape: SectionList, items: tuple[Any, ...]) -> dict[str, Any]:
    """The items by what they are called in dotted keys."""
    names = [shape.variant_of(item) or str(getattr(item, shape.label)) for item in items]
    return dict(zip(labels(names), items, strict=True))


def _names(items: dict[str, Any]) -> str:
    return f"[{', '.join(items)}]"


def _list(shape: SectionList, items: Any) -> str:
    return "null" if items is None else _names(by_label(shape, items))


def _told(shape: SectionList, item: Any) -> str:
    """An item by its name, and by the keys in which it is not as it is by default."""
    variant = shape.variant_of(item)
    section = shape.variants[variant]
    usual = {line.key: line.value for line in described(section, section.settings(), variant) if line.key}
    told = [
        f"{line.key}: {line.value}"
        for line in described(section, item, variant)
        if line.key and (line.key == shape.label or usual.get(line.key) != line.value)
    ]
    return f"{{{', '.join(told)}}}"
