"""The files that the pages load."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from bridge.web import pages
from bridge.web.pages import SHELL, STATIC_FOLDER, Asset, is_known, load_assets, takes_gzip


def test_the_shell_is_there() -> None:
    assert load_assets(STATIC_FOLDER)[SHELL].content_type == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.svg", "image/svg+xml"),
        ("a.woff2", "font/woff2"),
        ("A.PNG", "image/png"),
        ("SHA256SUMS", "application/octet-stream"),
    ],
)
def test_a_file_has_its_type(name: str, content_type: str) -> None:
    assert Asset.of(name, b"x").content_type == content_type


def test_what_shrinks_is_kept_gzipped_with_an_etag_of_its_own() -> None:
    text = b"const x = 1;\n" * 1000
    asset = Asset.of("a.js", text)
    assert asset.gzipped is not None
    assert gzip.decompress(asset.gzipped) == text
    assert asset.etag != asset.gzipped_etag
    assert Asset.of("a.js", text).etag == asset.etag != Asset.of("a.js", text + b" ").etag
    assert Asset.of("a.woff2", text).gzipped is None
    assert Asset.of("a.js", b"x").gzipped is None


def test_hidden_files_and_links_are_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "static"
    (folder / "js").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / "js" / "a.js").write_text("a")
    (folder / ".hidden").write_text("b")
    (folder / ".git" / "config").write_text("c")
    (tmp_path / "secret").write_text("d")
    (folder / "link").symlink_to(tmp_path / "secret")
    assert list(load_assets(folder)) == ["js/a.js"]


def test_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MAX_TOTAL_BYTES", 3)
    (tmp_path / "a").write_text("1234")
    with pytest.raises(ValueError, match="are more than"):
        load_assets(tmp_path)


@pytest.mark.parametrize(
    ("header", "known"),
    [(None, False), ('"a"', True), ('W/"a"', True), ('"b", "a"', True), ("*", True), ('"b"', False), ("a", False)],
)
def test_a_caller_may_have_it_already(header: str | None, known: bool) -> None:
    assert is_known('"a"', header) is known


@pytest.mark.parametrize(
    ("header", "takes"),
    [
        (None, False),
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0", False),
        ("br", False),
        ("identity", False),
    ],
)
def test_a_caller_says_whether_it_reads_gzip(header: str | None, takes: bool) -> None:
    assert takes_gzip(header) is takes
