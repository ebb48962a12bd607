"""A reader of the documents: a shell, a terminal, a network and processes of his own, for as long as one walk takes.

Every port is free in there, nothing outside can be reached, and what he starts ends with him. The files that he writes
below /etc, /opt and /var/lib are his own, too: they lie over those of this machine, which stay as they are.
"""

from __future__ import annotations

import errno
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.support.documents import ROOT, Block

TIMEOUT_S = 180.0
LOOK_EVERY_S = 0.2

WHO = [] if os.geteuid() == 0 else ["--map-current-user", "--keep-caps"]
ISOLATE = ["unshare", *WHO, "--net", "--pid", "--fork", "--mount-proc", "--kill-child"]

NAMES = "broker.example.com edge.local gateway.plant.example"
"""What the documents call other machines: here they are all this one."""

OWN_FOLDERS = ("etc", "opt", "var/lib")
"""Where a reader writes that is no home: below these he has files of his own."""

_PROMPT = re.compile(r"[^\n]*[:?] ?\Z")
_FRAME = re.compile(r"[│╭╮╰╯─]+")


def can_isolate() -> bool:
    """Whether this machine lets a test have a network of its own."""
    return _works("ip link set lo up")


def can_lay_over() -> bool:
    """Whether it also lets a test have folders of its own in place of the machine's: where root runs it, mostly."""
    if os.geteuid() != 0:  # what is root's is nobody's in a namespace, and stays closed
        return False
    with tempfile.TemporaryDirectory() as folder:
        return _works(_own_folders(Path(folder)))


