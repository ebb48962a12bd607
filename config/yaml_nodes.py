"""YAML text to nodes that remember where they were written.

PyYAML's composer gives marks and keeps duplicate keys visible; its constructor, which would lose both, is not used.
Values stay texts: what `1883` means is decided by the key that it stands under.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from config.errors import ConfigError, Place, Problem

MAX_NODES = 20_000
"""An alias may repeat what it names; this bounds what a small file can unfold to."""

MAX_DEPTH = 100
"""Brackets and braces within each other. PyYAML looks at all that are open for each that it meets, which takes seconds
for a text of nothing else; and no configuration has ten."""

_MERGE = "tag:yaml.org,2002:merge"
_NULL = "tag:yaml.org,2002:null"
_STANDARD = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong with a node, whatever it stands for; whoever reads the node knows its dotted key and reports it."""

    place: Place
    sentence: str
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """One written value. `null`: nothing was written, or `null`, or `~`."""

    text: str
    place: Place
    null: bool = False
    faults: tuple[Fault, ...] = ()

    def __str__(self) -> str:
        return "nothing" if self.null else repr(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A key of a mapping, where it stands, and what stands under it."""

    place: Place
    node: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingNode:
    """Keys and values, in the order they were written."""

    entries: Mapping[str, Entry]
    place: Place
    faults: tuple[Fault, ...] = ()

    def __str__(self) -> str:
        return "a mapping"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListNode:
    """A list."""

    items: tuple[Node, ...]
    place: Place
    faults: tuple[Fault, ...] = ()

    def __str__(self) -> str:
        return "a list"


Node = Scalar | MappingNode | ListNode


def compose(text: str, source: str, expand: Callable[[str], str]) -> Node | None:
    """The nodes of a YAML text, None when it holds nothing; ConfigError when it is not YAML."""
    try:
        root = yaml.compose(text, Loader=_BoundedLoader)
        return None if root is None else _Converter(source=source, expand=expand).convert(root, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(source=source) if mark is None else _place(source, mark)
        raise ConfigError([Problem.at(place, "", _syntax_sentence(error, text, place.line))]) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        sentence = f"this is not YAML: the character U+{ord(text[error.position]):04X} is not allowed; remove it"
        raise ConfigError([Problem.at(Place(source=source, line=line, column=column), "", sentence)]) from error
    except (RecursionError, _TooDeep) as error:
        place = _place(source, error.mark) if isinstance(error, _TooDeep) else Place(source=source)
        raise ConfigError([Problem.at(place, "", "this is no configuration: it is nested too deeply")]) from error
    except _Endless as error:
        raise ConfigError([Problem.at(_place(source, error.mark), "", str(error))]) from error


class _Endless(Exception):
    """Aliases unfold without end, or to more than any configuration needs."""

    def __init__(self, mark: yaml.Mark, sentence: str) -> None:
        super().__init__(sentence)
        self.mark = mark


class _TooDeep(Exception):
    """More brackets are open than any configuration needs."""

    def __init__(self, mark: yaml.Mark) -> None:
        super().__init__(mark)
        self.mark = mark


class _BoundedLoader(yaml.SafeLoader):
    """Gives up at MAX_DEPTH and at MAX_NODES, before it has read the rest."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._count = 0

    def fetch_flow_collection_start(self, token: type[yaml.Token]) -> None:
        if self.flow_level >= MAX_DEPTH:
            raise _TooDeep(self.get_mark())
        super().fetch_flow_collection_start(token)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._count += 1
        if self._count > MAX_NODES:
            raise _Endless(self.get_mark(), f"this file holds more than {MAX_NODES} values")
        return super().compose_node(parent, index)


@dataclass(slots=True, kw_only=True)
class _Converter:
    source: str
    expand: Callable[[str], str]
    count: int = 0

    def convert(self, node: yaml.Node, ancestors: tuple[yaml.Node, ...]) -> Node:
        self.count += 1
        if self.count > MAX_NODES:
            raise _Endless(node.start_mark, f"the aliases of this file unfold to more than {MAX_NODES} values")
        if any(node is ancestor for ancestor in ancestors):
            raise _Endless(node.start_mark, "an alias names a value that contains the alias itself")
        place = _place(self.source, node.start_mark)
        faults: list[Fault] = []
        if not node.tag.startswith(_STANDARD):
            faults.append(Fault(place=place, sentence=_tag_sentence(node)))
        below = (*ancestors, node)
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node, place, faults)
        if isinstance(node, yaml.SequenceNode):
            items = tuple(self.convert(item, below) for item in node.value)
            return ListNode(items=items, place=place, faults=tuple(faults))
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, place, below, faults)
        raise TypeError(f"PyYAML composed a node of an unknown type: {type(node).__name__}")

    def scalar(self, node: yaml.ScalarNode, place: Place, faults: list[Fault]) -> Scalar:
        text, null = str(node.value), node.tag == _NULL
        if "${" in text:
            try:
                text = self.expand(text)
            except ValueError as error:
                faults.append(Fault(place=place, sentence=str(error)))
            null = not text and node.style is None  # an empty variable writes nothing, unless it is quoted
        try:
            text.encode()
        except UnicodeEncodeError:
            faults.append(Fault(place=place, sentence="this holds characters that are not valid Unicode"))
        return Scalar(text=text, place=place, null=null, faults=tuple(faults))

    def mapping(
        self, node: yaml.MappingNode, place: Place, below: tuple[yaml.Node, ...], faults: list[Fault]
    ) -> MappingNode:
        entries: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        for key_node, value_node in node.value:
            key_place = _place(self.source, key_node.start_mark)
            if key_node.tag == _MERGE:
                for name, entry in self.merge(value_node, below, faults):
                    merged.setdefault(name, entry)
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                sentence = "a key must be one word; a value that begins with '{' or '[' must be quoted"
                faults.append(Fault(place=key_place, sentence=sentence))
                continue
            key = str(key_node.value)
            if key in entries:
                sentence = f"the key {key!r} stands here twice; the first is on line {entries[key].place.line}"
                faults.append(Fault(place=key_place, sentence=sentence, key=key))
                continue
            entries[key] = Entry(place=key_place, node=self.convert(value_node, below))
        return MappingNode(entries={**merged, **entries}, place=place, faults=tuple(faults))

    def merge(self, node: yaml.Node, below: tuple[yaml.Node, ...], faults: list[Fault]) -> list[tuple[str, Entry]]:
        """The keys that `<<` brings in from one mapping, or from a list of them of which the first wins."""
        converted = self.convert(node, below)
        found: list[tuple[str, Entry]] = []
        for source in converted.items if isinstance(converted, ListNode) else (converted,):
            if isinstance(source, MappingNode):
                found.extend(source.entries.items())
            else:
                faults.append(Fault(place=source.place, sentence=f"'<<' merges a mapping, found {source}"))
        return found


def _place(source: str, mark: yaml.Mark) -> Place:
    return Place(source=source, line=mark.line + 1, column=mark.column + 1)


def _tag_sentence(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode) and not node.value:  # what is not repeated may be a password
        return 'a text that begins with ! must be quoted: "!"'
    return f"the tag {node.tag} is not understood; write the value or ${{VAR}}"


def _syntax_sentence(error: yaml.MarkedYAMLError, text: str, line: int | None) -> str:
    said = error.problem or error.context or "the text can't be read"
    written = text.splitlines()[line - 1] if line is not None and line <= len(text.splitlines()) else ""
    hint = ""
    if "\\t" in said:
        hint = "; indent with spaces, not with tabs"
    elif "single document" in str(error.context):
        said, hint = "a second document begins here", "; keep everything in one, without '---'"
    elif "${" in written:
        hint = '; inside { } and [ ] a variable must be quoted: "${VAR}"'
    elif "'*'" in said or "alias" in said or "alias" in str(error.context):
        if "undefined alias" in said:
            said = "found an alias that names nothing"  # which one is not repeated: it may be a password
        hint = '; a text that begins with * must be quoted: "*"'
    return f"this is not YAML: {said}{hint}"
