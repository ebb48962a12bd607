"""The OpenAPI documents that stand among the documents."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import orjson
import pytest

DOCS = Path(__file__).parents[4] / "docs"


@pytest.fixture
def maker() -> Any:
    spec = importlib.util.spec_from_file_location("make_openapi", DOCS / "make_openapi.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_the_committed_documents_are_what_the_programs_serve(maker: Any) -> None:
    for name, content in (await maker.descriptions()).items():
        assert (DOCS / name).read_bytes() == content, f"docs/{name} is not current: run `make openapi`."


def test_every_operation_has_a_summary_a_tag_and_says_what_it_answers() -> None:
    document = orjson.loads((DOCS / "openapi.json").read_bytes())
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            assert operation["tags"], (method, path)
            good = [status for status in operation["responses"] if status.startswith("2")]
            assert len(good) == 1, (method, path)
            if good != ["204"]:
                assert operation["responses"][good[0]]["content"], (method, path)
