"""The kinds of single values: how each is read from text, written back, and described to an editor.

A kind reads the text that the operator wrote, whether it came from a file, a `${VAR}` or the environment, so the same
rules hold everywhere. `parse` raises ValueError with a sentence that says what was expected and what was found.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from config.errors import nearest
from config.units import (
    DURATION_PATTERN,
    SIZE_PATTERN,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)

_MAX_SECRET_BYTES = 64 * 1024
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")


class Kind(Protocol):
    """How one written value becomes a setting, and back."""

    @property
    def expected(self) -> str:
        """What belongs here, in words: "a duration such as 250ms"."""

    @property
    def secret(self) -> bool:
        """Whether the value must never be shown."""

    def parse(self, text: str) -> Any:
        """The setting that was written; ValueError says what is wrong."""

    def write(self, value: Any) -> str | None:
        """The text that `parse` turns into `value`; None is YAML's null."""

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the written value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A whole number between two bounds, both included."""

    minimum: int
    maximum: int
    secret: bool = False

    @property
    def expected(self) -> str:
        return f"a whole number from {self.minimum} to {self.maximum}"

    def parse(self, text: str) -> int:
        if not _WHOLE.fullmatch(text) or not self.minimum <= int(text) <= self.maximum:
            raise ValueError(f"expected {self.expected}, found {text!r}")
        return int(text)

    def write(self, value: Any) -> str:
        return str(value)

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """A duration in seconds. `whole`: MQTT carries it in whole seconds, so the setting is an int."""

    minimum_s: float
    maximum_s: float
    example: str = "250ms, 30s or 1h"
    whole: bool = False
    secret: bool = False

    @property
    def expected(self) -> str:
        return f"a duration such as {self.example}"

    def parse(self, text: str) -> float | int:
        seconds = parse_duration(text)
        if not self.minimum_s <= seconds <= self.maximum_s:
            lowest, highest = format_duration(self.minimum_s), format_duration(self.maximum_s)
            raise ValueError(f"expected a duration from {lowest} to {highest}, found {text!r}")
        if not self.whole:
            return seconds
        if seconds != int(seconds):
            raise ValueError(f"expected whole seconds, because MQTT counts in seconds here, found {text!r}")
        return int(seconds)

    def write(self, value: Any) -> str:
        return format_duration(value)

    def schema(self) -> dict[str, Any]:
        return {
            "type": "string",
            "pattern": DURATION_PATTERN,
            "examples": self.example.replace(" or ", ", ").split(", "),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A size in bytes between two bounds, both included."""

    minimum_bytes: int
    maximum_bytes: int
    secret: bool = False

    @property
    def expected(self) -> str:
        return "a size such as 128KiB or 1GiB"

    def parse(self, text: str) -> int:
        size = parse_size(text)
        if not self.minimum_bytes <= size <= self.maximum_bytes:
            lowest, highest = format_size(self.minimum_bytes), format_size(self.maximum_bytes)
            raise ValueError(f"expected a size from {lowest} to {highest}, found {text!r}")
        return size

    def write(self, value: Any) -> str:
        return format_size(value)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": SIZE_PATTERN, "examples": ["128KiB", "1GiB"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of a few words; `words` maps each to its setting."""

    words: Mapping[str, Any]
    secret: bool = False

    @classmethod
    def of(cls, enumeration: type[enum.Enum]) -> Choice:
        """The members of an enumeration, written as their values."""
        return cls(words={member.value: member for member in enumeration})

    @property
    def expected(self) -> str:
        *first, last = self.words
        return f"{', '.join(first)} or {last}" if first else last

    def parse(self, text: str) -> Any:
        if text not in self.words:
            raise ValueError(f"expected {self.expected}, found {text!r}{nearest(text, self.words)}")
        return self.words[text]

    def write(self, value: Any) -> str:
        return next(word for word, setting in self.words.items() if setting == value)

    def schema(self) -> dict[str, Any]:
        return {"enum": [*(read for word in self.words if (read := _as_yaml(word)) is not None), *self.words]}


def _as_yaml(word: str) -> int | float | bool | None:
    """What YAML reads a plain word as, where that is not a text: `5`, `1.2`, `off`."""
    if word.isdecimal():
        return int(word)
    if word in {"off", "no", "false"}:
        return False
    try:
        return float(word)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """true or false."""

    expected: str = "true or false"
    secret: bool = False

    def parse(self, text: str) -> bool:
        if text not in {"true", "false"}:
            hint = {"yes": "; write true", "on": "; write true", "no": "; write false", "off": "; write false"}
            raise ValueError(f"expected true or false, found {text!r}{hint.get(text.casefold(), '')}")
        return text == "true"

    def write(self, value: Any) -> str:
        return "true" if value else "false"

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text that a rule accepts."""

    expected: str
    check: Callable[[str], None] | None = None
    pattern: str | None = None
    secret: bool = False

    def parse(self, text: str) -> str:
        if self.check is not None:
            self.check(text)
        return text

    def write(self, value: Any) -> str:
        return str(value)

    def schema(self) -> dict[str, Any]:
        if self.pattern is None:
            return {"type": "string"}
        return {"type": ["string", "integer"], "pattern": self.pattern}  # an id such as 42 is a text here


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePath:
    """A path. Relative ones are relative to the current directory. `must_exist`: it names a file that can be read."""

    must_exist: bool = False
    secret: bool = False

    @property
    def expected(self) -> str:
        return "the path of a file that exists" if self.must_exist else "a path"

    def parse(self, text: str) -> Path:
        if not text or "\0" in text:
            raise ValueError(f"expected {self.expected}, found {text!r}")
        path = Path(text).expanduser() if text.startswith("~/") else Path(text)
        if self.must_exist:
            try:
                if path.is_fifo():  # to open it could take for ever
                    raise ValueError(f"{text!r} is a FIFO, not a file; expected {self.expected}")
                with path.open("rb"):
                    pass
            except OSError as error:
                raise ValueError(f"the file {text!r} can't be read: {error.strerror}") from error
        return path

    def write(self, value: Any) -> str:
        path = str(value)
        return path if path.startswith(("/", "../")) or path == "." else f"./{path}"

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretFile:
    """The path of a file whose contents are the value; one trailing newline is taken off."""

    secret: bool = True

    @property
    def expected(self) -> str:
        return "the path of a file that holds the secret"

    def parse(self, text: str) -> str:
        path = FilePath(must_exist=True).parse(text)
        try:
            with path.open("rb") as file:
                content = file.read(_MAX_SECRET_BYTES + 1)
        except OSError as error:
            raise ValueError(f"the file {text!r} can't be read: {error.strerror}") from error
        if len(content) > _MAX_SECRET_BYTES:
            raise ValueError(
                f"the file {text!r} is too long for a secret: the limit is {format_size(_MAX_SECRET_BYTES)}"
            )
        try:
            secret = content.decode()
        except UnicodeDecodeError as error:
            raise ValueError(f"the file {text!r} is not UTF-8 text") from error
        secret = secret.removesuffix("\n").removesuffix("\r")
        if not secret:
            raise ValueError(f"the file {text!r} is empty; write the secret into it")
        return secret

    def write(self, value: Any) -> str:  # noqa: ARG002 - the contents are never written back
        return "********"

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Maybe:
    """A value that may be absent: None is written as `word`, or as null when there is no word for it.

    `must_have_value`: not even as null, where a slip would be taken for a wish; None is a key that was not written.
    """

    kind: Kind
    word: str | None = None
    must_have_value: bool = False

    @property
    def expected(self) -> str:
        return f"{self.word}, or {self.kind.expected}" if self.word else self.kind.expected

    @property
    def secret(self) -> bool:
        return self.kind.secret

    def parse(self, text: str) -> Any:
        if text == (self.word or "") and not self.must_have_value:
            return None
        if self.word and text.isalpha():
            raise ValueError(f"expected {self.expected}, found {text!r}{nearest(text, [self.word])}")
        return self.kind.parse(text)

    def write(self, value: Any) -> str | None:
        return self.word if value is None else self.kind.write(value)

    def schema(self) -> dict[str, Any]:
        if self.must_have_value:
            return self.kind.schema()
        return {"anyOf": [{"const": self.word} if self.word else {"type": "null"}, self.kind.schema()]}
