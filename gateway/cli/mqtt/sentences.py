"""Reason codes and errors of the network as sentences for who is trying something out. Pure."""

from __future__ import annotations

import socket
import ssl
from typing import Final

_OF_CONNECT: Final = {
    0x84: "Give --protocol with the version it speaks.",
    0x85: "Give another --id.",
    0x86: "Check --user and its password.",
    0x87: "This user may not come in here; if none was given, give one with --user.",
    0x88: "Try again later.",
    0x89: "Try again later.",
    0x9F: "Try again later.",
}
_OF_PUBLISH: Final = {
    0x10: "nobody subscribes to it",
    0x83: "it would not say why",
    0x87: "this user may not publish there: look at the rules or the ACL file",
    0x90: "the topic is not taken",
    0x95: "the message is too large",
    0x97: "there is no room: look at `fieldgate status`",
    0x99: "the payload is not what its properties say",
    0x9A: "retained messages are not taken; leave out --retain",
    0x9B: "that QoS is not taken; give a lower one",
}
_OF_SUBSCRIBE: Final = {
    0x80: "most often that this user may not read there; look at the rules or the ACL file",
    0x87: "this user may not read there: look at the rules or the ACL file",
    0x8F: "the filter is not taken",
    0x97: "there are too many subscriptions",
    0x9E: "shared subscriptions are not taken",
    0xA2: "wildcards are not taken",
}


def of_connect(where: str, code: int) -> str:
    """Why nobody was let in."""
    return f"{where} refused the connection: {name(code)}. {_OF_CONNECT.get(code, '')}".rstrip()


def of_publish(code: int) -> str:
    """What the answer to a PUBLISH means."""
    return _with_advice(code, _OF_PUBLISH)


def of_subscribe(code: int) -> str:
    """What the answer to a SUBSCRIBE means."""
    return _with_advice(code, _OF_SUBSCRIBE)


def name(code: int) -> str:
    """The code in MQTT 5's words."""
    from bridge.flow.reasons import describe

    return describe(code).partition(": ")[0]


def unreachable(where: str, error: Exception) -> str:
    """Why there is no connection."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"The certificate of {where} is not believed: {error.verify_message}. Give the certificate of who signed "
            "it with --ca-file, and the host by the name that stands in it."
        )
    if isinstance(error, ssl.SSLError):
        return f"There is no TLS with {where}: {error.reason or error}. Does it speak TLS, or ask for a certificate?"
    if isinstance(error, socket.gaierror):
        return f"The name in {where} is not known: {error.strerror}. Check the address and the DNS."
    if isinstance(error, ConnectionRefusedError):
        return f"Nobody listens at {where}. Is the gateway running? Say where with --url, or -c."
    if isinstance(error, FileNotFoundError):
        return f"There is no socket {where}. Is the gateway running?"
    return f"{where} could not be reached: {getattr(error, 'strerror', None) or error or type(error).__name__}."


def _with_advice(code: int, advice: dict[int, str]) -> str:
    text = name(code)
    return f"{text}: {advice[code]}" if code in advice else text
