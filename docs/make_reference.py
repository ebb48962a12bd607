"""Writes docs/reference from the code, so that it says what is true: `make reference`, or `python "
"docs/make_reference.py`.

Settings come from the tables that the loader reads by, commands from the command line itself, metrics from the
collectors, codes from the enumerations and the error classes. A test holds the pages against a fresh run.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "reference"
sys.path.insert(0, str(Path(__file__).parents[1]))

HEAD = "<!-- Made from the code by `make reference`; change it there. -->\n\n"


def pages() -> dict[str, str]:
    """Every page's text by its file name."""
    makers: dict[str, Callable[[], str]] = {
        "gateway-yaml.md": gateway_settings,
        "receiver-yaml.md": receiver_settings,
        "commands.md": commands,
        "metrics.md": metrics,
        "topics.md": topics,
        "codes.md": codes,
    }
    return {name: HEAD + make().rstrip() + "\n" for name, make in makers.items()}


# ---- settings -----------------------------------------------------------------------------------------------------


def gateway_settings() -> str:
    from config.gateway_keys import GATEWAY
    from gateway.live_keys import applies

    return (
        "# gateway.yaml\n\n"
        "Every key has a default, so an empty file runs. Durations are written `250ms`, `30s`, `1h`; sizes `128KiB`, "
        "`1GiB`. `${VAR}` and `${VAR:-default}` are filled in from the environment, and "
        "`FIELDGATE__SECTION__KEY=value` overrides a key (`FIELDGATE__UPLINKS__CLOUD__URL` one of a named item). "
        "`fieldgate check` shows what a file comes to, `fieldgate schema` prints it for editors.\n\n"
        "**Takes hold**: *live* with a reload (`fieldgate reload`, SIGHUP, the page Configuration), which costs no "
        "connection of a device and nothing of the queue; *restart* with the next start.\n\n"
        + "\n".join(_section(GATEWAY, "", GATEWAY.settings(), lambda key: applies(key).value))
    )


def receiver_settings() -> str:
    from bridge.receiver.configuration import applies
    from config.receiver_keys import RECEIVER

    return (
        "# receiver.yaml\n\n"
        "Written as [gateway.yaml](gateway-yaml.md) is.\n\n"
        "**Takes hold**: *live* with a reload (`fieldgate reload`, SIGHUP), which costs neither the connection to the "
        "broker nor a record; *restart* with the next start.\n\n"
        + "\n".join(_section(RECEIVER, "", RECEIVER.settings(), lambda key: applies(key).value))
    )


def _section(section: Any, path: str, default: Any, when: Callable[[str], str]) -> Iterator[str]:
    from config.shapes import Section, SectionList

    rows, below = [], []
    for key in section.keys:
        dotted = f"{path}.{key.name}" if path else key.name
        shape = key.shape
        if isinstance(shape, Section):
            below.append((f"## `{dotted}`", key.doc, shape, dotted, getattr(default, key.attribute)))
        elif isinstance(shape, SectionList):
            for name, variant in shape.variants.items():
                label = f"{dotted}[]" if not name else f"{dotted}[] of {shape.label} {name}"
                below.append((f"## `{label}`", key.doc, variant, f"{dotted}[]", variant.settings()))
        else:
            row = [f"`{key.name}`", _expected(shape), _default(key, default), key.doc]
            rows.append([*row[:3], when(dotted), row[3]])
    if rows:
        head = ["key", "what belongs there", "default", "takes hold", "what it is"]
        yield _table(head, rows)
    for title, doc, shape, dotted, value in below:
        yield f"{title}\n\n{doc}\n"
        yield from _section(shape, dotted, value, when)


def _expected(shape: Any) -> str:
    from config.shapes import ValueList

    if isinstance(shape, ValueList):
        return f"a list such as `{shape.example}`"
    return str(shape.expected)


def _default(key: Any, default: Any) -> str:
    from config.schema import _computed
    from config.shapes import ValueList

    if key.alias or key.selects or key.attribute in _computed(default):
        return ""
    value = getattr(default, key.attribute)
    if isinstance(key.shape, ValueList):
        return f"`[{', '.join(str(key.shape.item.write(item)) for item in value)}]`"
    if value is None:
        return f"`{word}`" if (word := getattr(key.shape, "word", None)) else ""
    return f"`{key.shape.write(value)}`"


# ---- commands -----------------------------------------------------------------------------------------------------


def commands() -> str:
    import typer.main

    from gateway.cli.program import app

    root = typer.main.get_command(app)
    parts = [
        (
            "# Commands\n\n"
            "`fieldgate COMMAND --help` says the same, with an example. Exit codes: 0 ok, 1 failed, 2 wrong "
            "usage, 78 bad "
            "configuration.\n"
        )
    ]
    parts += _command(root, "fieldgate")
    return "\n".join(parts)


def _command(command: Any, name: str) -> Iterator[str]:
    context = command.make_context(name, [], resilient_parsing=True)
    if hasattr(command, "list_commands"):
        for sub in command.list_commands(context):
            below = command.get_command(context, sub)
            if below is not None and not below.hidden:
                yield from _command(below, f"{name} {sub}")
        return
    help_text = re.sub(r"\s*\n(?!\n)\s*", " ", inspect.cleandoc(command.help or "")).replace("\n\n", "\n")
    yield f"## `{name}`\n\n" + "\n\n".join(line.strip() for line in help_text.split("\n") if line.strip()) + "\n"
    usage = " ".join(piece for piece in command.collect_usage_pieces(context) if piece)
    yield f"```\n{name} {usage}\n```\n"
    rows = [
        [f"`{record[0]}`", record[1]]
        for parameter in command.get_params(context)
        if (record := parameter.get_help_record(context)) and parameter.name != "help"
    ]
    if rows:
        yield _table(["option", "what it does"], rows)


