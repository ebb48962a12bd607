"""Packages of npm for a test, fetched when it runs and never kept here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def npm_modules(folder: Path, package: str, *, timeout_s: float = 180.0) -> Path:
    """The folder `node_modules` with the package in it; skips the test where that can't be had, and says why."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("npm or node is not installed")
    command = [npm, "install", "--no-audit", "--no-fund", "--no-save", "--prefix", str(folder), package]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm could not fetch {package} within {timeout_s:g} s")
    if done.returncode:
        pytest.skip(f"npm could not install {package}: {done.stderr.strip()[-300:]}")
    return folder / "node_modules"
