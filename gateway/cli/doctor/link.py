"""The road to the cloud, step by step: name, TCP, TLS, MQTT, permission to publish, somebody who listens.

The steps use a client id of their own (the uplink's with `-doctor` behind it), so that the session of a gateway that
runs is not taken over. What is published is `bridge.frame.PROBE`, which receivers count and do nothing else with.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import socket
import ssl
import time
from dataclasses import replace
from typing import Final

from bridge.errors import LinkError, LinkRefused
from bridge.flow.grants import lacking
from bridge.flow.reasons import Verdict, connect_advice, name, verdict
from bridge.frame import PROBE
from bridge.ports import Delivery, Link, LinkLimits, Publish
from bridge.stepping_link import Links
from bridge.uplink import link_settings
from config.settings import GatewaySettings, Tls, Uplink
from gateway.cli.doctor.finding import Report

NO_MATCHING_SUBSCRIBERS: Final = 0x10
NOT_AUTHORIZED: Final = 0x87
_SUFFIX: Final = "-doctor"


async def check_link(settings: GatewaySettings, uplink: Uplink, *, timeout_s: float, publishes: bool) -> Report:
    """All steps to one broker; one that fails ends the way, and the rest is named as not tried."""
    report = Report(f"uplink {uplink.name}")
    url = uplink.url
    address = await _name(report, uplink, timeout_s)
    if address is None or not await _tcp(report, uplink, address, timeout_s):
        report.skipped("TLS and MQTT were not tried")
        return report
    if url.tls and not await asyncio.to_thread(_tls, report, uplink, timeout_s):
        report.skipped("MQTT was not tried")
        return report
    await _mqtt(report, settings, uplink, timeout_s=timeout_s, publishes=publishes)
    return report


# ---- name, TCP, TLS -----------------------------------------------------------------------------------------------


async def _name(report: Report, uplink: Uplink, timeout_s: float) -> str | None:
    loop = asyncio.get_running_loop()
    host = uplink.url.host
    try:
        async with asyncio.timeout(timeout_s):
            found = await loop.getaddrinfo(host, uplink.url.port, type=socket.SOCK_STREAM)
    except TimeoutError:
        report.wrong(f"the DNS did not answer for {host} within {timeout_s:g} s", "Look at /etc/resolv.conf.")
        return None
    except OSError as error:
        report.wrong(
            f"the name {host} is not known: {error.strerror}", "Check the uplink's url, and the DNS: getent hosts NAME."
        )
        return None
    addresses = sorted({str(entry[4][0]) for entry in found})
    if addresses != [host]:
        report.ok(f"{host} is {', '.join(addresses[:4])}")
    return str(found[0][4][0])


async def _tcp(report: Report, uplink: Uplink, address: str, timeout_s: float) -> bool:
    url, began = uplink.url, time.perf_counter()
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(url.host, url.port)
    except TimeoutError:
        report.wrong(
            f"{url} ({address}) does not answer within {timeout_s:g} s",
            f"Is a firewall in between? Port {url.port} must be open from here to there.",
        )
        return False
    except OSError as error:
        if isinstance(error, ConnectionRefusedError):
            report.wrong(f"{url} ({address}) refuses connections", "Is the broker running, and is that its port?")
        else:
            reason = error.strerror or str(error)
            report.wrong(f"{url} ({address}) can't be reached: {reason}", "Look at the network: ip route, ping.")
        return False
    took_ms = 1000 * (time.perf_counter() - began)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    report.ok(f"TCP to {url} in {took_ms:.0f} ms")
    return True


def _tls(report: Report, uplink: Uplink, timeout_s: float) -> bool:
    url = uplink.url
    try:
        context = _context(uplink.tls)
    except OSError as error:  # those of OpenSSL, too
        reason = error.strerror or str(error)
        report.wrong(f"TLS: the uplink's certificates can't be used: {reason}", "Check the files in its tls section.")
        return False
    try:
        with (
            socket.create_connection((url.host, url.port), timeout_s) as plain,
            context.wrap_socket(plain, server_hostname=url.host) as tls,
        ):
            version, certificate = tls.version() or "TLS", tls.getpeercert(binary_form=True)
    except ssl.SSLCertVerificationError as error:
        seen = _seen(uplink, timeout_s)
        report.wrong(f"TLS: the broker's certificate is not believed: {error.verify_message}{seen}", _untrusted(error))
        return False
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or str(error)
        report.wrong(
            f"TLS: there is none with {url}: {reason}",
            "Does that port speak TLS (usually 8883)? Does the broker ask for a certificate (tls.cert_file)?",
        )
        return False
    ends = _ends(certificate)
    report.ok(f"{version}; the broker's certificate holds until {ends:%Y-%m-%d}" if ends is not None else version)
    if ends is not None and ends - dt.datetime.now(dt.UTC) < dt.timedelta(days=14):
        report.warning("the broker's certificate ends soon", "Tell whoever runs the broker to renew it.")
    return True


def _untrusted(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code == 10:  # X509_V_ERR_CERT_HAS_EXPIRED
        return "Have the broker's certificate renewed; or is the clock of this machine wrong?"
    if error.verify_code in {62, 64}:  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
        return "Write the uplink's url with a name that stands in the certificate."
    if error.verify_code == 9:  # X509_V_ERR_CERT_NOT_YET_VALID
        return "Is the clock of this machine wrong?"
    return "Write the certificate of who signed it as tls.ca_file of the uplink."


def _seen(uplink: Uplink, timeout_s: float) -> str:
    """Whose certificate it was: looked at without believing it, and nothing is said over that connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    from cryptography import x509

    try:
        with (
            socket.create_connection((uplink.url.host, uplink.url.port), timeout_s) as plain,
            context.wrap_socket(plain, server_hostname=uplink.url.host) as tls,
        ):
            certificate = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"")
    except (OSError, ValueError):
        return ""
    whose, by = certificate.subject.rfc4514_string(), certificate.issuer.rfc4514_string()
    return f" (of {whose}, signed by {by}, until {certificate.not_valid_after_utc:%Y-%m-%d})"


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if tls.ca_file is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(tls.ca_file)
    if tls.cert_file is not None:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    return context


