"""What was imported, as YAML and as text. Pure."""

from __future__ import annotations

import textwrap
from typing import Any, Final

import yaml

from gateway.cli.import_mosquitto.remarks import Kind, Remark
from gateway.cli.import_mosquitto.translation import Imported
from gateway.cli.shown import shown

HEADINGS: Final = {
    Kind.LEFT_OUT: "Not carried over",
    Kind.DIFFERENT: "Carried over, but different",
    Kind.NEEDLESS: "Needs no setting",
}


def yaml_text(imported: Imported, source: str) -> str:
    """The file, with what was not carried over as comments on top."""
    lines = [f"# Made from {shown(source)} by `fieldgate import mosquitto`."]
    for kind in (Kind.LEFT_OUT, Kind.DIFFERENT):
        remarks = [remark for remark in imported.remarks if remark.kind is kind]
        if remarks:
            lines += ["#", f"# {HEADINGS[kind]}:"]
            for remark in remarks:
                lines += textwrap.wrap(
                    sentence(remark), 116, initial_indent="#   ", subsequent_indent="#     ", break_long_words=False
                )
    body = yaml.safe_dump(_escaped(imported.document), sort_keys=False, allow_unicode=True, width=120)
    return "\n".join(lines) + "\n\n" + body


def report(remarks: tuple[Remark, ...]) -> list[str]:
    """The lines for a person."""
    lines: list[str] = []
    for kind, heading in HEADINGS.items():
        of_kind = [remark for remark in remarks if remark.kind is kind]
        if of_kind:
            lines += [f"{heading}:", *(f"  {sentence(remark)}" for remark in of_kind)]
    return lines


def sentence(remark: Remark) -> str:
    """`mosquitto.conf:12: capath /etc/certs: certificates to believe are …`."""
    if remark.place is None:
        return remark.sentence
    return shown(f"{remark.place}: {remark.option}: {remark.sentence}")


def _escaped(value: Any) -> Any:
    """A configuration fills in ${NAME}; what Mosquitto had is meant as it stands."""
    if isinstance(value, dict):
        return {key: _escaped(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_escaped(one) for one in value]
    return value.replace("${", "$${") if isinstance(value, str) else value
