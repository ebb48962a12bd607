"""Defaults that depend on another key: what was not written gives way to a small spool. Pure."""

from __future__ import annotations

import dataclasses

from config.door_checks import SPOOL_SHARE
from config.findings import Findings
from config.settings import GatewaySettings


def fit_to_spool(settings: GatewaySettings, findings: Findings) -> GatewaySettings:
    """The settings with those sizes made smaller that nobody wrote and that the spool has no room for."""
    max_size_bytes = settings.spool.max_size_bytes
    packet_bytes, kept_bytes = max_size_bytes // SPOOL_SHARE, max_size_bytes // SPOOL_SHARE // 2
    listeners = tuple(
        listener
        if listener.max_packet_size_bytes <= packet_bytes or findings.is_written(f"listeners[{label}].max_packet_size")
        else dataclasses.replace(listener, max_packet_size_bytes=packet_bytes)
        for label, listener in zip(findings.labels("listeners"), settings.listeners, strict=True)
    )
    sessions, retained = settings.sessions, settings.retained
    if not findings.is_written("sessions.max_total_queued_bytes"):
        queued_bytes = min(sessions.max_total_queued_bytes, kept_bytes)
        sessions = dataclasses.replace(sessions, max_total_queued_bytes=queued_bytes)
    if not findings.is_written("retained.max_bytes"):
        retained = dataclasses.replace(retained, max_bytes=min(retained.max_bytes, kept_bytes))
    return dataclasses.replace(settings, listeners=listeners, sessions=sessions, retained=retained)
