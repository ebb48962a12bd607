"""Asking a running gateway or receiver over HTTP, with nothing but the standard library.

One connection a request: a command asks a few times and ends. No proxy is asked: the gateway is on this machine or this
network, and a proxy's error page would hide what is wrong.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gateway.cli.event_stream import EventReader, ServerEvent
from gateway.cli.outcome import Failed
from gateway.cli.shown import cut, shown
from gateway.cli.standing import beside, standing
from gateway.cli.words import ended

if TYPE_CHECKING:
    from config.loader import Program

TIMEOUT_S: Final = 5.0
ACTION_TIMEOUT_S: Final = 30.0
"""An action waits for the disk."""
SILENCE_S: Final = 35.0
"""A stream of events has a sign of life every few seconds."""
MAX_BODY_BYTES: Final = 64 * 1024 * 1024
MAX_LINE_BYTES: Final = 64 * 1024 * 1024
MAX_SAID_COLUMNS: Final = 200
_MAX_ERROR_BYTES: Final = 64 * 1024

Query = Mapping[str, str | int | Sequence[str | int] | None]


class RequestRefused(Failed):
    """The other side answered with an error."""

    def __init__(self, sentence: str, status: int, body: bytes = b"") -> None:
        super().__init__(sentence)
        self.status = status
        self._body = body

    @property
    def error(self) -> dict[str, Any]:
        """What it said of the error, as it said it: `message`, perhaps `problems`; empty where it is not ours."""
        try:
            error = json.loads(self._body)["error"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return {}
        return error if isinstance(error, dict) else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiClient:
    """`base` is `http://HOST:PORT` or `https://…`, perhaps with a path before `/api`; `token` a bearer token."""

    base: str
    token: str | None = field(default=None, repr=False)
    context: ssl.SSLContext | None = field(default=None, repr=False)
    """What is believed of an https server; None: what the system believes."""
    program: Program = "gateway"
    """Who is asked, where that is known: a gateway or a receiver."""
    data_dir: Path | None = None
    """Of the gateway that is asked, where that is known: its lock says whether it runs."""

    def missing(self) -> OSError | None:
        """Why nobody takes a connection there; None: somebody does."""
        parts = urllib.parse.urlsplit(self.base)
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            socket.create_connection((parts.hostname or "", port), TIMEOUT_S).close()
        except OSError as error:
            return error
        return None

    def url(self, path: str, query: Query | None = None) -> str:
        """The whole address of a path of the interface."""
        return f"{self.base}{path}{_encoded(query)}"

    def get(self, path: str, query: Query | None = None, *, timeout_s: float = TIMEOUT_S) -> Any:
        """The JSON that is there. Raises Failed with a sentence."""
        with self._answer("GET", path, query, timeout_s=timeout_s) as answer:
            return _parsed(answer, self.url(path))

    def post(self, path: str, body: Mapping[str, Any], *, timeout_s: float = ACTION_TIMEOUT_S) -> Any:
        """Do something; the JSON that says what came of it. Raises Failed."""
        with self._answer("POST", path, None, timeout_s=timeout_s, body=json.dumps(body).encode()) as answer:
            return _parsed(answer, self.url(path))

    def follow(self, path: str, query: Query | None = None, *, silence_s: float = SILENCE_S) -> Iterator[ServerEvent]:
        """The events of a stream, until the other side ends it. Raises Failed, also when nothing comes for so long."""
        url = self.url(path)
        with self._answer("GET", path, query, timeout_s=silence_s, accept="text/event-stream") as answer:
            if "text/event-stream" not in (answer.headers.get("Content-Type") or ""):
                raise Failed(f"{url} did not answer with a stream of events: something else listens there.")
            reader = EventReader()
            for line in _lines(answer, url):
                try:
                    event = reader.feed(line.decode("utf-8", "replace"))
                except ValueError as error:
                    raise Failed(f"{url} sent what is no stream of ours: {error}. It was given up.") from error
                if event is not None:
                    yield event

    def lines(self, path: str, query: Query | None = None, *, silence_s: float = SILENCE_S) -> Iterator[bytes]:
        """The lines of an export (application/x-ndjson), without their ends. Raises Failed."""
        with self._answer("GET", path, query, timeout_s=silence_s, accept="application/x-ndjson") as answer:
            for line in _lines(answer, self.url(path)):
                if line := line.rstrip(b"\r\n"):
                    yield line

    @contextlib.contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        query: Query | None,
        *,
        timeout_s: float,
        accept: str = "application/json",
        body: bytes | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        """The answer to a request, when it is a good one."""
        url = self.url(path)
        parts = urllib.parse.urlsplit(self.base)
        headers = {"Accept": accept, "User-Agent": "fieldgate"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        try:
            connection = self._connection(parts, timeout_s)
            with contextlib.closing(connection):
                connection.request(method, f"{parts.path}{path}{_encoded(query)}", body, headers)
                with connection.getresponse() as answer:
                    if not 200 <= answer.status < 300:
                        said = answer.read(_MAX_ERROR_BYTES)
                        raise RequestRefused(refusal(url, answer.status, answer.reason, said), answer.status, said)
                    yield answer
        except TimeoutError as error:
            advice = f"Is the {self.program} overloaded, or the link? {beside(self.data_dir)}".rstrip()
            raise Failed(f"{url} said nothing for {timeout_s:g} s. {advice}") from error
        except ssl.SSLCertVerificationError as error:
            raise Failed(
                f"The certificate of {url} is not believed: {error.verify_message}. Give the certificate of who signed "
                "it with --ca-file, and the name that stands in it with --api."
            ) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Failed(nobody(url, error, standing(self.data_dir, self.program))) from error

    def _connection(self, parts: urllib.parse.SplitResult, timeout_s: float) -> http.client.HTTPConnection:
        host = parts.hostname or ""
        if parts.scheme == "https":
            context = self.context or ssl.create_default_context()
            return http.client.HTTPSConnection(host, parts.port, timeout=timeout_s, context=context)
        return http.client.HTTPConnection(host, parts.port, timeout=timeout_s)


def refusal(url: str, status: int, reason: str, body: bytes) -> str:
    """The sentence of an answer that is an error: what the other side said, and what to do. Pure."""
    said = _message(body)
    if (
        status == 409 and said is not None
    ):  # nothing is wrong with the request: the sentence says what stands against it
        return ended(said)
    if status == 401:
        advice = (
            "Give a token with --token-file or in FIELDGATE_TOKEN; `fieldgate token` makes one and writes it into "
            "api.token_file, which a running gateway reads again on SIGHUP."
        )
    elif status == 403:
        advice = "Use a token whose role is operator."
    elif status == 421:
        advice = "Give its IP address with --api, or write the name into api.hosts."
    elif status == 404 and said is None:
        advice = "Is it an older Fieldgate, or something else that listens there?"
    else:
        advice = ""
    sentence = ended(f"{url} answered {status}: {said or reason or 'without a word'}")
    return f"{sentence} {advice}".rstrip()


def nobody(url: str, reason: BaseException, advice: str) -> str:
    """The sentence for an address where nobody answers. Pure."""
    text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    if isinstance(reason, socket.gaierror):
        return f"Nothing answers at {url}: its name is not known ({text}). Check the name, and the DNS."
    if isinstance(reason, http.client.HTTPException):  # somebody is there
        advice = "Is that the port of its api, and not of a listener? If it is just being restarted, try again."
        return f"Nothing answers at {url} in HTTP ({cut(shown(text), MAX_SAID_COLUMNS)}). {advice}"
    return f"Nothing answers at {url} ({text}). {advice}"


def _encoded(query: Query | None) -> str:
    written = [(key, value) for key, value in (query or {}).items() if value is not None]
    return f"?{urllib.parse.urlencode(written, doseq=True)}" if written else ""


def _lines(answer: http.client.HTTPResponse, url: str) -> Iterator[bytes]:
    while line := answer.readline(MAX_LINE_BYTES + 1):
        if len(line) > MAX_LINE_BYTES:
            raise Failed(f"{url} answered with a line of more than {MAX_LINE_BYTES} bytes; it was given up.")
        yield line
    _whole(answer, url)


def _whole(answer: http.client.HTTPResponse, url: str) -> None:
    """Raises Failed when less came than was announced: http.client does so only for whole and for chunked reads."""
    if answer.length and not answer.chunked:
        raise Failed(f"{url} broke off its answer. Is it being restarted? Try again.")


def _parsed(answer: http.client.HTTPResponse, url: str) -> Any:
    body = answer.read(MAX_BODY_BYTES + 1)
    if len(body) > MAX_BODY_BYTES:
        raise Failed(f"{url} answered with more than {MAX_BODY_BYTES} bytes; it was given up.")
    _whole(answer, url)
    if not body:
        return {}
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Failed(f"{url} did not answer in JSON: something else listens there.") from error


def _message(body: bytes) -> str | None:
    """The sentence of an error that Fieldgate wrote as JSON, its problems behind it."""
    try:
        error = json.loads(body)["error"]
        problems = [one["message"] if isinstance(one, dict) else one for one in error.get("problems") or ()]
        lines = [str(line) for line in (error["message"], *problems)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return " ".join(shown(line) for line in lines)
