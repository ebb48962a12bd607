"""The whole of a mosquitto.conf as the whole of a gateway.yaml. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from config.errors import nearest
from gateway.cli.import_mosquitto import general
from gateway.cli.import_mosquitto.bridges import Bridges
from gateway.cli.import_mosquitto.conf import (
    BRIDGE_OPTIONS,
    LISTENER_OPTIONS,
    SECURITY_OPTIONS,
    Line,
    Section,
    arrange,
)
from gateway.cli.import_mosquitto.doors import Doors
from gateway.cli.import_mosquitto.reasons import DEFAULTS, PREFIXES, REASONS
from gateway.cli.import_mosquitto.remarks import Kind, Remark, Remarks

NOT_KNOWN: Final = "this option is not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """`document` is what gateway.yaml holds; empty `listeners` in it mean that no door could be made."""

    document: dict[str, Any]
    remarks: tuple[Remark, ...]

    @property
    def has_doors(self) -> bool:
        """Whether anybody could come in."""
        return bool(self.document["listeners"])


def translate(lines: Iterable[Line], *, has_ipv6: bool = True) -> Imported:
    """What the lines come to. `has_ipv6`: whether a listener for all addresses can be bound to `[::]` here."""
    conf = arrange(lines)
    remarks = Remarks()
    common = general.of_every_listener(conf.general, remarks)
    doors = Doors(conf, remarks, has_ipv6=has_ipv6, common=common)
    doors.build()
    bridges = Bridges(remarks)
    for section in conf.bridges:
        if section.head is not None:
            bridges.add(section.head, section)
    general.persistence(conf.general, remarks)
    document = {
        "listeners": doors.listeners,
        "access": doors.access,
        "sessions": general.sessions(conf.general, remarks),
        "limits": general.limits(conf.general, remarks),
        "streams": bridges.streams,
        "spool": general.spool(common),
        "uplinks": bridges.uplinks,
        "log": general.log(conf.general, remarks),
    }
    if not bridges.uplinks:
        remarks.different(
            None,
            "Nothing here says where the cloud is: without uplinks in gateway.yaml it is mqtt://127.0.0.1:1884, and "
            "what devices publish waits for it in the spool.",
        )
    for section in conf.sections:
        for line in section.overridden:
            remarks.needless(line, "a later line says it again, and holds.")
        for line in section.lines:
            _explain(line, section, remarks)
    kept = {key: value for key, value in document.items() if value or key == "listeners"}
    return Imported(document=kept, remarks=tuple(sorted(remarks.all, key=_order)))


def _explain(line: Line, section: Section, remarks: Remarks) -> None:
    """Why nobody took this line."""
    reason = REASONS.get(line.option)
    if reason is None:
        reason = next((why for prefix, why in PREFIXES.items() if line.option.startswith(prefix)), None)
    if line.option in DEFAULTS and line.value == DEFAULTS[line.option]:
        remarks.needless(line, "the gateway does so anyway.")
    elif reason is not None:
        remarks.add(reason[0], line, reason[1])
    elif line.option in BRIDGE_OPTIONS:
        sentence = "it stands above the first connection." if section.head is None else "an uplink has no such setting."
        remarks.left_out(line, sentence)
    else:
        known = {*REASONS, *BRIDGE_OPTIONS, *LISTENER_OPTIONS, *SECURITY_OPTIONS}
        remarks.left_out(line, f"{NOT_KNOWN}{nearest(line.option, sorted(known))}.")


def _order(remark: Remark) -> tuple[int, str, int]:
    """What matters most first, then as in the files."""
    file, _, number = (remark.place or "").rpartition(":")
    return list(Kind).index(remark.kind), file, int(number or 0)