# ---- metrics ------------------------------------------------------------------------------------------------------


def metrics() -> str:
    from bridge.receiver.metrics import describe as of_receiver
    from gateway.api.metrics import describe as of_gateway

    parts = [
        (
            "# Metrics\n\nAt `/metrics`, in Prometheus' text format or OpenMetrics, whichever is asked for; with "
            "`telemetry.url` the same are pushed by OpenTelemetry's protocol. Labels are names that the operator "
            "wrote or "
            "words of a fixed list, so their number is bounded. The process's memory, processor time and file "
            "descriptors "
            "are there, too (`process_…`).\n"
        )
    ]
    for title, entries in (("Gateway", of_gateway()), ("Receiver", of_receiver())):
        rows = [[f"`{e.name}`", e.type, ", ".join(f"`{label}`" for label in e.labels), e.help] for e in entries]
        parts.append(f"## {title}\n\n" + _table(["name", "type", "labels", "what it is"], rows))
    return "\n".join(parts)


# ---- topics -------------------------------------------------------------------------------------------------------


def topics() -> str:
    from config.settings import ReceiverIdentity, Uplink
    from gateway.broker.sys_meanings import MEANINGS
    from gateway.broker.sys_topics import PREFIX

    rows = [[f"`{PREFIX}{name}`", meaning] for name, meaning in sorted(MEANINGS.items())]
    return (
        "# Topics\n\n## Towards the cloud\n\n"
        f"Frames are published to `{Uplink().topic}` (`uplinks[].topic`) with QoS 1, and the receiver subscribes to "
        f"`{ReceiverIdentity().topic}` (`receiver.topic`). What a frame is: [frame format](../frame-format.md). "
        "`fieldgate doctor` publishes one small message to a topic below it, to learn whether it may.\n\n"
        "## On the box\n\n"
        "Devices publish and subscribe as they like. Below `$SYS/` only the gateway speaks (and a Mosquitto that "
        "bridges "
        "to it, of its connection's state); filters that begin with a wildcard don't match it. Values are "
        "retained, sent "
        "with QoS 0 every `limits.sys_interval` when they changed, and go into no stream that does not name "
        "`$SYS`. Names "
        "are those of Mosquitto 2.\n\n" + _table(["topic", "what it says"], rows)
    )


# ---- codes --------------------------------------------------------------------------------------------------------


def codes() -> str:
    return "\n".join(
        [
            "# Codes and reasons\n",
            "## Exit codes\n",
            _table(
                ["code", "meaning"],
                [
                    ["0", "done"],
                    ["1", "failed; one sentence on standard error says why"],
                    ["2", "wrong usage"],
                    ["78", "bad configuration (EX_CONFIG): every mistake with its file and line"],
                    ["130", "ended by Ctrl-C"],
                ],
            ),
            "## What devices are told (MQTT 5 §2.4)\n",
            (
                "MQTT 3.1.1 has fewer words: CONNACK's return codes are in the last column, all other refusals "
                "are silence "
                "or the end of the connection.\n"
            ),
            _table(["code", "name", "3.1.1 CONNACK"], _reason_codes()),
            "## What a cloud broker's answer to a frame means\n",
            _table(["code", "name and what to do", "then"], _verdicts()),
            "## Why records are dropped\n",
            "Each drop is counted, logged with its sequence numbers, and declared to the receiver as a gap.\n",
            _table(["reason", "meaning"], [[f"`{name}`", meaning] for name, meaning in _drops().items()]),
            "## Error codes of the bridge\n",
            "The stable words in logs, metrics and the API (frames that are set aside, sinks, links).\n",
            _table(["code", "meaning", "worth another try"], _errors()),
        ]
    )


def _reason_codes() -> list[list[str]]:
    from gateway.mqtt.reason_codes import ReasonCode, connack_return_code

    rows = []
    for code in ReasonCode:
        old = connack_return_code(code)
        name = code.name.replace("_", " ").lower()
        rows.append([f"0x{code:02X}", name, "" if old is None else f"{old.value} {old.name.replace('_', ' ').lower()}"])
    return rows


def _verdicts() -> list[list[str]]:
    from bridge.flow.reasons import Verdict, describe, verdict
    from gateway.mqtt.reason_codes import PUBACK_CODES

    words = {
        Verdict.DELIVERED: "delivered",
        Verdict.RETRY: "kept, and tried again later",
        Verdict.SPLIT: "sent again in smaller frames; a single record becomes a dead letter",
        Verdict.REFUSED: "a dead letter",
    }
    return [[f"0x{code:02X}", describe(code), words[verdict(code)]] for code in sorted(PUBACK_CODES | {0x95})]


def _drops() -> dict[str, str]:
    return {
        "full": "the spool reached `spool.max_size` with `when_full: drop_oldest`",
        "expired": "older than the stream's `time_to_live`",
        "corrupt": "a block did not match its checksum; what is left of it is a dead letter",
        "dead_letter": "the cloud's broker will never take it; kept as a dead letter, to be replayed or discarded",
    }


def _errors() -> list[list[str]]:
    from bridge import errors

    found = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.BridgeError) and "code" in vars(kind)
    ]
    return [
        [f"`{kind.code}`", inspect.getdoc(kind).split("\n\n")[0].replace("\n", " "), "yes" if kind.retryable else "no"]
        for kind in found
        if not any(other is not kind and issubclass(other, kind) for other in found)
    ]


# ---- tables -------------------------------------------------------------------------------------------------------


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return (
        "\n".join(
            "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines
        )
        + "\n"
    )


def main() -> None:
    """Write all pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
