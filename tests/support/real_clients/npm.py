"""npm's `mqtt`, in a process of Node that serves all clients of a test."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from tests.support.front_door import Door
from tests.support.real_clients.peer import TIMEOUT_S, Heard, Options, Peer, Properties, Refused, Welcome

SCRIPT = Path(__file__).with_name("npm_client.cjs")

_NAMES = {
    "user_property": "userProperties",
    "content_type": "contentType",
    "response_topic": "responseTopic",
    "correlation_data": "correlationData",
    "payload_format": "payloadFormatIndicator",
    "expiry_s": "messageExpiryInterval",
    "alias": "topicAlias",
    "identifiers": "subscriptionIdentifier",
}
_SCHEMES = {"tcp": "mqtt", "tls": "mqtts", "ws": "ws", "wss": "wss"}


class NodeProcess:
    """The process; `start` before anything else."""

    def __init__(self, modules: Path) -> None:
        self._modules = modules
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._clients: dict[str, Callable[[dict[str, Any]], None]] = {}

    async def start(self) -> None:
        """Start Node."""
        self._process = await asyncio.create_subprocess_exec(
            *("node", str(SCRIPT)),
            env={"NODE_PATH": str(self._modules), "PATH": "/usr/local/bin:/usr/bin:/bin"},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 20,
        )
        self._reader = asyncio.create_task(self._read(self._process.stdout))

    async def _read(self, output: asyncio.StreamReader | None) -> None:
        assert output is not None
        async for line in output:
            said = json.loads(line)
            if "id" in said:
                self._waiting.pop(said["id"]).set_result(said)
            else:
                self._clients[said["client"]](said)

    def follow(self, events: Callable[[dict[str, Any]], None]) -> str:
        """Name a new client whose events go there."""
        name = f"client-{next(self._numbers)}"
        self._clients[name] = events
        return name

    async def ask(self, name: str, what: str, **more: Any) -> dict[str, Any]:
        """What came of it: with `ok` or `error`."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        process.stdin.write(json.dumps({"id": number, "client": name, "do": what, **more}).encode() + b"\n")
        async with asyncio.timeout(TIMEOUT_S):
            return await answer

    async def stop(self) -> None:
        """End it, whatever its clients do."""
        process = self._process
        if process is None or self._reader is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await self._reader
        await process.communicate()


