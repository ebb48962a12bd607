"""What is allowed, and seldom meant: sentences for who checks or starts a configuration that is right."""

from __future__ import annotations

from urllib.parse import urlsplit

from config.api_checks import api_advice
from config.settings import Address, GatewaySettings, ReceiverSettings


def advice(settings: GatewaySettings | ReceiverSettings) -> list[str]:
    """One sentence for each thing that the operator may want to know before somebody else finds it."""
    sentences = api_advice(settings.api)
    if isinstance(settings, ReceiverSettings):
        return sentences
    for access in settings.access:
        if access.http.url is None:
            continue
        parts = urlsplit(access.http.url)
        if parts.scheme == "http" and not Address(host=parts.hostname or "", port=0).is_loopback:
            sentences.append(
                f"access[{access.name}].http.url: passwords go to {parts.hostname} in the clear, where others on the "
                "way can read them, and answer in its place. Write https://, or have the service on this machine."
            )
    return sentences
