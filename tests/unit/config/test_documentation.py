"""Every example of a configuration in the documentation is one that the gateway takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.configuration import gateway_from

ROOT = Path(__file__).parents[3]
EXAMPLES = [
    pytest.param(text, id=f"{path.name}-{number}")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for number, text in enumerate(re.findall(r"^```yaml\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL))
    if re.search(r"^(listeners|access|spool|gateway):", text, re.MULTILINE)
]


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 5


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_is_taken(text: str, tmp_path: Path) -> None:
    def there(match: re.Match[str]) -> str:
        path = tmp_path / match[1]
        path.touch()
        return str(path)

    gateway_from(re.sub(r"/etc/fieldgate/([a-z.-]+)", there, text))
