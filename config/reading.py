"""Nodes and overrides to settings, driven by the description. All problems are gathered; none stops the reading.

A value that can't be used is reported and its default stands in for it, so that one mistake hides no other.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from config.description import homes
from config.errors import DEFAULT, ConfigError, Place, Problem, nearest
from config.kinds import Kind, Maybe
from config.overrides import Override, fold
from config.shapes import Section, SectionList, Shape, ValueList
from config.yaml_nodes import Entry, ListNode, MappingNode, Node, Scalar, compose


def join(key: str, name: str) -> str:
    """The dotted key of `name` below `key`."""
    return f"{key}.{name}" if key and name else key or name


def labels(names: Sequence[str]) -> list[str]:
    """How the items of a list are called in dotted keys: by name where it is unique, else by number from 0."""
    count = Counter(names)
    return [name if name and count[name] == 1 else str(number) for number, name in enumerate(names)]


class Reader:
    """Reads one program's settings.

    Meanwhile it fills `problems`, and by dotted key `places` (where a key was written), `origins` (what a page shows of
    it) and `labels` (how the items of a list are called).
    """

    def __init__(self, file: Place, problems: list[Problem], *, homes_of: Callable[[str], list[str]] = homes) -> None:
        """`homes_of`: where a key belongs that was written in the wrong place."""
        self.problems = problems
        self._homes_of = homes_of
        self.places: dict[str, Place] = {}
        self.origins: dict[str, str] = {}
        self.labels: dict[str, list[str]] = {}
        self._file = file

    def report(self, place: Place, key: str, sentence: str) -> None:
        """Note a problem and go on."""
        self.problems.append(Problem.at(place, key, sentence))

    def section(self, shape: Section, node: Node | None, override: Override | None, default: Any, key: str) -> Any:
        """The settings of one mapping; what it leaves out is taken from `default`."""
        node = self._from_environment(node, override, key)
        entries = self._entries(shape, node, key)
        self._refuse_unknown_overrides(override, shape.by_name, key)
        given: dict[str, Any] = {}
        filled: dict[str, str] = {}
        for member in shape.keys:
            entry, dotted = entries.get(member.name), join(key, member.name)
            below = None if override is None else override.child(member.name)
            if member.alias and entry is None and below is None:
                continue
            if entry is not None:
                self.places[dotted] = entry.place
            standing = None if member.selects else getattr(default, member.attribute)
            value = self._value(member.shape, None if entry is None else entry.node, below, standing, dotted)
            if member.selects or self.origins.get(dotted) == DEFAULT or (member.alias and value is None):
                continue
            if member.alias and not self._prevails(dotted, filled.get(member.attribute)):
                del self.origins[dotted]
                continue
            given[member.attribute] = value
            filled[member.attribute] = dotted
            if member.alias:
                shown = next(other.name for other in shape.keys if other.attribute == member.attribute)
                self.origins[join(key, shown)] = f"{member.name}, {self.origins.pop(dotted)}"
        return dataclasses.replace(default, **given)

    def _prevails(self, alias: str, other: str | None) -> bool:
        """Whether an alias fills the attribute that `other` may have filled: the environment beats the file."""
        if other is None:
            return True
        here, there = self._place(alias), self._place(other)
        if here.in_environment == there.in_environment:
            name = other.rpartition(".")[2]
            self.report(here, alias, f"{name} is given too; keep one of them")
        return here.in_environment

    def _value(self, shape: Shape, node: Node | None, override: Override | None, default: Any, key: str) -> Any:
        if isinstance(shape, Section):
            return self.section(shape, node, override, default, key)
        if isinstance(shape, SectionList):
            return self._sections(shape, node, override, default, key)
        self._refuse_unknown_overrides(override, (), key)
        if isinstance(shape, ValueList):
            return self._values(shape, self._from_environment(node, override, key, plain_list=True), default, key)
        if override is not None and override.variable is not None:
            node = Scalar(text=override.text, place=override.place)
        return self._scalar(shape, node, default, key)

    def _scalar(self, kind: Kind, node: Node | None, default: Any, key: str) -> Any:
        if not self._usable(node, key):
            return default
        if not isinstance(node, Scalar):
            self.report(self._place(key, node), key, f"expected {kind.expected}, found {node}")
            return default
        if node.null:
            if isinstance(kind, Maybe) and not kind.must_have_value:
                return None
            self.report(
                node.place, key, f"this key has no value; expected {kind.expected} (quote it, if it begins with #)"
            )
            return default
        try:
            node.text.encode()
            return kind.parse(node.text)
        except UnicodeEncodeError:
            self.report(node.place, key, f"expected {kind.expected}, found characters that are not valid Unicode")
        except ValueError as error:
            self.report(node.place, key, str(error))
        return default

    def _values(self, shape: ValueList, node: Node | None, default: Any, key: str) -> Any:
        if not self._usable(node, key):
            return default
        if not isinstance(node, ListNode):
            hint = " (a # outside quotes begins a comment)" if isinstance(node, Scalar) and node.null else ""
            self.report(self._place(key, node), key, f"expected a list such as {shape.example}, found {node}{hint}")
            return default
        if not node.items and not shape.may_be_empty:
            self.report(self._place(key, node), key, f"expected at least one value, as in {shape.example}")
        values: list[Any] = []
        for number, item in enumerate(node.items):
            before, dotted = len(self.problems), f"{key}[{number}]"
            value = self._scalar(shape.item, item, None, dotted)
            del self.origins[dotted]
            if len(self.problems) == before and value in values:
                self.report(item.place, dotted, f"{value!r} stands in this list twice; remove one")
            values.append(value)
        return tuple(values)

    def _sections(
        self,
        shape: SectionList,
        node: Node | None,
        override: Override | None,
        default: tuple[Any, ...] | None,
        key: str,
    ) -> tuple[Any, ...] | None:
        node = self._from_environment(node, override, key)
        items: list[tuple[Node | None, Any]] = [(None, item) for item in default or ()]
        if isinstance(node, ListNode):
            items = [(item, None) for item in node.items]
            self._faultless(node, key)
            if not items and not shape.may_be_empty:
                self.report(self._place(key, node), key, f"expected at least one {shape.noun}, found an empty list")
        elif node is not None and not (isinstance(node, Scalar) and node.null):
            sentence = f"expected a list, in which each {shape.noun} begins with '- {shape.label}:', found {node}"
            self.report(self._place(key, node), key, sentence)
        names = [_label_text(shape, item, standing) for item, standing in items]
        overrides = self._item_overrides(shape, override, names, key)
        effective = [
            (None if below is None else below.text_of(shape.label)) or name
            for below, name in zip(overrides, names, strict=True)
        ]
        self.labels[key] = labels(effective)
        settings = [
            self._item(shape, item, below, standing, name, f"{key}[{label}]")
            for (item, standing), below, name, label in zip(items, overrides, effective, self.labels[key], strict=True)
        ]
        if node is None and default is None:
            return None
        return tuple(item for item in settings if item is not None)

    def _item(
        self, shape: SectionList, node: Node | None, override: Override | None, standing: Any, name: str, key: str
    ) -> Any:
        if node is not None:
            self.places[key] = node.place
        if shape.only is None and name not in shape.variants:
            if node is not None and not isinstance(node, MappingNode):
                self.report(node.place, key, f"expected a mapping that begins with '{shape.label}:', found {node}")
                return None
            place = self._place(key)
            if isinstance(node, MappingNode) and shape.label in node.entries:
                place = node.entries[shape.label].node.place
            found = f"found {name!r}{nearest(name, shape.variants)}" if name else "found nothing"
            self.report(place, join(key, shape.label), f"expected one of {', '.join(shape.variants)}, {found}")
            return None
        section = shape.only or shape.variants[name]
        if type(standing) is not section.settings:
            standing = section.settings()
        return self.section(section, node, override, standing, key)

    def _item_overrides(
        self, shape: SectionList, override: Override | None, names: Sequence[str], key: str
    ) -> list[Override | None]:
        called = labels(names)
        if override is None:
            return [None] * len(called)
        for word, count in Counter(fold(label) for label in called).items():
            if count > 1 and word in override.children:
                for leaf in override.children[word].leaves():
                    sentence = f"this could mean any of {count} items; use the number of the {shape.noun}, from 0"
                    self.report(leaf.place, key, sentence)
        known = [*called, *(str(number) for number in range(len(called)))]
        self._refuse_unknown_overrides(override, known, key, noun=shape.noun, shown=called)
        return [override.item(called, number) for number in range(len(called))]

    def _entries(self, shape: Section, node: Node | None, key: str) -> dict[str, Entry]:
        if node is None or (isinstance(node, Scalar) and node.null and not node.faults):
            return {}
        if not isinstance(node, MappingNode):
            if self._faultless(node, key):
                sentence = f"expected a mapping with the keys {', '.join(shape.by_name)}, found {node}"
                self.report(self._place(key, node), key, sentence)
            return {}
        self._faultless(node, key)
        for name, entry in node.entries.items():
            if name not in shape.by_name:
                self.report(entry.place, join(key, name), self._unknown(name, shape.by_name))
        return dict(node.entries)

    def _refuse_unknown_overrides(
        self,
        override: Override | None,
        known: Iterable[str],
        key: str,
        *,
        noun: str = "key",
        shown: Sequence[str] | None = None,
    ) -> None:
        folded = {fold(name): name for name in known}
        for word, child in (override.children if override is not None else {}).items():
            if word in folded:
                continue
            for leaf in child.leaves():
                dotted = join(key, word) if noun == "key" else f"{key}[{word}]"
                if noun == "key":
                    sentence = self._unknown(word, folded.values()) if folded else "this key has no keys below it"
                else:
                    choice = nearest(word, shown or ()) or f"; expected one of {', '.join(shown or ())}"
                    sentence = f"there is no {noun} {word!r}{choice}"
                self.report(leaf.place, dotted, sentence)

    def _from_environment(
        self, node: Node | None, override: Override | None, key: str, *, plain_list: bool = False
    ) -> Node | None:
        """The node, or the one that a variable puts in its place: YAML, or values with commas between them."""
        if override is None or override.variable is None:
            return node
        text, place = override.text, override.place
        self.places[key] = place
        if plain_list and not text.lstrip().startswith("["):
            parts = [part.strip() for part in text.split(",")] if text.strip() else []
            return ListNode(items=tuple(Scalar(text=part, place=place) for part in parts), place=place)
        try:
            return compose(text, place.source, str) or Scalar(text="", place=place, null=True)
        except ConfigError as error:
            self.problems.extend(dataclasses.replace(problem, key=key) for problem in error.problems)
            return None

    def _usable(self, node: Node | None, key: str) -> bool:
        """Whether there is a node without faults; notes where the value comes from."""
        if node is None:
            self.origins[key] = DEFAULT
            return False
        self.origins[key] = str(node.place)
        if node.place.in_environment:
            self.places[key] = node.place
        return self._faultless(node, key)

    def _faultless(self, node: Node, key: str) -> bool:
        for fault in node.faults:
            self.report(fault.place, join(key, fault.key), fault.sentence)
        return not node.faults

    def _place(self, key: str, node: Node | None = None) -> Place:
        return self.places.get(key) or (self._file if node is None else node.place)

    def _unknown(self, name: str, known: Iterable[str]) -> str:
        known = list(known)
        belongs = self._homes_of(name)
        hint = nearest(name, known, 0.75 if belongs else 0.6)  # a name that is right elsewhere is seldom a slip
        if not hint:
            hint = f"; it belongs in {' or '.join(belongs)}" if belongs else f"; the keys here are {', '.join(known)}"
        return f"there is no key {name!r} here{hint}"


def _label_text(shape: SectionList, node: Node | None, standing: Any) -> str:
    """What tells this item of a list from the others: its written label, or the one it has by default."""
    if standing is not None:
        return shape.variant_of(standing) or str(getattr(standing, shape.label))
    if not isinstance(node, MappingNode | None) and not (isinstance(node, Scalar) and node.null):
        return ""
    entry = node.entries.get(shape.label) if isinstance(node, MappingNode) else None
    if entry is not None:
        return entry.node.text if isinstance(entry.node, Scalar) and not entry.node.null else ""
    return str(getattr(shape.only.settings(), shape.label)) if shape.only is not None else ""
