"""Which keys of gateway.yaml a running gateway can change, and which wait for a restart: one table.

A pattern is a dotted key without the names in brackets; `[+]` is an item that was added, `[-]` one that was taken out,
`[]` at the end another order, and `.*` all that is below. The first pattern that fits holds. What is said of a key that
can change is for whom it holds then; of one that waits, why. Some of what can change has to wait all the same when it
meets something that waits: `Waiting` knows.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from config.api_changes import ApiChanges
from config.checks import ALL_STREAMS, overlap
from config.report import Applies
from config.settings import GatewaySettings


class Entry(NamedTuple):
    """One line of the table."""

    pattern: str
    applies: Applies
    note: str


_LIVE: Final = Applies.LIVE
_RESTART: Final = Applies.RESTART

TABLE: Final = (
    Entry("gateway.id", _RESTART, "it is part of the topics and of the client ids at the cloud"),
    Entry("gateway.data_dir", _RESTART, "the records that wait are in the old folder"),
    Entry("gateway.grace_period", _LIVE, "at the next stop"),
    Entry("listeners[+]", _LIVE, "opened at once"),
    Entry("listeners[-]", _LIVE, "closed at once, if nobody is connected to it"),
    Entry("listeners[]", _LIVE, "their order means nothing"),
    Entry("listeners[].name", _LIVE, "another name is another listener"),
    Entry("listeners[].transport", _RESTART, "its clients would lose their connections"),
    Entry("listeners[].bind", _RESTART, "its clients would lose their connections"),
    Entry("listeners[].access", _RESTART, "its clients came in by other rules"),
    Entry("listeners[].proxy_protocol", _RESTART, "its clients came in by other rules"),
    Entry("listeners[].*", _LIVE, "for new connections"),
    Entry("access[+]", _LIVE, "at once"),
    Entry("access[-]", _LIVE, "at once; what waits for sessions that came in by it is not delivered any more"),
    Entry("access[]", _LIVE, "their order means nothing"),
    Entry("access[].*", _LIVE, "at once; who may not be here any more is disconnected"),
    Entry("sessions.max_in_flight", _LIVE, "at once; nothing that is in flight is taken back"),
    Entry("sessions.max_expiry", _LIVE, "at the next connection of each client"),
    Entry("sessions.*", _LIVE, "at once; what is above a lower limit stays until it is gone"),
    Entry("retained.*", _LIVE, "at once; what is above a lower limit stays"),
    Entry("limits.max_connections", _LIVE, "for new connections"),
    Entry("limits.max_topic_levels", _LIVE, "at once; a client that goes deeper is disconnected"),
    Entry("limits.sys_interval", _LIVE, "at once"),
    Entry("limits.max_user_properties", _LIVE, "for new connections"),
    Entry("streams[+]", _LIVE, "at once; uplinks that carry it are stopped in order and begin anew"),
    Entry("streams[-]", _RESTART, "its records must be delivered first"),
    Entry("streams[]", _LIVE, "at once, for new records: the first stream that matches takes them"),
    Entry("streams[].name", _RESTART, "another name is another stream"),
    Entry("streams[].topics", _LIVE, "at once, for new records"),
    Entry("streams[].time_to_live", _LIVE, "at once, for what waits already, too"),
    Entry("spool.durability", _RESTART, "the database is opened for it"),
    Entry("spool.*", _LIVE, "at once"),
    Entry("uplinks[+]", _LIVE, "it begins with the oldest record that is kept"),
    Entry("uplinks[-]", _LIVE, "stopped in order; what only it had still to deliver is not kept for it"),
    Entry("uplinks[]", _LIVE, "their order means nothing"),
    Entry("uplinks[].*", _LIVE, "that uplink is stopped in order and begins anew; the records stay"),
    Entry("api.bind", _LIVE, "at once; who is connected at the old address has the answer to what he asked last"),
    Entry("api.password_file", _LIVE, "at once; who is not in it, or has another password there, is logged out"),
    Entry("api.token_file", _LIVE, "at once; a token that is not in it lets nobody in any more"),
    Entry("api.tls.*", _LIVE, "for new connections; when TLS begins or ends, those that are there end"),
    Entry("api.*", _LIVE, "at once"),
    Entry("telemetry.*", _LIVE, "at once"),
    Entry("log.*", _LIVE, "at once"),
)

_LABEL: Final = re.compile(r"\[[^\]]*\]")


def entry_for(pattern: str) -> Entry:
    """The line of the table for a key as the table writes it. KeyError where there is none."""
    for entry in TABLE:
        if entry.pattern == pattern or (entry.pattern.endswith(".*") and pattern.startswith(entry.pattern[:-1])):
            return entry
    raise KeyError(pattern)


def pattern_of(key: str, *, is_added: bool = False, is_removed: bool = False) -> str:
    """A dotted key as the table writes it: `uplinks[cloud].url` is `uplinks[].url`."""
    plain = _LABEL.sub("[]", key)
    if plain.endswith("[]"):
        return plain[:-2] + ("[+]" if is_added else "[-]" if is_removed else "[]")
    return plain


def applies(key: str) -> Applies:
    """When another value of a dotted key takes hold, if nothing else has to wait."""
    return entry_for(pattern_of(key)).applies


class Waiting:
    """What waits of the differences between two settings, and why (`config.merging.Waits`)."""

    def __init__(
        self, running: GatewaySettings, wanted: GatewaySettings, *, is_in_use: Callable[[str], bool] = lambda _: False
    ) -> None:
        """`is_in_use` tells of a listener by its name whether somebody is connected to it."""
        self._running = running
        self._names = {group: _names(running, group) for group in ("listeners", "access", "streams", "uplinks")}
        self._wanted = {group: _names(wanted, group) for group in self._names}
        self._is_in_use = is_in_use
        self._loses_streams = bool(self._names["streams"] - self._wanted["streams"])
        self._listeners = {listener.name: listener for listener in (*running.listeners, *wanted.listeners)}
        self._addresses = [(f"the listener {one.name!r}", one.bind) for one in wanted.listeners]
        self._addresses.append(("the HTTP interface", wanted.api.bind))
        staying = [
            one
            for one in running.listeners
            if one.name in self._wanted["listeners"] or self._because("listeners", one.name, is_added=False)
        ]
        self._needed_access = {listener.access for listener in staying}
        taken = [(f"the listener {one.name!r}", one.bind) for one in running.listeners]
        self._api = ApiChanges(running.api, wanted.api, others=taken)

    def __call__(self, key: str) -> str:
        """Why the difference in this dotted key waits; empty when it need not."""
        group, _, rest = key.partition("[")
        name = rest.removesuffix("]") if rest.endswith("]") and "]." not in rest else ""
        is_item = bool(name) and group in self._names
        is_added = is_item and name not in self._names[group]
        is_removed = is_item and not is_added and name not in self._wanted[group]
        if not rest and group in self._names:
            return self._note(f"{group}[]")
        if is_added or is_removed:
            return self._note(f"{group}[{'+' if is_added else '-'}]") or self._because(group, name, is_added=is_added)
        if key.startswith("uplinks[") and key.endswith("].streams") and self._loses_streams:
            return "a stream that was taken out has records to be delivered first"
        if group.startswith("api.") and (reason := self._api.why_waits(key)):
            return reason
        return self._note(pattern_of(key))

    def _note(self, pattern: str) -> str:
        entry = entry_for(pattern)
        return entry.note if entry.applies is Applies.RESTART else ""

    def _because(self, group: str, name: str, *, is_added: bool) -> str:
        if group == "listeners" and is_added:
            bind = self._listeners[name].bind
            taken = [(f"the listener {one.name!r}", one.bind) for one in self._running.listeners]
            taken.append(("the HTTP interface", self._running.api.bind))
            other = next((who for who, address in taken if overlap(address, bind)), None)
            return "" if other is None else f"its address is still that of {other}"
        if group == "listeners" and self._is_in_use(name):
            return "clients are connected to it"
        if group == "listeners":
            # Whoever is to have its address can't have it before the next start: until then somebody has to be there.
            bind = self._listeners[name].bind
            heir = next((who for who, address in self._addresses if overlap(address, bind)), None)
            return "" if heir is None else f"{heir} takes its address at the next start"
        if group == "access" and not is_added and name in self._needed_access:
            return "a listener still needs it"
        if group in {"streams", "uplinks"} and is_added is (group == "streams") and self._loses_streams:
            return "a stream that was taken out has records to be delivered first"
        return ""


def _names(settings: GatewaySettings, group: str) -> set[str]:
    return {item.name for item in getattr(settings, group)}


def carriers(settings: GatewaySettings, stream: str) -> list[str]:
    """The uplinks that carry a stream."""
    return [uplink.name for uplink in settings.uplinks if ALL_STREAMS in uplink.streams or stream in uplink.streams]
