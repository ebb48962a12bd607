"""`fieldgate backup` and `fieldgate restore`, as a person and as a script use them."""

from __future__ import annotations

import asyncio
import json
import tarfile
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.cli.program import app
from tests.support.spool import running, settings, store


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A configuration with users and rights, and a data folder with ten records."""
    (tmp_path / "users.txt").write_text("anna:$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2g\n")
    (tmp_path / "rights.txt").write_text("topic read #\n")
    (tmp_path / "gateway.yaml").write_text(
        f"gateway: {{id: edge-01, data_dir: {tmp_path / 'data'}}}\n"
        f"access: [{{name: default, password_file: {tmp_path / 'users.txt'}, acl_file: {tmp_path / 'rights.txt'}}}]\n"
    )

    async def fill() -> None:
        async with running(settings(tmp_path / "data")) as spool:
            await store(spool, [b"record"] * 10)

    asyncio.run(fill())
    return tmp_path


def fieldgate(box: Path, *arguments: str, answer: str | None = None) -> Result:
    command, *rest = arguments
    return CliRunner().invoke(app, [command, "-c", str(box / "gateway.yaml"), *rest], input=answer)


def test_a_backup_says_what_is_in_it_and_restoring_says_what_happens(box: Path) -> None:
    done = fieldgate(box, "backup", str(box / "b.tar.gz"))
    assert done.exit_code == 0
    assert done.stdout.startswith(f"Wrote {box / 'b.tar.gz'}, ")
    assert done.stdout.endswith("10 records, 0 dead letters; with gateway.yaml, users.txt, rights.txt.\n")
    done = fieldgate(box, "restore", str(box / "b.tar.gz"), "--yes", "--files-to", str(box / "etc"))
    assert done.exit_code == 0
    assert "Restored 10 records of 1 stream," in done.stdout
    assert f"What was there is in {box / 'data' / 'replaced-1'}" in done.stdout
    assert "are sent again, and the receiver takes them for new ones" in done.stdout
    assert (box / "etc" / "rights.txt").read_text() == "topic read #\n"


def test_a_script_gets_json(box: Path) -> None:
    document = json.loads(fieldgate(box, "backup", str(box / "b.tar.gz"), "--json", "--data-only").stdout)
    assert document["file"] == str(box / "b.tar.gz")
    assert (document["records"], document["dead_letters"], document["files"]) == (10, 0, [])
    with tarfile.open(box / "b.tar.gz") as archive:
        assert archive.getnames() == ["manifest.json", "spool.db"]
    document = json.loads(fieldgate(box, "restore", str(box / "b.tar.gz"), "--json", "--yes").stdout)
    assert (document["gateway"], document["records"], document["streams"]) == ("edge-01", 10, 1)
    assert document["set_aside"] == str(box / "data" / "replaced-1")


def test_a_box_without_a_configuration_is_told_where_to_find_one(
    box: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    backup = box / "b.tar.gz"
    fieldgate(box, "backup", str(backup))
    new_box = tmp_path_factory.mktemp("new-box")
    monkeypatch.chdir(new_box)
    refused = CliRunner().invoke(app, ["restore", str(backup), "--yes", "--files-to", "."])
    assert refused.exit_code == 1
    assert f"tar -xzf {backup} --strip-components=1 config" in refused.stderr
    assert list(new_box.iterdir()) == []
    with tarfile.open(backup) as archive:
        (new_box / "gateway.yaml").write_bytes(archive.extractfile("config/gateway.yaml").read())  # type: ignore[union-attr]
        (new_box / "users.txt").touch()
    (box / "data").rename(box / "old")
    assert CliRunner().invoke(app, ["restore", str(backup), "--yes"]).exit_code == 0
    assert (box / "data" / "spool.db").is_file()


def test_nothing_is_overwritten_and_nothing_is_restored_without_a_yes(box: Path) -> None:
    (box / "b.tar.gz").write_text("precious")
    refused = fieldgate(box, "backup", str(box / "b.tar.gz"))
    assert refused.exit_code == 1
    assert "--yes to overwrite it" in refused.stderr
    assert (box / "b.tar.gz").read_text() == "precious"
    assert fieldgate(box, "backup", str(box / "b.tar.gz"), "--yes").exit_code == 0
    refused = fieldgate(box, "restore", str(box / "b.tar.gz"))
    assert refused.exit_code == 1
    assert "Give --yes" in refused.stderr
    assert not (box / "data" / "replaced-1").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("backup", "nowhere/b.tar.gz"), "There is no folder nowhere."),
        (("backup", "/proc/b.tar.gz"), "/proc/b.tar.gz can't be written: "),
        (("restore", "gateway.yaml", "--yes"), "no whole backup of Fieldgate"),
        (("restore", "nothing.tar.gz", "--yes"), "nothing.tar.gz: No such file or directory."),
    ],
)
def test_what_can_not_be_done_is_said_in_a_sentence(
    box: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], sentence: str
) -> None:
    monkeypatch.chdir(box)
    done = fieldgate(box, *arguments)
    assert done.exit_code == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
