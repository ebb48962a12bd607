"""Who gets the messages of a topic. Topics with the same subscribers share one `Audience`: a run of them is one."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.broker.held import Target
from gateway.broker.session import Session


class Audience:
    """The sessions that get a topic's messages, each with how."""

    __slots__ = ("__weakref__", "targets")

    def __init__(self, targets: Mapping[Session, Target]) -> None:
        self.targets = targets


NOBODY = Audience({})
