"""Mosquitto's ACL file, read as Mosquitto 2.0 reads it.

    # a comment: the line begins with #
    topic [read|write|readwrite|deny] FILTER     above the first `user`: for anonymous clients; below one: for him
    user NAME
    pattern [read|write|readwrite|deny] FILTER   for everybody; %c is the client id, %u the user name

Words are separated by spaces; what follows the access word is the filter, spaces and all. Without an access word it is
readwrite. A user may stand in several places. Of those about one client, the entries of his `topic` lines are asked
first and then the patterns; in each of the two a `deny` that takes the topic wins, and who finds no entry is denied: an
empty file denies everything. `topic` lines put no names in.

A name with `+` or `#` in it is denied whatever patterns there are, as by Mosquitto; with `/` in it too, if a pattern
uses it (Mosquitto let that pass again since 2.0).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from config import topics
from config.errors import Problem, nearest
from config.settings import Action
from gateway.access.errors import AccessError, problem
from gateway.access.files import read_file
from gateway.access.filters import CLIENT_ID, USERNAME, Names, is_unsafe
from gateway.access.layer import Layer

MAX_FILE_BYTES: Final = 64 * 1024 * 1024

_READ = (Action.READ,)
_WRITE = (Action.PUBLISH,)
_BOTH = (Action.READ, Action.PUBLISH)
_ACCESS = {"read": _READ, "write": _WRITE, "readwrite": _BOTH, "deny": _BOTH}
_KEYWORDS = ("topic", "user", "pattern")
_BLANKS = " \t\r\v\f"


@dataclass(frozen=True, slots=True, kw_only=True)
class AclFile:
    """What the file says: `topics` by user name (None: anonymous clients), and the patterns for everybody."""

    topics: dict[str | None, Layer] = field(default_factory=dict)
    patterns: Layer | None = None
    uses_username: bool = False
    uses_client_id: bool = False

    def layers_for(self, names: Names) -> tuple[Layer, ...]:
        """What is asked for this client, in this order; the first that says yes or no decides."""
        layers = (self.topics.get(names.username), None if self.is_unsafe(names) else self.patterns)
        return tuple(layer for layer in layers if layer is not None)

    def is_unsafe(self, names: Names) -> bool:
        """Whether the patterns are no good for these names."""
        if self.patterns is None:
            return False
        both = names.client_id + (names.username or "")
        return (
            "+" in both
            or "#" in both
            or (self.uses_client_id and is_unsafe(names.client_id))
            or (self.uses_username and is_unsafe(names.username))
        )


def load_acl_file(path: Path) -> AclFile:
    """Read the file. Raises AccessError, which names every line that is wrong."""
    content, _ = read_file(path, key="acl_file", max_bytes=MAX_FILE_BYTES)
    if len(content) > MAX_FILE_BYTES:
        raise AccessError([problem(path, "is larger than 64 MiB. Write the name of an ACL file.")])
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise AccessError([problem(path, "this is not UTF-8 text; save it as UTF-8", line=line)]) from error
    return parse_acl(text, path)


def parse_acl(text: str, path: Path) -> AclFile:
    """The meaning of the file's text; `path` is for the sentences. Raises AccessError."""
    parser = _Parser(path)
    for number, line in enumerate(text.split("\n"), start=1):
        parser.read(number, line)
    if parser.problems:
        raise AccessError(parser.problems)
    return AclFile(
        topics=parser.topics,
        patterns=parser.patterns,
        uses_username=parser.uses_username,
        uses_client_id=parser.uses_client_id,
    )


class _Parser:
    def __init__(self, path: Path) -> None:
        self.problems: list[Problem] = []
        self.topics: dict[str | None, Layer] = {}
        self.patterns: Layer | None = None
        self.uses_username = False
        self.uses_client_id = False
        self._path = path
        self._user: str | None = None

    def read(self, number: int, line: str) -> None:
        line = line.rstrip(_BLANKS)
        if not line or line.startswith("#"):
            return
        keyword, _, rest = line.lstrip(" ").partition(" ")
        rest = rest.strip(_BLANKS)
        if keyword not in _KEYWORDS:
            self._report(number, _unknown(keyword, line))
        elif keyword == "user":
            if not rest:
                self._report(number, "the user has no name; write it behind the word user")
            self._user = rest
        else:
            self._entry(number, keyword, rest)

    def _entry(self, number: int, keyword: str, rest: str) -> None:
        word, separator, topic_filter = rest.partition(" ")
        topic_filter = topic_filter.strip(_BLANKS)
        if not separator:
            word, topic_filter = "readwrite", rest
        if word not in _ACCESS:
            hint = nearest(word, _ACCESS) or "; a filter with a space in it needs one of these words before it"
            self._report(number, f"expected read, write, readwrite or deny before the filter, found {word!r}{hint}")
            return
        try:
            if not topic_filter.isprintable():  # Mosquitto takes it, and it is never what was meant
                raise ValueError(f"the filter {topic_filter!r} has a tab or a control character in it; write a space")
            topics.check_topic_filter(topic_filter)
        except ValueError as error:
            self._report(number, str(error))
            return
        if keyword == "topic":
            layer = self.topics.setdefault(self._user, Layer(fills_in=False))
        else:
            layer = self.patterns = self.patterns or Layer(fills_in=True)
            self.uses_username |= USERNAME in topic_filter
            self.uses_client_id |= CLIENT_ID in topic_filter
        if word == "deny":
            layer.deny(topic_filter, _ACCESS[word])
        else:
            layer.allow(topic_filter, _ACCESS[word])

    def _report(self, number: int, sentence: str) -> None:
        self.problems.append(problem(self._path, sentence, line=number))


def _unknown(keyword: str, line: str) -> str:
    if keyword.startswith("#"):
        return "a comment must begin at the start of its line; remove the spaces before #"
    if "\t" in line:
        return "expected spaces between the words, found a tab; write topic, user or pattern, a space, and the rest"
    return f"expected a line that begins with topic, user, pattern or #, found {keyword!r}{nearest(keyword, _KEYWORDS)}"
