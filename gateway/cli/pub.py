"""`fieldgate pub`: one message, or a line of them, to try a listener."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

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
from gateway.cli.outcome import Failed

if TYPE_CHECKING:
    from gateway.cli.mqtt.client import Client

EXAMPLE = """\b
Example:
  fieldgate pub plant/1/temp '{"celsius": 21.5}'
  fieldgate pub --url mqtts://gateway.example --user ann --password-file secret.txt plant/1/temp 21.5
  seq 1000 | fieldgate pub --lines plant/count"""

MAX_MESSAGE_BYTES: Final = 256 * 1024 * 1024
IN_FLIGHT: Final = 100


def pub(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="The topic.")],
    message: Annotated[str | None, typer.Argument(metavar="MESSAGE", help="The payload, as text.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", metavar="FILE", help="The payload is the content of a file.")
    ] = None,
    lines: Annotated[bool, typer.Option("--lines", "-l", help="A message for each line of standard input.")] = False,
    qos: Qos = 1,
    retain: Annotated[bool, typer.Option("--retain", "-r", help="Have it kept for later subscribers.")] = False,
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
    """Publish a message, as a device would.

    Says when it was acknowledged; by the gateway that means: it is on disk. Fails when a message was refused.
    """
    from gateway.cli.mqtt.topics import check_topic

    try:
        check_topic(topic)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint="TOPIC") from error
    payloads = _payloads(message, file, lines=lines)
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
    with client:
        publisher = Publisher(client, topic, qos=qos, retain=retain, timeout_s=timeout, as_json=as_json)
        publisher.run(payloads)
    if lines and not as_json:
        typer.echo(publisher.summary(), err=True)
    if publisher.refused:
        raise typer.Exit(1)


class Publisher:
    """Sends, with so many in flight, and says what became of each."""

    def __init__(self, client: Client, topic: str, *, qos: int, retain: bool, timeout_s: float, as_json: bool) -> None:
        self._client = client
        self._topic = topic
        self._qos = qos
        self._retain = retain
        self._timeout_s = timeout_s
        self._as_json = as_json
        self._waiting: deque[tuple[int, int, float]] = deque()
        self.done = 0
        self.refused = 0
        self._is_one = True

    def run(self, payloads: Iterable[bytes]) -> None:
        """All of them, in their order. Raises Failed when the connection ends or an answer does not come."""
        room = min(IN_FLIGHT, self._client.receive_maximum)
        self._is_one = not isinstance(payloads, Iterator)
        for payload in payloads:
            while len(self._waiting) >= room:
                self._settle()
            number = self._client.publish(self._topic, payload, qos=self._qos, retain=self._retain)
            self._waiting.append((number, len(payload), time.monotonic()))
        while self._waiting:
            self._settle()

    def summary(self) -> str:
        """For many."""
        done = "sent" if not self._qos else "acknowledged"
        text = f"{self.done - self.refused} of {self.done} messages were {done}"
        return f"{text}, {self.refused} refused." if self.refused else f"{text}."

    def _settle(self) -> None:
        number, size_bytes, sent_s = self._waiting.popleft()
        (code, *_) = self._client.wait(number, self._timeout_s)
        took_s = time.monotonic() - sent_s
        self.done += 1
        self.refused += code >= 0x80
        if self._as_json:
            self._print_json(size_bytes, code, took_s)
        elif self._is_one or code >= 0x80:
            typer.echo(self._sentence(size_bytes, code, took_s), err=True)

    def _sentence(self, size_bytes: int, code: int, took_s: float) -> str:
        from gateway.cli.mqtt.sentences import of_publish
        from gateway.cli.words import size
        from gateway.mqtt.topics import matches

        what = f"{self._topic}, {size(size_bytes)}, QoS {self._qos}"
        if code >= 0x80:
            return f"Refused: {what}: {of_publish(code)}."
        if not self._qos:
            return f"Sent: {what}. QoS 0 is not acknowledged; whether it arrived nobody says."
        is_kept = any(matches(topic_filter, self._topic) for topic_filter in self._client.target.kept)
        meaning = "; it is on disk" if is_kept else ""
        remark = f" ({of_publish(code)})" if code else ""
        return f"Acknowledged in {1000 * took_s:.1f} ms{meaning}: {what}{remark}."

    def _print_json(self, size_bytes: int, code: int, took_s: float) -> None:
        import json

        from gateway.cli.mqtt.sentences import name

        body: dict[str, Any] = {
            "topic": self._topic,
            "size_bytes": size_bytes,
            "qos": self._qos,
            "retain": self._retain,
            "is_acknowledged": bool(self._qos) and code < 0x80,
            "reason_code": code,
            "reason": name(code),
            "took_ms": round(1000 * took_s, 3),
            "mqtt_version": self._client.version,
        }
        typer.echo(json.dumps(body, ensure_ascii=False))


def _payloads(message: str | None, file: Path | None, *, lines: bool) -> Iterable[bytes]:
    """A tuple of one, or an iterator over lines. Raises Failed for a file that can't be read."""
    if (message is not None) + (file is not None) + lines != 1:
        raise typer.BadParameter("Give one of these: a MESSAGE, --file, or --lines.")
    if message is not None:
        return (message.encode(errors="surrogateescape"),)
    if file is None:
        return _lines()
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_MESSAGE_BYTES + 1)
    except OSError as error:
        raise Failed(f"{file} can't be read: {error.strerror}.") from error
    if len(content) > MAX_MESSAGE_BYTES:
        raise Failed(f"{file} is larger than 256 MiB, and no message is.")
    return (content,)


def _lines() -> Iterator[bytes]:
    while line := sys.stdin.buffer.readline(MAX_MESSAGE_BYTES + 1):
        if len(line) > MAX_MESSAGE_BYTES:
            raise Failed("A line is longer than 256 MiB, and no message is.")
        yield line.removesuffix(b"\n").removesuffix(b"\r")
