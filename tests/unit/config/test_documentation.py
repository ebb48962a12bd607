"""Every example of a configuration in the documentation is one that the gateway takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from gateway.access.acl_file import parse_acl
from tests.support.configuration import gateway_from

ROOT = Path(__file__).parents[3]


def _examples(language: str, having: str = "") -> list[ParameterSet]:
    return [
        pytest.param(text, id=f"{path.name}-{number}")
        for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
        for number, text in enumerate(
            re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
        )
        if re.search(having, text, re.MULTILINE)
    ]


EXAMPLES = _examples("yaml", r"^(listeners|access|spool|gateway):")
ACL_EXAMPLES = _examples("acl")


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 5
    assert len(ACL_EXAMPLES) > 1


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_is_taken(text: str, tmp_path: Path) -> None:
    def there(match: re.Match[str]) -> str:
        path = tmp_path / match[2]
        path.write_text("what is secret")
        return f"{match[1]}{path}"

    gateway_from(re.sub(r"""(_file: "?)(?:/etc/fieldgate/|\$\{CREDENTIALS_DIRECTORY\}/)?([a-z._-]+)""", there, text))


@pytest.mark.parametrize("text", ACL_EXAMPLES)
def test_an_acl_file_is_taken(text: str) -> None:
    parse_acl(text, Path("acl"))
