"""A new configuration given by hand: checked, written in one step, applied; or refused with nothing changed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import yaml

from config.report import Applies
from config.settings import GatewaySettings
from gateway import configuration_file
from gateway.configuration import Configuration
from gateway.configuration_file import FileChanged, FileFull, FileReadOnly, hash_of
from tests.support.live_gateway import Box, live_gateway

IS_ROOT = os.geteuid() == 0


def text_of(box: Box) -> str:
    return yaml.safe_dump(box.file)


async def test_a_check_tells_what_would_change_and_changes_nothing(tmp_path: Path) -> None:
    async with live_gateway(tmp_path) as box:
        before = box.path.read_bytes()
        box.file["log"] = {"level": "debug"}
        box.file["gateway"]["id"] = "other"
        box.file["uplinks"][0]["window"] = 7
        proposal = await box.configuration.check(text_of(box))
        assert proposal.is_valid
        assert proposal.base == hash_of(box.path)
        assert [(one.key, one.before, one.after, one.effect) for one in proposal.changes] == [
            ("gateway.id", "edge", "other", Applies.RESTART),
            ("uplinks[cloud].window", "20", "7", Applies.LIVE),
            ("log.level", "info", "debug", Applies.LIVE),
        ]
        assert proposal.changes[0].reason
        assert box.path.read_bytes() == before
        assert box.configuration.settings.log.level == "info"


async def test_a_check_tells_every_mistake_with_its_line(tmp_path: Path) -> None:
    async with live_gateway(tmp_path) as box:
        proposal = await box.configuration.check("log:\n  level: loud\nnonsense: 1\n")
        assert not proposal.is_valid
        assert [(one.file, one.line) for one in proposal.problems] == [(str(box.path), 2), (str(box.path), 3)]


@pytest.mark.parametrize("text", ["\0", "a: [", "- 1", "&a [*a]", "x" * 10_000, "\ud800"])
async def test_any_text_is_answered_with_problems(tmp_path: Path, text: str) -> None:
    async with live_gateway(tmp_path) as box:
        assert not (await box.configuration.check(text)).is_valid


async def test_a_new_file_is_written_and_holds_and_the_old_one_is_kept_beside_it(tmp_path: Path) -> None:
    async with live_gateway(tmp_path) as box:
        box.path.chmod(0o640)
        before = box.path.read_bytes()
        box.file["retained"] = {"max_messages": 5}
        text = "# by anna\n" + text_of(box)
        report = await box.configuration.apply(text, hash_of(box.path), "anna")
        assert report.applied == ["retained.max_messages"]
        assert report.message.startswith("Reloaded (anna): retained.max_messages changed")
        assert report.base == hash_of(box.path)
        assert box.path.read_text() == text
        kept = box.path.with_name("gateway.yaml.before")
        assert kept.read_bytes() == before
        assert [stat.S_IMODE(path.stat().st_mode) for path in (box.path, kept)] == [0o640, 0o640]
        assert not list(box.path.parent.glob(".gateway.yaml*"))
        (value,) = [one for one in box.configuration.effective() if one.key == "retained.max_messages"]
        assert (value.value, value.change) == ("5", Applies.LIVE)
        assert value.origin.startswith(f"{box.path}:")


async def test_behind_a_symbolic_link_is_the_file_that_is_written(tmp_path: Path) -> None:
    async with live_gateway(tmp_path) as box:
        real = tmp_path / "elsewhere" / "real.yaml"
        real.parent.mkdir()
        box.path.rename(real)
        box.path.symlink_to(real)
        await box.configuration.apply(text_of(box) + "# more\n", hash_of(box.path), "anna")
        assert box.path.is_symlink()
        assert real.read_text().endswith("# more\n")


async def test_a_file_that_somebody_else_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    async with live_gateway(tmp_path) as box:
        base = hash_of(box.path)
        box.path.write_text(box.path.read_text() + "# by hand\n")
        with pytest.raises(FileChanged, match="changed by somebody else"):
            await box.configuration.apply("log: {level: debug}", base, "anna")
        assert box.path.read_text().endswith("# by hand\n")
        assert box.configuration.settings.log.level == "info"


async def test_a_file_that_is_changed_while_the_new_one_is_prepared_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with live_gateway(tmp_path) as box:
        add_streams = box.gateway.spool.add_streams

        async def write_meanwhile(settings: GatewaySettings) -> list[str]:
            added = await add_streams(settings)
            box.path.write_text(by_hand)
            return added

        monkeypatch.setattr(box.gateway.spool, "add_streams", write_meanwhile)
        by_hand = box.path.read_text() + "# by hand\n"
        box.file["log"] = {"level": "debug"}
        with pytest.raises(FileChanged, match="changed by somebody else"):
            await box.configuration.apply(text_of(box), hash_of(box.path), "anna")
        assert box.path.read_text() == by_hand
        assert not box.path.with_name("gateway.yaml.before").exists()
        assert box.configuration.settings.log.level == "info"


async def test_a_text_with_mistakes_is_not_written(tmp_path: Path) -> None:
    async with live_gateway(tmp_path) as box:
        before = box.path.read_bytes()
        report = await box.configuration.apply("nonsense: 1", hash_of(box.path), "anna")
        assert not report.is_valid
        assert box.path.read_bytes() == before
        assert not box.path.with_name("gateway.yaml.before").exists()


@pytest.mark.parametrize(
    ("number", "error", "words"),
    [
        (30, FileReadOnly, "The gateway may not write there"),
        (13, FileReadOnly, "The gateway may not write there"),
        (1, FileReadOnly, "belongs to somebody else"),
        (28, FileFull, "Make room on that disk"),
    ],
)
async def test_a_file_that_cannot_be_written_is_a_sentence_and_nothing_changes(
    tmp_path: Path, number: int, error: type[FileReadOnly], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object) -> None:
        raise OSError(number, os.strerror(number))

    async with live_gateway(tmp_path) as box:
        monkeypatch.setattr(configuration_file, "_put", refuse)
        box.file["listeners"] += [{"name": "new", "bind": "127.0.0.1:0"}]
        box.file["streams"] += [{"name": "late", "topics": ["b"]}]
        box.file["streams"][0]["topics"] = ["a"]
        with pytest.raises(error, match=words):
            await box.configuration.apply(text_of(box), hash_of(box.path), "anna")
        assert [one.name for one in box.gateway.listeners] == ["local"]
        assert len(box.configuration.settings.listeners) == 1
        assert list(box.gateway.overview.status().streams) == ["telemetry"]
        monkeypatch.undo()
        applied = (await box.reload()).applied  # its address was given back
        assert applied == ["listeners[new]", "streams[telemetry].topics", "streams[late]"]
        device = await box.device()
        device.publish("b", b"1")
        assert (await device.read()).kind == 4
        assert box.gateway.spool.lanes["late"].waiting_records == 1


@pytest.mark.skipif(IS_ROOT, reason="root may write everywhere")
async def test_a_folder_that_may_not_be_written_leaves_no_half_file(tmp_path: Path) -> None:
    async with live_gateway(tmp_path) as box:
        box.path.parent.chmod(0o500)
        try:
            with pytest.raises(FileReadOnly):
                await box.configuration.apply(text_of(box), hash_of(box.path), "anna")
        finally:
            box.path.parent.chmod(0o700)


async def test_a_gateway_without_a_file_has_nothing_to_write(tmp_path: Path) -> None:
    async with live_gateway(tmp_path) as box:
        box.configuration.path = None
        with pytest.raises(FileReadOnly, match="runs without a file"):
            await box.configuration.apply(text_of(box), "", "anna")
        assert (await box.configuration.reload("anna")).is_valid


async def test_before_the_start_and_after_the_stop_changes_are_refused(tmp_path: Path) -> None:
    async with live_gateway(tmp_path) as box:
        configuration: Configuration = box.configuration
    report = await configuration.reload("late")
    assert "starting or stopping" in report.problems[0].message
    assert not report.is_valid


async def test_a_file_that_is_gone_leaves_everything(tmp_path: Path) -> None:
    async with live_gateway(tmp_path) as box:
        box.path.unlink()
        report = await box.configuration.reload("test")
        assert "does not exist" in report.problems[0].message
        assert report.base == ""
