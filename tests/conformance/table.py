"""The table of docs/conformance.md, made from the statements and from the marks of the tests.

    python -m tests.conformance.table          writes the file anew
    python -m tests.conformance.table --check  says what is not as it should be

A test names what it proves: `@pytest.mark.mqtt5("3.1.0-1", ...)`. The marks are read from the source, so that nothing
has to run for it.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from tests.conformance.statements import CLIENT, SERVER, UNUSED

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "conformance.md"
TESTS = ROOT / "tests"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
MOST = 3
"""So many tests are named for a statement; further ones are counted."""


def proofs(folder: Path = TESTS) -> dict[str, list[str]]:
    """Statement to the tests that name it, as `file::test`."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("test_*.py")):
        text = path.read_text()
        if "mark.mqtt5(" not in text:
            continue
        name = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for mark in node.decorator_list:
                    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.mqtt5":
                        for item in mark.args:
                            found.setdefault(f"MQTT-{ast.literal_eval(item)}", []).append(f"{name}::{node.name}")
    return found


def problems() -> list[str]:
    """What is wrong with the marks; a sentence each."""
    found = proofs()
    said = [f"No test names {each}, which a server has to keep." for each in SERVER if each not in found]
    said += [
        f"{tests[0]} names {each}, which is no statement for a server."
        for each, tests in found.items()
        if each not in SERVER
    ]
    return said


def table() -> str:
    """The part of the page between the two comments."""
    found = proofs()
    lines = ["| statement | in short | proved by |", "| --- | --- | --- |"]
    for each, words in SERVER.items():
        tests = found.get(each, [])
        named = "<br>".join(f"`{test.removeprefix('tests/conformance/')}`" for test in tests[:MOST])
        if len(tests) > MOST:
            named += f"<br>and {len(tests) - MOST} more"
        lines.append(f"| {each} | {words} | {named} |")
    lines += ["", "## Statements that this server has no occasion for", "", "| statement | why |", "| --- | --- |"]
    lines += [f"| {each} | {words} |" for each, words in UNUSED.items()]
    lines += ["", "## Statements that only a client can keep", "", "| statement | in short |", "| --- | --- |"]
    lines += [f"| {each} | {words} |" for each, words in CLIENT.items()]
    return "\n".join(lines)


def page() -> str:
    """The whole page, with the table of now."""
    text = PAGE.read_text()
    head, _, rest = text.partition(BEGIN)
    return f"{head}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


def main() -> int:
    """Write or check the page."""
    said = problems()
    if "--check" not in sys.argv:
        PAGE.write_text(page())
    elif PAGE.read_text() != page():
        said.append(f"{PAGE.name} is not of today: run python -m tests.conformance.table.")
    for sentence in said:
        print(sentence)
    return bool(said)


if __name__ == "__main__":
    sys.exit(main())
