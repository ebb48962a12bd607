"""What can go wrong with the receiver as a whole; frames and sinks have theirs in bridge/errors.py.

BridgeError
└── ReceiverError         the receiver cannot start, or cannot go on; the sentence is for the operator
    ├── StateLocked       another process has the state file
    ├── StateUnusable     the state file cannot be opened, read or written
    └── AddressTaken      the HTTP interface cannot listen where it was told
"""

from __future__ import annotations

from bridge.errors import BridgeError


class ReceiverError(BridgeError):
    """The receiver cannot start or cannot go on."""

    code = "receiver"


class StateLocked(ReceiverError):
    """Another process has the state file."""

    code = "state_locked"


class StateUnusable(ReceiverError):
    """The state file cannot be opened, read or written."""

    code = "state_unusable"


class AddressTaken(ReceiverError):
    """The HTTP interface cannot listen where it was told."""

    code = "address_taken"
