"""The HTTP interface of the gateway: health, readiness, metrics and status."""

from gateway.api.server import ApiServer
from gateway.api.status import (
    BrokerStatus,
    DeadLetterStatus,
    GatewayStatus,
    ListenerStatus,
    RateStatus,
    Recovery,
    SpoolStatus,
    StreamStatus,
)
from gateway.api.view import Check, GatewayView

__all__ = [
    "ApiServer",
    "BrokerStatus",
    "Check",
    "DeadLetterStatus",
    "GatewayStatus",
    "GatewayView",
    "ListenerStatus",
    "RateStatus",
    "Recovery",
    "SpoolStatus",
    "StreamStatus",
]
