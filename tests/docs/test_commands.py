"""What the documents tell a reader to type is typed: in a folder and a network of its own, the usual ports free."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from gateway.cli.program import app
from tests.support.documents import ROOT, Block, blocks, pages

TIMEOUT_S = 120
WALKS = sorted({(block.page, block.walk) for page in pages() for block in blocks(page) if block.walk is not None})


WHO = [] if os.geteuid() == 0 else ["--map-current-user", "--keep-caps"]
ISOLATE = ["unshare", *WHO, "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]


def _can_isolate() -> bool:
    try:
        return subprocess.run([*ISOLATE, "ip", "link", "set", "lo", "up"], check=False).returncode == 0
    except OSError:
        return False


class Shell:
    """A network and processes of its own, for as long as the walk takes; blocks are run in it with bash."""

    def __init__(self, folder: Path) -> None:
        programs = folder / ".bin"
        programs.mkdir()
        (programs / "python").symlink_to(sys.executable)
        fieldgate = programs / "fieldgate"  # as an installed script is: a process of its own name
        fieldgate.write_text(f"#!{sys.executable}\nfrom gateway.cli import main\n\nmain()\n")
        fieldgate.chmod(0o755)
        self._folder = folder
        self._environment = {
            "PATH": f"{programs}:{os.environ['PATH']}:/usr/sbin",
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "COLUMNS": "120",
        }
        script = "ip link set lo up && echo up && exec sleep infinity"
        self._holder = subprocess.Popen([*ISOLATE, "sh", "-c", script], stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "up\n"
        number = self._holder.pid
        self._inside = Path(f"/proc/{number}/task/{number}/children").read_text().strip()
        self._background: list[subprocess.Popen[str]] = []
        self.said: list[str] = []

    def _start(self, script: str) -> subprocess.Popen[str]:
        enter = ["nsenter", f"--target={self._inside}", "--net", "--pid", "--mount"]
        if WHO:
            enter += ["--user", "--preserve-credentials"]
        return subprocess.Popen(
            [*enter, f"--wd={self._folder}", "bash", "-euo", "pipefail", "-c", script],
            env=self._environment, start_new_session=True, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, block: Block) -> None:
        """Run a block to its end."""
        process = self._start(block.text)
        try:
            output, _ = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            raise AssertionError(f"{block.place} did not end:\n{output}") from None
        self.said.append(output)
        assert process.returncode == 0, f"{block.place} ended with {process.returncode}:\n{output}"
        if block.expected is not None:
            assert block.expected in output, f"{block.place} does not show {block.expected!r}:\n{output}"

    def leave(self, block: Block) -> None:
        """Start a block and return when it said what it was to say; it stays."""
        process = self._start(block.text)
        self._background.append(process)
        ready, lines = threading.Event(), []

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line)
                if block.expected is not None and block.expected in line:
                    ready.set()
            ready.set()

        threading.Thread(target=read, daemon=True).start()
        assert ready.wait(TIMEOUT_S), f"{block.place} did not come to {block.expected!r}:\n{''.join(lines)}"
        assert process.poll() is None, f"{block.place} ended:\n{''.join(lines)}"

    def close(self) -> None:
        """End all of it."""
        self._holder.kill()  # and with it everything in its namespaces
        self._holder.wait()
        assert self._holder.stdout is not None
        self._holder.stdout.close()
        for process in self._background:
            process.wait(TIMEOUT_S)
            assert process.stdout is not None
            process.stdout.close()


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    if not _can_isolate():
        pytest.skip("no network namespaces here (unshare -rn, ip)")
    made = Shell(tmp_path)
    yield made
    made.close()


@pytest.mark.slow
@pytest.mark.parametrize(("page", "walk"), WALKS, ids=[f"{page.stem}-{walk}" for page, walk in WALKS])
def test_a_reader_who_does_what_the_page_says_sees_what_it_says(
    page: Path, walk: str, shell: Shell, tmp_path: Path
) -> None:
    for block in blocks(page):
        if block.walk != walk:
            continue
        if block.file is not None:
            path = tmp_path / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        elif block.stays:
            shell.leave(block)
        else:
            shell.run(block)


# ---- every command that is shown anywhere ---------------------------------------------------------------------------


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
