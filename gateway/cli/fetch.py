"""Asking a running gateway or receiver over HTTP, with nothing but the standard library."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any

from config.settings import Address
from gateway.cli.outcome import Failed

STATUS_PATH = "/api/v1/status"
TIMEOUT_S = 5.0
MAX_BYTES = 16 * 1024 * 1024

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


def url_of(bind: Address) -> str:
    """Where a server bound there answers on this machine."""
    return f"http://{Address(host=_ANYWHERE.get(bind.host, bind.host), port=bind.port)}"


def status_url(api: str) -> str:
    """The status's address from what a person wrote: `http://HOST:PORT`, or `HOST:PORT`, or the whole of it."""
    base = api.strip().rstrip("/")
    if "://" not in base:
        base = f"http://{base}"
    if not base.startswith(("http://", "https://")):
        raise Failed(f"{api} is not an HTTP address. Write it as http://HOST:PORT.")
    return base if base.endswith(STATUS_PATH) else base + STATUS_PATH


def fetch_status(api: str, *, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
    """The status that `api` serves. Raises Failed with a sentence."""
    url = status_url(api)
    # No proxy: the gateway is on this machine or this network, and a proxy's error page would hide what is wrong.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout_s) as response:
            body = response.read(MAX_BYTES)
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(4096).decode("utf-8", "replace")
        raise Failed(f"{url} answered {error.code}: {_message(said) or error.reason}") from error
    except urllib.error.URLError as error:
        raise Failed(_nobody(url, error.reason)) from error
    except (OSError, HTTPException, ValueError) as error:
        raise Failed(_nobody(url, error)) from error
    status = _parsed(body)
    if not isinstance(status, dict):
        raise Failed(f"{url} did not answer with a status: something else listens there.")
    return status


def _nobody(url: str, reason: object) -> str:
    text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return f"Nothing answers at {url} ({text}). Is it running? Say where its api listens with --api or -c."


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _message(body: str) -> str:
    """The sentence of an error that Fieldgate wrote as JSON."""
    parsed = _parsed(body.encode())
    error = parsed.get("error") if isinstance(parsed, dict) else None
    return str(error.get("message", "")) if isinstance(error, dict) else ""
