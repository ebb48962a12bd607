"""Eleven thousand odd packets, each to the gateway and to a real Mosquitto: where they differ, there is a reason.

Compared is whether the connection goes on, and which packets come back. Mosquitto 2.0 lets much pass that MQTT 5 and
3.1.1 call malformed; the gateway does not. The gateway lets pass one thing that Mosquitto refuses (`LAXER`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from config.settings import Address, Listener
from tests.support.gateway_thread import GatewayThread
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt5_peer import Closed, Peer
from tests.support.mqtt_bytes import field, packet
from tests.support.odd_packets import Odd, everything, plain_connect

pytestmark = pytest.mark.slow

BARRIER = 0xEA60
WAITS_S = 0.3
"""A length that is too long makes both servers wait for more."""
PATIENT_S = 10.0
"""Before a silence counts as a difference: the machine may have been busy."""


class Ending(NamedTuple):
    """How a conversation went."""

    goes_on: bool | None
    """None: the server waits for more."""
    answers: frozenset[int]
    """The kinds of packets that came; but for PUBLISH, which tells of what earlier conversations left."""


def converse(port: int, odd: Odd, within_s: float = WAITS_S) -> Ending:
    """Say it, and then something plain that is always answered."""
    number = BARRIER.to_bytes(2, "big")
    plain = packet(0x32, field("plain"), number, b"\x00" if odd.level == 5 else b"")
    seen: set[int] = set()
    with Peer(port, within_s=within_s) as peer:
        try:
            if not odd.is_first:
                peer.send(plain_connect(odd.level))
                peer.receive()
            peer.send(odd.data, plain)
            while True:
                first, body = peer.receive()
                if (first, body[:2]) == (0x40, number):
                    return Ending(True, frozenset(seen))
                if first >> 4 not in {2, 3, 14}:
                    seen.add(first)
        except Closed:
            return Ending(False, frozenset())
        except TimeoutError:
            return Ending(None, frozenset(seen))


STRICTER = [
    # (versions, name, why the gateway closes where Mosquitto 2.0 does not)
    ("345", r"protocol level 13[12]", "Mosquitto's own mark for bridges; a refused bridge tries again without it"),
    ("3", r"user name b.*", "strings are UTF-8"),
    ("345", r"(SUBSCRIBE|UNSUBSCRIBE) with (an id|no filter)", "a payload with a filter at least"),
    ("345", r"(SUBSCRIBE|UNSUBSCRIBE) b'\$share/.*", "[MQTT-4.8.2-1], [MQTT-4.8.2-2]"),
    ("45", r"(PUBLISH flags [89] .*|first byte 3[89] .*)", "[MQTT-3.3.1-2]: DUP with QoS 0"),
    ("345", r"(PUBACK|PUBREC|PUBREL|PUBCOMP) 0007.+", "bytes behind the last field"),
    ("345", r"\w+ with [0-9a-f]+ behind", "bytes behind the last field"),
    ("345", r"first byte [4-7c]. and [27] bytes", "bytes behind the last field, or not enough; reserved flags"),
    ("45", r"first byte c. and 0 bytes", "[MQTT-2.1.3-1]: reserved flags"),
    ("345", r"first byte [8a]. and 2 bytes", "a payload with a filter at least"),
    ("345", r"first byte [9bd]. .*", "packets that only a server sends"),
    ("5", r".* with a length of [234] bytes", "[MQTT-1.5.5-1]"),
    ("5", r"CONNECT property 16 .*", "§3.1.2.11.10: data without a method"),
    ("5", r"(will|PUBLISH|PUBLISH 1) property 01 top", "§3.3.2.3.2: neither 0 nor 1"),
    ("5", r"(will|PUBLISH|PUBLISH 1) property 08 (wild|zero)", "[MQTT-3.3.2-14]"),
    ("5", r"(PUBLISH|PUBLISH 1) property 0b .*", "[MQTT-3.3.4-6]"),
    ("5", r"(PUBACK|PUBREC|PUBREL|PUBCOMP|DISCONNECT|AUTH) code ..", "no code that a client may send"),
]  # fmt: skip


LAXER = [
    # (versions, name, why the gateway goes on where Mosquitto 2.0 closes)
    ("5", r"\w+ text (26|03|1f) .*", "§1.5.4: what only travels through may hold any character but U+0000"),
]


def reason_for(odd: Odd, ours: Ending, theirs: Ending) -> str | None:
    """Why the two may differ here; None when nobody knows."""
    if ours == theirs:
        return "no difference"
    for levels, pattern, why in STRICTER if ours.goes_on is False else LAXER:
        if str(odd.level) in levels and re.fullmatch(pattern, odd.name):
            return why
    return None


def test_where_the_gateway_and_mosquitto_differ_there_is_a_reason(tmp_path: Path) -> None:
    gateway = GatewayThread(
        tmp_path / "gateway", listeners=(Listener(bind=Address(host="127.0.0.1", port=0), max_connect_rate=None),)
    )
    unexplained = []
    try:
        gateway.start()
        with Mosquitto(tmp_path) as mosquitto:
            for odd in everything():
                ports = gateway.ports["local"], mosquitto.port
                ours, theirs = (converse(port, odd) for port in ports)
                if reason_for(odd, ours, theirs) is None:
                    ours, theirs = (converse(port, odd, PATIENT_S) for port in ports)
                if reason_for(odd, ours, theirs) is None:
                    unexplained.append(f"{odd.level} {odd.name}: gateway {ours}, Mosquitto {theirs}: {odd.data.hex()}")
    finally:
        gateway.stop()
    assert not unexplained, f"{len(unexplained)} differences:\n" + "\n".join(unexplained[:200])
