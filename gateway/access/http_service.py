"""A service that is asked whether a client may come in, by HTTP.

    POST <url>  {"client_id": …, "username": …|null, "password": …|null, "address": …}
    200         {"result": "allow"|"deny", "expires_in": seconds?}

Anything else, a redirect too, or no answer in time means that the service is not there, and nobody comes in: it fails
closed. Answers are kept for a time, under a keyed digest of the question (see `verified` for why that is safe); at most
MAX_REQUESTS are on their way at once, and those that wait for their turn are bounded and within the same time limit.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import orjson
from yarl import URL

from bridge.resolver import Resolver
from config.settings import HttpAuthentication
from gateway.access.ports import Credentials

logger = logging.getLogger(__name__)

MAX_REQUESTS: Final = 32
MAX_WAITING: Final = 2048
MAX_ANSWER_BYTES: Final = 64 * 1024
MAX_CACHED: Final = 50_000
DENY_CACHE_S: Final = 5.0
"""A client that was just created is not to wait long; one that is refused asks once a second or so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the service says. `valid_for_s` None: no end."""

    allows: bool
    valid_for_s: float | None = None


class ServiceUnavailable(Exception):
    """The service gave no answer that can be used; the message is a sentence for the log, without a secret."""


class ServiceBusy(Exception):
    """Too many wait for the service already."""


@dataclass(frozen=True, slots=True)
class _Kept:
    allows: bool
    valid_until_s: float | None
    kept_until_s: float


class HttpService:
    """The client of the service. `settings.url` is not None; `key`: 32 random bytes; times are monotonic seconds."""

    def __init__(self, settings: HttpAuthentication, *, key: bytes) -> None:
        assert settings.url is not None  # noqa: S101 - the caller knows that the section is on
        self.settings = settings
        self._url = settings.url
        # For logs: what the URL may hold of a secret stays out.
        self._name = str(URL(settings.url).with_user(None).with_query(None).with_fragment(None))
        self._key = key
        self._session: aiohttp.ClientSession | None = None
        self._is_closed = False
        self._slots = asyncio.Semaphore(MAX_REQUESTS)
        self._waiting = 0
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._times_forgotten = 0

    def remembered(self, credentials: Credentials, *, now_s: float) -> Answer | None:
        """The answer that is still good, if there is one."""
        digest = self._digest(credentials)
        kept = self._kept.get(digest)
        if kept is None:
            return None
        if now_s >= kept.kept_until_s:
            del self._kept[digest]
            return None
        valid_for_s = None if kept.valid_until_s is None else kept.valid_until_s - now_s
        return Answer(allows=kept.allows, valid_for_s=valid_for_s)

    async def ask(self, credentials: Credentials, *, now_s: float) -> Answer:
        """Ask the service. Raises ServiceUnavailable and ServiceBusy."""
        body = _question(credentials)
        if body is None:
            return Answer(allows=False)
        if self._waiting >= MAX_WAITING:
            raise ServiceBusy
        self._waiting += 1
        times_forgotten = self._times_forgotten
        try:
            async with asyncio.timeout(self.settings.timeout_s), self._slots:
                answer = await self._post(body)
        except TimeoutError as error:
            raise ServiceUnavailable(
                f"The service {self._name} gave no answer within {self.settings.timeout_s:g} s."
            ) from error
        finally:
            self._waiting -= 1
        if times_forgotten == self._times_forgotten:
            self._keep(credentials, answer, now_s)
        return answer

    def forget(self) -> None:
        """Forget all answers, also those that are on their way."""
        self._times_forgotten += 1
        self._kept.clear()

    async def close(self) -> None:
        """Close the connections to the service, and ask nothing more; idempotent."""
        self._is_closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _post(self, body: bytes) -> Answer:
        if self._is_closed:  # while it waited for its turn
            raise ServiceUnavailable(f"The service {self._name} is not asked any more.")
        if self._session is None:
            # Certificates are verified (aiohttp's default); the environment's proxies and .netrc mean nothing here.
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MAX_REQUESTS, resolver=Resolver()),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
            )
        headers = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}
        try:
            async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
                if response.status != 200:
                    raise ServiceUnavailable(f"The service {self._name} answered with status {response.status}.")
                content = bytearray()
                async for chunk in response.content.iter_chunked(16 * 1024):
                    content += chunk
                    if len(content) > MAX_ANSWER_BYTES:
                        raise ServiceUnavailable(f"The service {self._name} answered with more than 64 KiB.")
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise ServiceUnavailable(
                f"The service {self._name} can't be reached: {error or type(error).__name__}."
            ) from error
        return self._read(bytes(content))

    def _read(self, content: bytes) -> Answer:
        try:
            said: Any = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise ServiceUnavailable(f"The service {self._name} answered with something that is not JSON.") from error
        result = said.get("result") if isinstance(said, dict) else None
        if result not in ("allow", "deny"):
            raise ServiceUnavailable(f'The service {self._name} answered without a "result" of "allow" or "deny".')
        seconds = said.get("expires_in")
        if seconds is None:
            return Answer(allows=result == "allow")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
            raise ServiceUnavailable(f'The service {self._name} answered with an "expires_in" that is no time.')
        return Answer(allows=result == "allow", valid_for_s=float(seconds))

    def _keep(self, credentials: Credentials, answer: Answer, now_s: float) -> None:
        keep_s = self.settings.cache_s if answer.allows else min(self.settings.cache_s, DENY_CACHE_S)
        valid_until_s = None
        if answer.valid_for_s is not None:
            keep_s = min(keep_s, answer.valid_for_s)
            valid_until_s = now_s + answer.valid_for_s
        if keep_s <= 0:
            return
        digest = self._digest(credentials)
        self._kept[digest] = _Kept(answer.allows, valid_until_s, now_s + keep_s)
        self._kept.move_to_end(digest)
        while len(self._kept) > MAX_CACHED:
            self._kept.popitem(last=False)

    def _digest(self, credentials: Credentials) -> bytes:
        """Of all that the question holds, each part with its length, so that no two questions look the same."""
        made = hmac.new(self._key, digestmod=hashlib.sha256)
        texts = (credentials.client_id, credentials.username, credentials.address)
        for part in (*(None if text is None else text.encode() for text in texts), credentials.password):
            made.update(b"-" if part is None else b"%d:" % len(part))
            made.update(part or b"")
        return made.digest()


def _question(credentials: Credentials) -> bytes | None:
    """The question as JSON; None where the password is no text, so that the service can't know it."""
    try:
        password = None if credentials.password is None else credentials.password.decode()
    except UnicodeDecodeError:
        return None
    return orjson.dumps(
        {
            "client_id": credentials.client_id,
            "username": credentials.username,
            "password": password,
            "address": credentials.address,
        }
    )
