"""Brokers that run on Java: fetched by Maven when a test wants them, and run as a process of their own.

A folder of tests/interop/brokers holds a pom.xml, which names the broker, and one Java file, which starts it with the
folder that it is given and prints "ready" when its listeners are bound. What Maven fetched and javac made stays in the
virtual environment, beside the packages that pip fetched.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar

import pytest

from tests.support.broker_process import BrokerProcess
from tests.support.ports import steady_port

FETCH_TIMEOUT_S = 300.0
_ROOT = Path(__file__).parents[2]
_RESOLVE = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath"
_JVM = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""A small machine's settings; the last one starts sooner and runs a little slower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JavaProgram:
    """A class with a main method, and all that it needs."""

    java: str
    class_path: str
    main: str


def _cache() -> Path:
    inside_venv = sys.prefix != sys.base_prefix
    return (Path(sys.prefix) if inside_venv else _ROOT / "build") / "java"


def java_program(name: str, main: str) -> JavaProgram:
    """What tests/interop/brokers/<name> needs to run; skips the test where that can't be had, and says why."""
    java, javac, maven = (shutil.which(tool) for tool in ("java", "javac", "mvn"))
    if java is None or javac is None or maven is None:
        pytest.skip("java, javac or mvn is not installed (Debian: openjdk-17-jdk-headless, maven)")
    folder = _ROOT / "tests" / "interop" / "brokers" / name
    pom, source = folder / "pom.xml", folder / f"{main}.java"
    mark = hashlib.sha256(pom.read_bytes() + source.read_bytes()).hexdigest()[:16]
    made = _cache() / f"{name}-{mark}"
    if not (made / "class_path").exists():
        making = made.with_name(f"{made.name}.{os.getpid()}")
        making.mkdir(parents=True, exist_ok=True)
        jars = making / "jars"
        _run(
            [
                *(maven, "-q", "-B", "-f", str(pom), f"-Dmaven.repo.local={_cache() / 'repository'}", _RESOLVE),
                *("-DincludeScope=runtime", f"-Dmdep.outputFile={jars}"),
            ],
            f"Maven could not fetch {name}",
        )
        _run([javac, "-cp", jars.read_text(), "-d", str(making), str(source)], f"javac could not make {source.name}")
        (making / "class_path").write_text(f"{made}{os.pathsep}{jars.read_text()}")
        try:
            making.rename(made)
        except OSError:  # another process was sooner with the same
            shutil.rmtree(making)
    return JavaProgram(java=java, class_path=(made / "class_path").read_text(), main=main)


def _run(command: Sequence[str], what: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{what} within {FETCH_TIMEOUT_S:g} s")
    if done.returncode:
        pytest.skip(f"{what}: {(done.stdout + done.stderr).strip()[-400:]}")


class JavaBroker(BrokerProcess):
    """One broker process in one folder on one port; its name is that of its folder in tests/interop/brokers."""

    start_timeout_s = 180.0
    main: ClassVar[str]
    """The class in there."""
    state: ClassVar[tuple[str, ...]] = ()
    """Folders that hold what it remembers."""

    def __init__(self, folder: Path) -> None:
        self._program = java_program(self.name, self.main)
        super().__init__(folder, port=steady_port())

    def start(self) -> None:
        """Start it and return when it listens."""
        temporary = self.folder / "tmp"  # libraries that unpack themselves do it here, also when they are killed
        temporary.mkdir(exist_ok=True)
        program = self._program
        options = (*_JVM, f"-Djava.io.tmpdir={temporary}", "-cp", program.class_path)
        if not self._launch([program.java, *options, program.main, str(self.folder)]):
            raise RuntimeError(f"{self.name} did not start:\n" + "\n".join(self.log))

    def listens(self, line: str) -> bool:
        """See `BrokerProcess`."""
        return line == "ready"

    def forget(self) -> None:
        """Throw its state away."""
        for name in self.state:
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        # Its files are large before they are full: hundreds of megabytes, for as long as pytest keeps the folder.
        self.forget()
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)
