"""Settings from the environment: `FIELDGATE__UPLINKS__CLOUD__URL=mqtts://…` overrides `uplinks[cloud].url`.

The words between double underscores are the keys on the way down; upper and lower case mean the same, and `_` may
stand for the `-` of a name. The gateway and the receiver may share an environment: what begins with a section that
only the other one has is left to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from config.errors import Place, Problem, nearest

PREFIX = "FIELDGATE__"


@dataclass(slots=True, kw_only=True)
class Override:
    """What the environment says about one key and about the keys below it."""

    variable: str | None = None
    text: str = ""
    children: dict[str, Override] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        """The variable, as the place where the value was written."""
        return Place.variable(self.variable or PREFIX)

    def child(self, name: str) -> Override | None:
        """What is said about the key `name`."""
        return self.children.get(fold(name))

    def item(self, labels: Sequence[str], number: int) -> Override | None:
        """What is said about an item of a list, by its name or by its number from 0, unless that is another's name."""
        by_name = self.child(labels[number])
        by_number = None if str(number) in labels else self.children.get(str(number))
        if by_name is None or by_number is None:
            return by_name or by_number
        children = {**by_number.children, **by_name.children}
        return Override(variable=by_name.variable, text=by_name.text, children=children)

    def text_of(self, name: str) -> str | None:
        """The value that a variable gives to the key `name`, if one does."""
        child = self.child(name)
        return child.text if child is not None and child.variable is not None else None

    def leaves(self) -> Iterator[Override]:
        """All variables at and below this key."""
        if self.variable is not None:
            yield self
        for child in self.children.values():
            yield from child.leaves()


def fold(name: str) -> str:
    """The form in which names are compared: `Plant-2` is the same as `PLANT_2`."""
    return name.casefold().replace("-", "_")


def gather(
    environ: Mapping[str, str], *, own: Iterable[str], other: Iterable[str], problems: list[Problem]
) -> Override:
    """The overrides for the sections named in `own`; a first word in neither `own` nor `other` is a problem."""
    own, other = set(own), set(other)
    root = Override()
    for variable in sorted(environ):
        if not variable.upper().startswith(PREFIX):
            continue
        words = fold(variable[len(PREFIX) :]).split("__")
        place = Place.variable(variable)
        if not all(words):
            problems.append(Problem.at(place, "", "expected words between double underscores: FIELDGATE__API__BIND"))
        elif words[0] in own:
            _place(root, words, variable, environ[variable], problems)
        elif words[0] not in other:
            sections = sorted(own | other)
            hint = nearest(words[0], sections) or f"; expected one of {', '.join(sections)}"
            problems.append(Problem.at(place, words[0], f"there is no section {words[0]!r}{hint}"))
    return root


def _place(root: Override, words: list[str], variable: str, text: str, problems: list[Problem]) -> None:
    at = root
    for word in words:
        at = at.children.setdefault(word, Override())
    if at.variable is not None:
        sentence = f"this sets the same key as the environment variable {at.variable}; remove one of them"
        problems.append(Problem.at(Place.variable(variable), ".".join(words), sentence))
        return
    at.variable, at.text = variable, text