def _works(script: str) -> bool:
    try:
        return subprocess.run([*ISOLATE, "sh", "-euc", script], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def plain(output: str) -> str:
    """Output without the frames around it and the line breaks in it."""
    return " ".join(_FRAME.sub(" ", output).split())


def _own_folders(folder: Path) -> str:
    """The commands that lay folders of the reader's own over this machine's, where its kernel can do that."""
    commands = []
    for name in OWN_FOLDERS:
        upper, work = folder / name / "upper", folder / name / "work"
        upper.mkdir(parents=True)
        work.mkdir()
        if name == "etc":
            (upper / "hosts").write_text(f"127.0.0.1 localhost {NAMES}\n::1 localhost\n")
        commands.append(f"mount -t overlay -o lowerdir=/{name},upperdir={upper},workdir={work} own /{name}")
    return "\n".join([*commands, ""])


class Reader:
    """Does one walk of a page."""

    def __init__(self, folder: Path, *, own_folders: bool) -> None:
        self._folder = folder / "home"
        self._folder.mkdir()
        programs = folder / "programs"
        programs.mkdir()
        for name, text in {
            "fieldgate": f"#!{sys.executable}\nfrom gateway.cli import main\n\nmain()\n",  # as an installed script is
            "python": f'#!/bin/sh\nexec {sys.executable} "$@"\n',
        }.items():
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        self._environment = {
            "PATH": f"{programs}:{os.environ['PATH']}:/usr/sbin:/sbin",
            "PYTHONPATH": str(ROOT),
            "HOME": str(self._folder),
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "COLUMNS": "120",
        }
        folders = _own_folders(folder / "own") if own_folders else ""
        script = f"{folders}ip link set lo up\necho up\nexec sleep infinity"
        self._holder = subprocess.Popen([*ISOLATE, "sh", "-euc", script], stdout=subprocess.PIPE, text=True)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "up\n"
        number = self._holder.pid
        self._inside = Path(f"/proc/{number}/task/{number}/children").read_text().strip()
        self._staying: list[tuple[Block, _Staying]] = []

    def does(self, block: Block) -> None:
        """One block of the walk. Raises AssertionError where it does not do what the page says."""
        if block.kind == "file":
            assert block.file is not None
            path = self._folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        elif block.kind == "stop":
            self._stop(block)
        elif block.stays_until is not None:
            staying = _Staying(self._start(block))
            self._staying.append((block, staying))
            staying.wait_for(block)
        elif block.looks_again:
            deadline_s = time.monotonic() + TIMEOUT_S
            while not self._shown(block, output := self._run(block)):
                assert time.monotonic() < deadline_s, f"{block.place} never shows {block.shows}:\n{output}"
                time.sleep(LOOK_EVERY_S)  # a person looks again
        else:
            output = self._run(block)
            assert self._shown(block, output), f"{block.place} does not show {block.shows}:\n{output}"

    def close(self) -> None:
        """End all of it."""
        self._holder.kill()  # and with it everything in its namespaces
        self._holder.wait()
        assert self._holder.stdout is not None
        self._holder.stdout.close()
        for _, staying in self._staying:
            staying.wait()

    @staticmethod
    def _shown(block: Block, output: str) -> bool:
        return all(text in output or text in plain(output) for text in block.shows)

    def _start(self, block: Block, *, terminal: int | None = None) -> subprocess.Popen[str]:
        enter = ["nsenter", f"--target={self._inside}", "--net", "--pid", "--mount"]
        if WHO:
            enter += ["--user", "--preserve-credentials"]
        return subprocess.Popen(
            ["setsid", *([] if terminal is None else ["--ctty"]), *enter, f"--wd={self._folder / block.folder}",
             "bash", "-euo", "pipefail", "-c", block.text],
            env=self._environment, text=True,
            stdin=subprocess.DEVNULL if terminal is None else terminal,
            stdout=subprocess.PIPE if terminal is None else terminal, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def _run(self, block: Block) -> str:
        """Run a block to its end: what it said."""
        if block.types:
            code, output = self._run_in_terminal(block)
        else:
            process = self._start(block)
            try:
                output, _ = process.communicate(timeout=TIMEOUT_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                output, _ = process.communicate()
                raise AssertionError(f"{block.place} did not end:\n{output}") from None
            code = process.returncode
        if not block.looks_again:
            assert code == block.code, f"{block.place} ended with {code}:\n{output}"
        return output

    def _run_in_terminal(self, block: Block) -> tuple[int, str]:
        """Run a block where prompts can be answered. Raises AssertionError where it asks too little or does not end."""
        here, there = pty.openpty()
        process = self._start(block, terminal=there)
        os.close(there)
        output, answered, answers = "", 0, list(block.types)
        deadline_s = time.monotonic() + TIMEOUT_S
        try:
            while time.monotonic() < deadline_s:
                if select.select([here], [], [], LOOK_EVERY_S)[0]:
                    output += os.read(here, 65536).decode(errors="replace").replace("\r\n", "\n")
                elif answers and _PROMPT.search(output, answered):  # silence: half a line is no prompt
                    os.write(here, answers.pop(0).encode() + b"\n")
                    answered = len(output)
            os.killpg(process.pid, signal.SIGKILL)
            raise AssertionError(f"{block.place} did not end:\n{output}")
        except OSError as error:
            if error.errno != errno.EIO:  # that is the end: nobody has the terminal any more
                raise
        finally:
            os.close(here)
        code = process.wait(TIMEOUT_S)
        assert not answers, f"{block.place} asks for less than {block.types}:\n{output}"
        return code, output

    def _stop(self, block: Block) -> None:
        """Ctrl-C where the last block with that text stays."""
        found = [staying for kept, staying in self._staying if block.text in kept.text]
        assert found, f"{block.place}: nothing with {block.text!r} stays"
        found[-1].interrupt(block)


class _Staying:
    """A block that stays in the background, and what it says."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: list[str] = []
        self._said = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._said:
                self._lines.append(line)
                self._said.notify_all()
        with self._said:
            self._ended = True
            self._said.notify_all()

    def wait_for(self, block: Block) -> None:
        """Return when it said what the block says. Raises AssertionError when it ends, or never does."""
        text = block.stays_until or ""
        with self._said:
            self._said.wait_for(lambda: self._ended or any(text in line for line in self._lines), TIMEOUT_S)
            said = "".join(self._lines)
            assert text in said, f"{block.place} did not come to {text!r}:\n{said}"
            assert not self._ended, f"{block.place} ended:\n{said}"

    def interrupt(self, block: Block) -> None:
        """Ctrl-C; return when everything that had its terminal has ended."""
        os.killpg(self._process.pid, signal.SIGINT)
        self._reader.join(TIMEOUT_S)
        assert not self._reader.is_alive(), f"{block.place}: it goes on after Ctrl-C:\n{''.join(self._lines)}"

    def wait(self) -> None:
        """Until it is gone."""
        self._process.wait(TIMEOUT_S)
        self._reader.join(TIMEOUT_S)
        assert self._process.stdout is not None
        self._process.stdout.close()
