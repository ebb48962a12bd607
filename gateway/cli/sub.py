"""`fieldgate sub`: what a subscriber gets."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.api_options import AsJson
from gateway.cli.mqtt.options import (
    CaFile,
    CertFile,
    ClientId,
    KeyFile,
    ListenerName,
    PasswordFile,
    Protocol,
    ProtocolOption,
    Qos,
    Timeout,
    Url,
    User,
    connect_to,
)
from gateway.cli.options import GatewayConfig
from gateway.cli.record_text import Payload
from gateway.cli.tail_options import Count, PayloadOption

if TYPE_CHECKING:
    from paho.mqtt.client import MQTTMessage

EXAMPLE = """\b
Example:
  fieldgate sub 'plant/+/temp'
  fieldgate sub --json --count 10 '#' > ten.jsonl"""


def sub(
    filters: Annotated[list[str], typer.Argument(metavar="FILTER…", help="Topic filters.")],
    qos: Qos = 1,
    count: Count = None,
    payload: PayloadOption = Payload.SHORT,
    url: Url = None,
    listener: ListenerName = None,
    config: GatewayConfig = None,
    user: User = None,
    password_file: PasswordFile = None,
    client_id: ClientId = "",
    protocol: ProtocolOption = Protocol.AUTO,
    ca_file: CaFile = None,
    cert_file: CertFile = None,
    key_file: KeyFile = None,
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Subscribe, as a client would, and print what comes.

    Until Ctrl-C, SIGTERM or --count messages. For what passes through the gateway whoever reads it, there is
    `fieldgate tail`.
    """
    from gateway.cli.ending import Ending
    from gateway.cli.lines import Printer
    from gateway.cli.mqtt.topics import check_filter

    for topic_filter in filters:
        try:
            check_filter(topic_filter)
        except ValueError as error:
            raise typer.BadParameter(f"{error}.", param_hint="FILTER") from error
    client = connect_to(
        config,
        url=url,
        listener=listener,
        user=user,
        password_file=password_file,
        client_id=client_id,
        protocol=protocol,
        ca_file=ca_file,
        cert_file=cert_file,
        key_file=key_file,
    )
    printer = Printer(payload, as_json=as_json)
    try:
        with client, Ending() as ending:
            for topic_filter in filters:
                granted = client.subscribe(topic_filter, qos=qos, timeout_s=timeout)
                if granted < qos:
                    typer.echo(f"{topic_filter}: only QoS {granted} was granted.", err=True)
            typer.echo(f"Subscribed at {client.target} with MQTT {client.version}. Ctrl-C ends it.", err=True)
            for message in client.received():
                with ending.held():
                    printer.record(record_of(message, datetime.now(UTC)), more=not client.messages.empty())
                if count is not None and printer.printed >= count:
                    return
    except KeyboardInterrupt:
        return


def record_of(message: MQTTMessage, now: datetime) -> dict[str, Any]:
    """A message in the form that /api/v1 gives records."""
    from gateway.cli.record_text import payload_of

    record: dict[str, Any] = {
        "at": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "topic": message.topic,
        "qos": message.qos,
        "retain": message.retain,
        "payload": payload_of(bytes(message.payload)),
    }
    properties = message.properties.json() if message.properties is not None else {}  # type: ignore[no-untyped-call]
    return {**record, "properties": json.loads(json.dumps(properties, default=str))} if properties else record
