"""The comments with which a page asks to be typed are understood, or refused: none is passed over in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.documents import blocks


def page(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "page.md"
    path.write_text(text)
    return path


def test_a_comment_says_who_types_the_next_block_and_what_he_sees(tmp_path: Path) -> None:
    text = """
<!-- file: box gateway.yaml -->
```yaml
api: {}
```

- In a list:

  <!-- run: box, types "a: b", types "", shows "=> 1", shows "two", ends with 78, in a-folder -->
  ```sh
  fieldgate passwd
  ```

<!-- stop: box "fieldgate run" -->
<!-- given: box, stays until "ready"
one
-->
<!-- run: box, soon shows "x" -->
```sh
look
```

<!-- not run: nobody can -->
```sh
leap
```
"""
    file, asked, stop, given, again, never = blocks(page(tmp_path, text))
    assert (file.kind, file.walk, file.file, file.text) == ("file", "box", "gateway.yaml", "api: {}\n")
    assert (asked.types, asked.shows, asked.code, asked.folder) == (("a: b", ""), ("=> 1", "two"), 78, "a-folder")
    assert (asked.text, asked.looks_again, asked.stays_until) == ("fieldgate passwd\n", False, None)
    assert (stop.kind, stop.text) == ("stop", "fieldgate run")
    assert (given.kind, given.stays_until, given.text.strip()) == ("given", "ready", "one")
    assert (again.looks_again, again.shows) == (True, ("x",))
    assert (never.walk, never.not_run) == (None, "nobody can")


@pytest.mark.parametrize(
    "text",
    [
        '<!-- run: box, show "x" -->\n```sh\nls\n```\n',
        "<!-- run: box file.yaml -->\n```sh\nls\n```\n",
        "<!-- file: box -->\n```yaml\na: 1\n```\n",
        "<!-- stop: box -->\n",
        "<!-- run: box -->\n\nA sentence between them.\n\n```sh\nls\n```\n",
        "<!-- not run: why -->\n",
    ],
)
def test_a_comment_that_nobody_understands_or_that_has_no_block_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nobody knows|names no file|no block follows"):
        list(blocks(page(tmp_path, text)))