class NpmPeer(Peer):
    """Connects again by itself only when `reconnect` says so."""

    LACKS = frozenset({"two values of a user property in order"})

    def __init__(
        self, door: Door, client_id: str, *, version: int, options: Options, node: NodeProcess, reconnect: bool = False
    ) -> None:
        super().__init__(door, client_id, version=version, options=options)
        self._node = node
        self._name = node.follow(self._on_event)
        self._reconnect = reconnect
        self._is_started = False
        self.connects = 0

    def _on_event(self, said: dict[str, Any]) -> None:
        match said["event"]:
            case "connect":
                self.connects += 1
            case "close":
                self._is_gone(said["reason"])
            case "message":
                self.heard.put_nowait(
                    Heard(
                        topic=said["topic"],
                        payload=base64.b64decode(said["payload"]),
                        qos=said["qos"],
                        retain=said["retain"],
                        properties=_plain(said["properties"]),
                        handle=said["hold_id"],
                    )
                )

    async def connect(self) -> Welcome:
        self.gone = asyncio.get_running_loop().create_future()
        answer = await self._node.ask(
            self._name, "connect", url=self._url(), options=self._options(), hold=self.options.hold
        )
        self._is_started = True
        if "error" in answer:
            code = answer["error"]["code"]
            if code is None or isinstance(code, int):
                raise Refused(code)
            raise OSError(answer["error"]["message"])
        keep_alive_s = answer["ok"]["properties"].get("serverKeepAlive")
        return Welcome(session_present=answer["ok"]["sessionPresent"], keep_alive_s=keep_alive_s)

    def _url(self) -> str:
        door = self.door
        if door.path:
            return f"mqtt+unix://{door.path}"
        path = "/mqtt" if door.is_websocket else ""
        return f"{_SCHEMES[door.transport]}://127.0.0.1:{door.port}{path}"

    def _options(self) -> dict[str, Any]:
        options, door = self.options, self.door
        given: dict[str, Any] = {
            "clientId": self.client_id,
            "protocolVersion": self.version,
            "clean": options.clean,
            "keepalive": options.keep_alive_s,
            "reconnectPeriod": 100 if self._reconnect else 0,
            "connectTimeout": 30_000,
            "username": options.username,
            "password": options.password,
        }
        if door.ca_file:
            given["ca"] = door.ca_file.read_text()
            given["wsOptions"] = {"ca": given["ca"]}
        if door.pair:
            given |= {"cert": door.pair.cert_file.read_text(), "key": door.pair.key_file.read_text()}
        if self.version == 5:
            properties = {
                "sessionExpiryInterval": options.expiry_s or None,
                "receiveMaximum": options.receive_maximum,
                "topicAliasMaximum": options.alias_maximum,
            }
            given["properties"] = {name: value for name, value in properties.items() if value is not None}
        if will := options.will:
            given["will"] = {"topic": will.topic, "payload": will.payload, "qos": will.qos, "retain": will.retain}
            if self.version == 5:
                given["will"]["properties"] = {"willDelayInterval": will.delay_s}
        return {name: value for name, value in given.items() if value is not None}

    async def subscribe(
        self,
        topic_filter: str,
        qos: int = 0,
        *,
        no_local: bool = False,
        retain_as_published: bool = False,
        retain_handling: int = 0,
        identifier: int | None = None,
    ) -> int:
        options: dict[str, Any] = {"qos": qos}
        if self.version == 5:
            options |= {"nl": no_local, "rap": retain_as_published, "rh": retain_handling}
            if identifier is not None:
                options["properties"] = {"subscriptionIdentifier": identifier}
        answer = await self._node.ask(self._name, "subscribe", filter=topic_filter, options=options)
        reason: int = answer["ok"]["reason"]
        return reason

    async def unsubscribe(self, topic_filter: str) -> None:
        assert "ok" in await self._node.ask(self._name, "unsubscribe", filter=topic_filter)

    async def publish(
        self, topic: str, payload: str, qos: int = 0, *, retain: bool = False, properties: Properties | None = None
    ) -> int | None:
        options: dict[str, Any] = {"qos": qos, "retain": retain}
        if properties is not None:
            options["properties"] = _theirs(properties)
        ask = asyncio.create_task(self._node.ask(self._name, "publish", topic=topic, payload=payload, options=options))
        waits = {ask} if self._reconnect else {ask, self.gone}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if not ask.done():
            ask.cancel()
            raise ConnectionError("gone")
        answer = await ask
        if "error" in answer:
            raise ConnectionError(answer["error"]["message"])
        reason: int | None = answer["ok"]["reason"]
        return reason

    async def acknowledge(self, heard: Heard) -> None:
        await self._node.ask(self._name, "acknowledge", hold_id=heard.handle)

    async def disconnect(self, reason: int = 0) -> None:
        await self._node.ask(self._name, "end", reason=reason)

    async def cut(self) -> None:
        await self._node.ask(self._name, "cut")
        await self.until_gone()

    async def close(self) -> None:
        """Its process ends with the test."""


def _plain(properties: dict[str, Any]) -> dict[str, Any]:
    found = {name: properties[theirs] for name, theirs in _NAMES.items() if theirs in properties}
    found.pop("alias", None)
    if "user_property" in found:
        found["user_property"] = [
            (name, value)
            for name, values in found["user_property"].items()
            for value in (values if isinstance(values, list) else [values])
        ]
    if "correlation_data" in found:
        found["correlation_data"] = base64.b64decode(found["correlation_data"])
    if "payload_format" in found:
        found["payload_format"] = int(found["payload_format"])
    if isinstance(found.get("identifiers"), int):
        found["identifiers"] = [found["identifiers"]]
    return found


def _theirs(properties: Properties) -> dict[str, Any]:
    given = {_NAMES[name]: value for name, value in properties.items()}
    if "userProperties" in given:
        pairs: dict[str, list[str]] = {}
        for name, value in given["userProperties"]:
            pairs.setdefault(name, []).append(value)
        given["userProperties"] = pairs
    if "correlationData" in given:
        given["correlationData"] = base64.b64encode(given["correlationData"]).decode()
    if "payloadFormatIndicator" in given:
        given["payloadFormatIndicator"] = bool(given["payloadFormatIndicator"])
    return given
