"""The reference says what the code says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.documents import ROOT


def maker() -> ModuleType:
    specification = importlib.util.spec_from_file_location("make_reference", ROOT / "docs" / "make_reference.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


FRESH: dict[str, str] = maker().pages()


@pytest.mark.parametrize("name", FRESH)
def test_a_page_is_as_the_code_makes_it(name: str) -> None:
    path: Path = ROOT / "docs" / "reference" / name
    assert path.read_text() == FRESH[name], f"{name} is out of date: run `make reference`."


def test_there_is_no_page_that_the_code_does_not_make() -> None:
    assert {path.name for path in (ROOT / "docs" / "reference").glob("*.md")} == set(FRESH)
