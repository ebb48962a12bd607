"""Why a server does not take a WebSocket: paho throws its answer away, so it is asked once more, in plain HTTP."""

from __future__ import annotations

import base64
import contextlib
import http.client
import secrets
import ssl
from typing import Final

from gateway.cli.mqtt.target import Target
from gateway.cli.shown import cut, shown

MAX_SAID_BYTES: Final = 2000
MAX_SAID_COLUMNS: Final = 300

_ADVICE: Final = {
    401: "It wants a login of its own before MQTT begins, which can't be given here.",
    403: "Its settings, or a proxy before it, say who may come.",
    404: "Give the path that it has, as ws://HOST:PORT/PATH.",
    502: "Is the gateway behind that proxy running?",
    503: "Is the gateway behind that proxy running?",
}


def without_origin(headers: dict[str, str]) -> dict[str, str]:
    """The headers as a client has them that is no web page: paho would name itself as one, of the server's own."""
    return {name: value for name, value in headers.items() if name != "Origin"}


def why_not(target: Target, context: ssl.SSLContext | None, *, timeout_s: float) -> str:
    """A sentence, and what to do. Blocking."""
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": key}
    headers |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Protocol": "mqtt"}
    if target.is_tls:
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            target.host, target.port, timeout=timeout_s, context=context
        )
    else:
        connection = http.client.HTTPConnection(target.host, target.port, timeout=timeout_s)
    try:
        with contextlib.closing(connection):
            connection.request("GET", target.websocket_path or "/", headers=headers)
            answer = connection.getresponse()
            if answer.status == http.client.SWITCHING_PROTOCOLS:
                return f"{target} ended the connection in the midst of the WebSocket's beginning. Try again."
            is_text = answer.headers.get_content_type() == "text/plain"
            body = answer.read(MAX_SAID_BYTES) if is_text else b""
            return refusal(str(target), answer.status, answer.reason, body)
    except (OSError, http.client.HTTPException):  # it was reached a moment ago: what it speaks is not HTTP
        return f"{target} takes no WebSocket. Is it a listener without one? Then write mqtt:// or mqtts://."


def refusal(where: str, status: int, reason: str, body: bytes) -> str:
    """The sentence of an answer that is no WebSocket. Pure."""
    said = body.decode("utf-8", "replace").strip().partition("\n")[0] or reason or "without a word"
    said = cut(shown(said), MAX_SAID_COLUMNS).rstrip(".")
    return f"{where} takes no WebSocket, and answers {status}: {said}. {_ADVICE.get(status, '')}".rstrip()
