"""Who gets the messages of a topic. Topics with the same subscribers share one `Audience`: a run of them is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.broker.routes import Target


class Audience:
    """The targets of a topic, in no order that matters. `max_qos` is the highest QoS that any of them asked for."""

    __slots__ = ("__weakref__", "max_qos", "targets")

    def __init__(self, targets: tuple[Target, ...]) -> None:
        self.targets = targets
        self.max_qos = max((target.qos for target in targets), default=0)


NOBODY = Audience(())
