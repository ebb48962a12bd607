"""What can go wrong in the demo itself."""

from __future__ import annotations


class DemoFailed(Exception):
    """The demo can't go on; the message says what, where and what to do."""
