"""The demo: `run_demo(DemoOptions(...))` is `fieldgate demo`."""

from __future__ import annotations

from simulators.demo.app import run_demo
from simulators.demo.options import DemoOptions

__all__ = ["DemoOptions", "run_demo"]
