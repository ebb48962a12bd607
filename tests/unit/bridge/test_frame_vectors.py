"""The vectors that docs/frame-format.md gives to strangers, against our reader and against the stranger's."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import orjson
import pytest

from bridge.compression import Codec
from bridge.errors import FrameError
from bridge.frame import decode_frame
from bridge.json_lines import encode_lines
from tests.support.frame_vectors import FOLDER, as_hex, bad, good

GOOD = sorted(path for path in FOLDER.glob("*.hex") if not path.name.startswith("bad-"))
BAD = sorted(FOLDER.glob("bad-*.hex"))
DECODER = FOLDER / "decode.mjs"


def expected(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.with_suffix(".json").read_text())
    return loaded


def data(path: Path) -> bytes:
    return bytes.fromhex(path.read_text())


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_our_reader_makes_of_a_vector_what_it_promises(path: Path) -> None:
    frame = decode_frame(data(path), 1 << 20, Codec())
    header = frame.header
    found: dict[str, Any] = {"gw": header.gateway, "st": header.stream, "ep": header.epoch}
    found |= {"seq": header.first_seq, "n": header.count}
    if header.gaps:
        found["gap"] = [[gap.first_seq, gap.count, gap.reason] for gap in header.gaps]
    lines = b"".join(
        encode_lines(block, gateway=header.gateway, stream=header.stream, epoch=header.epoch) for block in frame.blocks
    )
    assert {"header": found, "records": [orjson.loads(line) for line in lines.splitlines()]} == expected(path)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_our_reader_refuses_a_bad_vector_with_the_code_it_names(path: Path) -> None:
    with pytest.raises(FrameError) as caught:
        decode_frame(data(path), 1 << 20, Codec())
    assert caught.value.code == expected(path)["error"]


def test_the_committed_vectors_are_those_of_the_script() -> None:
    made = {name: (octets, wanted) for name, (octets, wanted) in good().items()}
    assert sorted([*made, *bad()]) == sorted(path.stem for path in GOOD + BAD)
    for name, (octets, wanted) in made.items():
        assert expected(FOLDER / f"{name}.hex") == wanted
        # What a compressor makes may differ from one version of it to the next.
        if not name.endswith(("zstd", "gzip")) and "before" not in name:
            assert (FOLDER / f"{name}.hex").read_text() == as_hex(octets)


def test_the_decoder_for_strangers_is_short() -> None:
    assert len(DECODER.read_text().splitlines()) <= 60


@pytest.mark.parametrize("path", [path for path in GOOD if "zstd" not in path.stem], ids=lambda path: path.stem)
def test_the_decoder_in_another_language_agrees(path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    ran = subprocess.run([node, str(DECODER), str(path)], check=True, capture_output=True, timeout=30)
    found = json.loads(ran.stdout)
    wanted = expected(path)
    assert found["records"] == wanted["records"]
    assert wanted["header"].items() <= found["header"].items()


@pytest.mark.parametrize(
    "name", ["bad-magic", "bad-version", "bad-truncated", "bad-checksum", "blocks-zstd", "json-zstd"]
)
def test_the_decoder_in_another_language_refuses_with_a_sentence_what_it_cannot_read(name: str) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    ran = subprocess.run(
        [node, str(DECODER), str(FOLDER / f"{name}.hex")], check=False, capture_output=True, timeout=30
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith(b"This frame can't be decoded: ")
    assert ran.stderr.count(b"\n") == 1
