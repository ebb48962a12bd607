"""The status of a running gateway or receiver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from config.settings import Address
from gateway.cli.api_options import base_url, near
from gateway.cli.outcome import Failed

if TYPE_CHECKING:
    from gateway.cli.api_client import ApiClient

STATUS_PATH = "/api/v1/status"


def url_of(bind: Address) -> str:
    """Where a server bound there answers on this machine."""
    return f"http://{near(bind)}"


def status_url(api: str) -> str:
    """The status's address from what a person wrote: `http://HOST:PORT`, or `HOST:PORT`, or the whole of it."""
    return base_url(api) + STATUS_PATH


def fetch_status(api: str | ApiClient) -> dict[str, Any]:
    """The status that `api` serves. Raises Failed with a sentence."""
    from gateway.cli.api_client import ApiClient

    client = api if isinstance(api, ApiClient) else ApiClient(base=base_url(api))
    status = client.get(STATUS_PATH)
    if not isinstance(status, dict):
        raise Failed(f"{client.url(STATUS_PATH)} did not answer with a status: something else listens there.")
    return status
