"""What deploy/docker and deploy/compose would do, as far as it can be seen without an engine: each step by itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.ports import steady_port
from tests.support.site import GatewayProcess

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
COMPOSE = ROOT / "deploy" / "compose" / "compose.yaml"


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
    return found


def volumes(service: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for volume in service.get("volumes", ()):
        source, target, *_ = volume.split(":")
        yield source, target


def test_what_the_image_copies_is_there_and_let_through_to_the_build() -> None:
    allowed = [line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"]
    copied = [
        word for name, rest in instructions() if name == "COPY" and "--from" not in rest for word in rest.split()[:-1]
    ]
    assert len(copied) > 5
    for path in copied:
        assert (ROOT / path).exists(), path
        assert path.removeprefix("./") in allowed, path


def test_the_image_ends_as_a_user_without_rights_and_has_a_health_check() -> None:
    steps = instructions()
    last_stage = steps[max(i for i, (name, _) in enumerate(steps) if name == "FROM") :]
    users = [rest for name, rest in last_stage if name == "USER"]
    # A number, or else Kubernetes' runAsNonRoot refuses it; the same that owns the folders.
    assert users == ["10001:10001"]
    (made,) = (rest for name, rest in last_stage if name == "RUN")
    assert "--uid 10001 --gid 10001" in made
    assert "-o 10001 -g 10001 -m 0700 /var/lib/fieldgate/data" in made
    assert any(name == "HEALTHCHECK" for name, _ in last_stage)
    entry = next(rest for name, rest in last_stage if name == "ENTRYPOINT")
    assert entry == '["fieldgate"]'


def test_compose_names_files_and_volumes_and_services_that_are_there() -> None:
    declared = set(yaml.safe_load(COMPOSE.read_text())["volumes"])
    for name, service in services().items():
        for source, _ in volumes(service):
            if source.startswith("."):
                assert (COMPOSE.parent / source).exists(), (name, source)
            else:
                assert source in declared, (name, source)
        assert set(service.get("depends_on") or ()) <= set(services()), name
        for port in service.get("ports", ()):
            assert str(port).startswith("127.0.0.1:"), "nothing is opened to the network before somebody decides it"


def mounted_at(path: str) -> Path:
    """The file of this folder that compose puts at `path` of a container."""
    found = [source for service in services().values() for source, target in volumes(service) if target == path]
    return COMPOSE.parent / found[0]


def command_environment(tmp_path: Path) -> dict[str, str]:
    """A PATH on which `fieldgate` and `python` are those of this test, as in the image."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python").symlink_to(sys.executable)
    fieldgate = programs / "fieldgate"
    fieldgate.write_text(f'#!/bin/sh\nexec {sys.executable} -m gateway "$@"\n')
    fieldgate.chmod(0o755)
    return {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


def test_the_secrets_of_compose_are_made_once_and_its_configurations_are_right_with_them(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    environment = command_environment(tmp_path) | {"FIELDGATE_SECRETS": str(secrets)}

    def set_up() -> str:
        return subprocess.run(
            ["sh", str(mounted_at("/setup.sh"))],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout

    first = set_up()
    password = (secrets / "password").read_text()
    assert password in first
    assert password in set_up()
    assert (secrets / "password").read_text() == password

    for service in ("gateway", "receiver"):
        *_, name = services()[service]["command"]
        configuration = tmp_path / Path(name).name
        configuration.write_text(mounted_at(name).read_text().replace("/secrets/", f"{secrets}/"))
        checked = subprocess.run(
            ["fieldgate", "check", "-c", str(configuration)],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert checked.returncode == 0, checked.stderr
        assert password not in checked.stdout + checked.stderr


def healthy(address: str) -> int:
    return subprocess.run(
        [sys.executable, str(ROOT / "deploy" / "docker" / "healthy.py")],
        env={**os.environ, "FIELDGATE_HEALTH": address}, capture_output=True, timeout=60, check=False,
    ).returncode  # fmt: skip


async def test_the_health_check_is_content_with_a_gateway_without_cloud_and_not_with_none(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, cloud_port=steady_port()) as gateway:
        await gateway.start()
        address = f"http://127.0.0.1:{gateway.api_port}"
        assert healthy(address) == 0
        gateway.kill()
        assert healthy(address) == 1


@pytest.mark.slow
def test_the_wheel_that_the_image_installs_has_the_pages_and_all_packages(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)],
        timeout=300, check=True,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("fieldgate-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in ("bridge", "config", "gateway", "simulators"):
        wanted = {
            str(path.relative_to(ROOT))
            for path in (ROOT / package).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert wanted <= names, sorted(wanted - names)[:5]
    assert "bridge/web/static/index.html" in names
