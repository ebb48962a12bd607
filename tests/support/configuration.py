"""Loading a configuration from a text, and seeing what is wrong with it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from config.errors import ConfigError, Problem
from config.loader import Loaded, load_gateway_with_origins, load_receiver_with_origins
from config.settings import GatewaySettings, ReceiverSettings


def gateway_from(text: str, environ: Mapping[str, str] | None = None) -> Loaded[GatewaySettings]:
    """The gateway's settings from the text of a gateway.yaml."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "gateway.yaml")
        path.write_text(text, encoding="utf-8")
        return load_gateway_with_origins(path, environ or {})


def receiver_from(text: str, environ: Mapping[str, str] | None = None) -> Loaded[ReceiverSettings]:
    """The receiver's settings from the text of a receiver.yaml."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "receiver.yaml")
        path.write_text(text, encoding="utf-8")
        return load_receiver_with_origins(path, environ or {})


def gateway_problems(text: str, environ: Mapping[str, str] | None = None) -> tuple[Problem, ...]:
    """All that is wrong with a gateway.yaml of this text."""
    with pytest.raises(ConfigError) as refused:
        gateway_from(text, environ)
    return refused.value.problems


def receiver_problems(text: str, environ: Mapping[str, str] | None = None) -> tuple[Problem, ...]:
    """All that is wrong with a receiver.yaml of this text."""
    with pytest.raises(ConfigError) as refused:
        receiver_from(text, environ)
    return refused.value.problems
