"""The scenarios that come with the product."""

from __future__ import annotations

from pathlib import Path

from config.errors import Place, Problem, nearest
from simulators.scenarios.description import Scenario
from simulators.scenarios.reading import ScenarioError, read_scenario

READY_FOLDER = Path(__file__).parent / "ready"


def ready_names() -> tuple[str, ...]:
    """Their names, in alphabetical order."""
    return tuple(sorted(path.stem for path in READY_FOLDER.glob("*.yaml")))


def find_scenario(name_or_file: str) -> Scenario:
    """A ready-made scenario by its name, else the one of a file. Raises ScenarioError."""
    names = ready_names()
    if name_or_file in names:
        return read_scenario(READY_FOLDER / f"{name_or_file}.yaml")
    path = Path(name_or_file)
    if not path.exists() and path.suffix not in (".yaml", ".yml"):
        hint = nearest(name_or_file, names) or f"; there are {', '.join(names)}"
        sentence = f"there is no file and no ready-made scenario of this name{hint}"
        raise ScenarioError((Problem.at(Place(source=name_or_file), "", sentence),))
    return read_scenario(path)