def _ends(certificate: bytes | None) -> dt.datetime | None:
    from cryptography import x509

    return x509.load_der_x509_certificate(certificate).not_valid_after_utc if certificate else None


# ---- MQTT ---------------------------------------------------------------------------------------------------------


class _Events:
    """What the link tells, kept for who waits."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[tuple[int, int]] = asyncio.Queue()
        self.lost: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    def on_acknowledged(self, packet_id: int, reason_code: int) -> None:
        """An answer to a probe."""
        self.answers.put_nowait((packet_id, reason_code))

    def on_delivery(self, delivery: Delivery) -> None:
        """Nothing was subscribed to."""

    def on_lost(self, error: Exception) -> None:
        """The broker hung up."""
        if not self.lost.done():
            self.lost.set_result(error)


async def _mqtt(
    report: Report, settings: GatewaySettings, uplink: Uplink, *, timeout_s: float, publishes: bool
) -> None:
    base = link_settings(uplink, gateway_id=settings.gateway.id)
    own = replace(base, client_id=base.client_id + _SUFFIX, connect_timeout_s=timeout_s)
    logging.getLogger("bridge").addHandler(logging.NullHandler())  # its warnings are told here as findings
    events = _Events()
    link: Link = Links(own, lost="")(events)
    try:
        limits = await link.connect()
    except LinkRefused as error:
        report.wrong(f"MQTT: {uplink.url} refused CONNECT: {name(error.reason_code)}", _refused(error.reason_code))
        return
    except LinkError as error:
        report.wrong(f"MQTT: {error}", "Is that an MQTT broker, and does it speak TLS where the url says so?")
        return
    try:
        _granted(report, limits)
        if not publishes:
            report.skipped("permission to publish was not tried (--no-publish)")
            return
        for topic in _topics(settings, uplink):
            await _may_publish(report, link, events, topic, limits, timeout_s)
    finally:
        await link.close()


def _refused(code: int) -> str:
    advice = connect_advice(code)
    return f"{advice[:1].upper()}{advice[1:]}." if advice else "Ask whoever runs the broker."


def _granted(report: Report, limits: LinkLimits) -> None:
    missing = lacking(
        receive_maximum=limits.receive_maximum,
        maximum_packet_size_bytes=limits.maximum_packet_size_bytes,
        maximum_qos=limits.maximum_qos,
    )
    if missing is not None:
        report.wrong(
            f"MQTT {limits.mqtt_version}: the broker is of no use: {missing}", "Use another broker, or account."
        )
        return
    most = limits.maximum_packet_size_bytes
    size = "" if most is None else f", packets of {most} bytes at most"
    text = f"MQTT {limits.mqtt_version} is spoken; {limits.receive_maximum} frames may be in flight{size}"
    if limits.mqtt_version == "5":
        report.ok(text)
    else:
        report.warning(
            f"{text}; a broker of that version can't say why it refuses",
            "Use a broker of MQTT 5: then a frame that nobody subscribes to is not taken for delivered.",
        )


def _topics(settings: GatewaySettings, uplink: Uplink) -> list[str]:
    names = [one.name for one in settings.streams if "*" in uplink.streams or one.name in uplink.streams]
    return list(dict.fromkeys(uplink.topic.format(gateway=settings.gateway.id, stream=name) for name in names))


async def _may_publish(
    report: Report, link: Link, events: _Events, topic: str, limits: LinkLimits, timeout_s: float
) -> None:
    code: int | None = None
    try:
        link.publish(Publish(topic=topic, payload=PROBE, qos=1))
        answer = asyncio.ensure_future(events.answers.get())
        await asyncio.wait((answer, events.lost), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            code = answer.result()[1]
        answer.cancel()
    except LinkError as error:
        report.wrong(f"{topic} can't be published to: {error}", "Look at the broker's log.")
        return
    if code is None:
        said = "the broker hung up" if events.lost.done() else f"the broker did not answer within {timeout_s:g} s"
        report.wrong(
            f"{topic} can't be published to: {said}",
            "Give this user the right to publish there, in the broker's access list (its log says more).",
        )
    elif code == NO_MATCHING_SUBSCRIBERS:
        report.warning(
            f"{topic} may be published to, and nobody subscribes to it",
            "Start `fieldgate receive`, or check the topic that it subscribes to: until then records wait here.",
        )
    elif verdict(code) is Verdict.DELIVERED:
        listens = ", and somebody subscribes to it" if limits.mqtt_version == "5" else ""
        report.ok(f"{topic} may be published to{listens}")
    else:
        report.wrong(
            f"{topic} may not be published to: {name(code)}",
            "Give this user the right to publish there, in the broker's access list."
            if code == NOT_AUTHORIZED
            else _refused(code),
        )
