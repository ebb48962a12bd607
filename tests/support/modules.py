"""What the dashboard's own modules answer, asked through node, where nothing of a browser is needed.

    answers = asked(tmp_path, "format.js", [("count", [12480]), ("duration", [NOT_A_NUMBER])])

An answer is `{"value": …}`, or `{"threw": "…"}`. JSON has no words for some values: NOT_A_NUMBER, INFINITE, MISSING.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bridge.web.pages import STATIC_FOLDER

NOT_A_NUMBER = {"$": "NaN"}
INFINITE = {"$": "Infinity"}
MISSING = {"$": "undefined"}

_ASK = """
const { file, calls } = JSON.parse(await new Promise((resolve) => {
    let text = "";
    process.stdin.on("data", (part) => { text += part; }).on("end", () => resolve(text));
}));
const values = { NaN: Number.NaN, Infinity: Number.POSITIVE_INFINITY, undefined };
const meant = (one) => (one !== null && typeof one === "object" && "$" in one ? values[one.$] : one);
const module = await import(file);
const plain = (value) => (value instanceof Map ? [...value] : value);
console.log(JSON.stringify(calls.map(([name, args]) => {
    try {
        return { value: plain(module[name](...args.map(meant))) };
    } catch (error) {
        return { threw: String(error) };
    }
})));
"""


def asked(folder: Path, module: str, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[dict[str, Any]]:
    """The answers to all calls; `folder` is empty. Skips the test where there is no node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    shutil.copytree(STATIC_FOLDER / "js", folder / "js")
    shutil.copytree(STATIC_FOLDER / "vendor", folder / "vendor")
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "ask.js").write_text(_ASK)
    question = json.dumps({"file": f"./js/{module}", "calls": calls})
    done = subprocess.run(
        [node, "ask.js"],
        cwd=folder,
        env={"TZ": "UTC"},
        input=question,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers
