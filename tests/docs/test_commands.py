"""Every command that a document shows is there, with the options that it is shown with."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from gateway.cli.program import app
from tests.support.documents import blocks, pages


def shown_commands() -> Iterator[tuple[str, list[str]]]:
    """Each call of fieldgate in a block for the shell, as words, and where it is."""
    for page in pages():
        for block in blocks(page):
            if block.language not in {"sh", "console", "bash"}:
                continue
            text = block.text.replace("\\\n", " ")
            for line in text.splitlines():
                for part in re.split(r"&&|\|\||[|;&]", line.split(" #")[0]):
                    try:
                        words = shlex.split(part)
                    except ValueError:
                        continue
                    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                        words.pop(0)
                    if words[:1] == ["fieldgate"]:
                        yield block.place, words[1:]


SHOWN = list(shown_commands())


def test_commands_are_shown() -> None:
    assert len(SHOWN) > 10


@pytest.mark.parametrize(("place", "words"), SHOWN, ids=[f"{place} {' '.join(words)[:40]}" for place, words in SHOWN])
def test_a_command_that_is_shown_exists_with_the_options_that_are_shown(place: str, words: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    names = []
    while words and hasattr(command, "get_command") and not words[0].startswith("-"):
        below = command.get_command(command.make_context("fieldgate", [], resilient_parsing=True), words[0])
        assert below is not None, f"{place}: there is no command {words[0]!r} in fieldgate {' '.join(names)}"
        command, names, words = below, [*names, words[0]], words[1:]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    known |= {"-h", "--help"}
    for word in words:
        if word == "--":
            break
        if re.fullmatch(r"-[a-zA-Z]|--[a-z][a-z-]*(=.*)?", word):
            option = word.split("=")[0]
            assert option in known, f"{place}: fieldgate {' '.join(names)} has no option {option}"
