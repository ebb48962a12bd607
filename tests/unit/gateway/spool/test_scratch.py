"""The folder in which a backup is made: its own, gone at the end, and no other is taken for it."""

from __future__ import annotations

from pathlib import Path

from gateway.spool.scratch import scratch_beside


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def stale(folder: Path, name: str) -> None:
    (folder / name).mkdir()
    (folder / name / "lock").touch()
    (folder / name / "spool.db").write_bytes(b"records")


def test_one_that_is_at_work_is_left_alone_and_one_that_was_killed_goes(tmp_path: Path) -> None:
    stale(tmp_path, ".b[1].gz.aaaa_111")
    with scratch_beside(tmp_path / "b[1].gz") as first:
        assert names_in(tmp_path) == [first.name]
        with scratch_beside(tmp_path / "b[1].gz") as second:
            assert names_in(tmp_path) == sorted([first.name, second.name])
        assert names_in(tmp_path) == [first.name]
    assert names_in(tmp_path) == []


def test_folders_of_others_and_links_stay(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    stale(elsewhere, "mine")
    target = tmp_path / "at" / "b.gz"
    target.parent.mkdir()
    for name in (".b.gz.short", ".c.gz.aaaa1111", "b.gz.aaaa1111", ".b.gz.AAAA1111"):
        stale(target.parent, name)
    (target.parent / ".b.gz.bbbb1111").mkdir()
    (target.parent / ".b.gz.cccc1111").write_bytes(b"a file")
    (target.parent / ".b.gz.dddd1111").symlink_to(elsewhere / "mine")
    before = names_in(target.parent)
    with scratch_beside(target):
        pass
    assert names_in(target.parent) == before
    assert names_in(elsewhere / "mine") == ["lock", "spool.db"]
