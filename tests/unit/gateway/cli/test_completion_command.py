"""`fieldgate completion`: what the Tab key does."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.program import app

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_each_shell(shell: str) -> None:
    result = CliRunner().invoke(app, ["completion", shell])
    assert result.exit_code == 0
    assert f"_FIELDGATE_COMPLETE=complete_{shell}" in result.stdout
    assert result.stderr == ""


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["st"], {"status"}),
        (["simulate", "dev"], {"devices"}),
        (["completion", ""], {"bash", "zsh", "fish"}),
        (["pub", "--ret"], {"--retain"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bash_completes_commands_options_and_values(words: list[str], found: set[str], tmp_path: Path) -> None:
    program = tmp_path / "fieldgate"
    program.write_text(f'#!/bin/sh\ncd {ROOT}\nexec {sys.executable} -m gateway "$@"\n')
    program.chmod(0o755)
    script = CliRunner().invoke(app, ["completion", "bash"]).stdout
    typed = " ".join(f"'{word}'" for word in ["fieldgate", *words])
    function = '"$(complete -p fieldgate | sed "s/.*-F \\([^ ]*\\).*/\\1/")"'
    press_tab = f"COMP_WORDS=({typed}); COMP_CWORD={len(words)}; {function} fieldgate"
    done = subprocess.run(
        ["bash", "-c", f'{script}\n{press_tab}; printf "%s\\n" "${{COMPREPLY[@]}}"'],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == found
