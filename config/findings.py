"""What the checks between keys need: which keys were read without a problem, where they stand, where to report."""

from __future__ import annotations

from config.errors import DEFAULT, Place
from config.reading import Reader


class Findings:
    """Adds problems to those of the reader that read the settings."""

    def __init__(self, reader: Reader, file: Place) -> None:
        self._reader = reader
        self._file = file

    def labels(self, group: str) -> list[str]:
        """How the items of a list are called in dotted keys."""
        return self._reader.labels[group]

    def is_written(self, key: str) -> bool:
        """Whether the file or the environment gives the value (of a key that has no keys below it)."""
        return self._reader.origins.get(key, DEFAULT) != DEFAULT

    def is_placed(self, key: str) -> bool:
        """Whether the key itself stands somewhere."""
        return key in self._reader.places

    def sound(self, *keys: str) -> bool:
        """Whether nothing at, above or below any of the keys had a problem."""
        return not any(
            problem.key == key or _is_below(problem.key, key) or _is_below(key, problem.key)
            for problem in self._reader.problems
            for key in keys
        )

    def place(self, key: str) -> Place:
        """Where the key was written, or the nearest key above it that was."""
        while key:
            if key in self._reader.places:
                return self._reader.places[key]
            key = key[: max(key.rfind("."), key.rfind("["), 0)]
        return self._file

    def report(self, key: str, sentence: str) -> None:
        """Note a problem and go on."""
        self._reader.report(self.place(key), key, sentence)


def _is_below(key: str, above: str) -> bool:
    return bool(above) and key.startswith((f"{above}.", f"{above}["))
