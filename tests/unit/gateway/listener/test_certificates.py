"""The certificates of a listener: which are refused, when they are read again, when they end."""

from __future__ import annotations

import os
import shutil
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from config.settings import ClientCertificate, ListenerTls, TlsVersion, Transport, UsernameFrom
from gateway.listener import certificate_watch as module
from gateway.listener.certificates import CertificateError, Certificates, expiry_warning, load
from gateway.listener.errors import ListenerError
from gateway.listener.tls import username_of
from tests.support.broker import FakeClock
from tests.support.certificates import Authority, Pair
from tests.support.doors import PING, PONG, Door, exactly, hang_up, opened, until

CONNECT_5_B = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01b"
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def reload(door: Door) -> None:
    """As a reload of the configuration does it."""
    settings = door.listener.settings
    door.listener.adopt(settings, door.listener.prepare(settings))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def tls(pair: Pair, **more: object) -> ListenerTls:
    return ListenerTls(cert_file=pair.cert_file, key_file=pair.key_file, **more)  # type: ignore[arg-type]


def put(pair: Pair, new: Pair) -> None:
    """Replace the files of a pair by those of another one."""
    shutil.copyfile(new.cert_file, pair.cert_file)
    shutil.copyfile(new.key_file, pair.key_file)


# ---- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644, 0o777])
def test_a_private_key_that_others_may_use_is_refused(authority: Authority, mode: int) -> None:
    pair = authority.server("server")
    pair.key_file.chmod(mode)
    with pytest.raises(CertificateError, match=rf"may be used by every user .* \(mode 0{mode:o}\); run chmod 0600"):
        load(tls(pair), alpn="mqtt")


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640])
def test_a_private_key_of_its_owner_or_its_group_is_taken(authority: Authority, mode: int) -> None:
    pair = authority.server("server")
    pair.key_file.chmod(mode)
    load(tls(pair), alpn="mqtt")


def test_files_that_cannot_be_used_are_refused_in_a_sentence(authority: Authority, tmp_path: Path) -> None:
    pair, other = authority.server("server"), authority.server("other")
    none = tmp_path / "none.pem"
    words = tmp_path / "words.pem"
    words.write_text("words")
    words.chmod(0o600)
    cases: list[tuple[ListenerTls, str]] = [
        (ListenerTls(), "write `cert_file` and `key_file`"),
        (ListenerTls(cert_file=none, key_file=pair.key_file), "none.pem cannot be read: No such file or directory"),
        (ListenerTls(cert_file=words, key_file=pair.key_file), "words.pem holds no certificate in PEM"),
        (ListenerTls(cert_file=pair.cert_file, key_file=words), "words.pem holds no private key in PEM"),
        (ListenerTls(cert_file=pair.cert_file, key_file=other.key_file), "is not that of"),
        (tls(pair, ca_file=words, client_certificate=ClientCertificate.REQUIRED), "words.pem holds no certificate"),
        (tls(pair, ca_file=authority.ca_file, crl_file=words), "words.pem holds no list of revoked certificates"),
        (tls(pair, client_certificate=ClientCertificate.REQUIRED), "can't be checked without `ca_file`"),
    ]
    for settings, sentence in cases:
        with pytest.raises(CertificateError, match=sentence):
            load(settings, alpn="mqtt")


def test_an_encrypted_key_is_refused_without_asking_for_its_password(authority: Authority) -> None:
    pair = authority.server("server")
    key = serialization.load_pem_private_key(pair.key_file.read_bytes(), None)
    pair.key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(CertificateError, match="encrypted"):
        load(tls(pair), alpn="mqtt")


async def test_a_listener_does_not_start_with_a_key_that_others_may_read(authority: Authority) -> None:
    pair = authority.server("server")
    pair.key_file.chmod(0o644)
    door = Door(transport=Transport.TLS, tls=tls(pair))
    with pytest.raises(ListenerError, match=r"The listener 'local' cannot speak TLS: The private key .* chmod 0600"):
        await door.listener.start()
    assert not door.listener.is_listening
    await door.listener.close()


@pytest.mark.parametrize(
    ("oldest", "spoken"),
    [
        (TlsVersion.V12, {ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3}),
        (TlsVersion.V13, {ssl.TLSVersion.TLSv1_3}),
    ],
)
async def test_older_versions_of_tls_are_not_spoken(
    authority: Authority, oldest: TlsVersion, spoken: set[ssl.TLSVersion]
) -> None:
    async with opened(transport=Transport.TLS, tls=tls(authority.server("server"), min_version=oldest)) as door:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = authority.client_context()
            context.maximum_version = version
            if version in spoken:
                _, writer = await door.connected(tls=context)
                await hang_up(writer)
            else:
                with pytest.raises(ssl.SSLError):
                    await door.knock(tls=context)
    context = load(tls(authority.server("server")), alpn="mqtt").context
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


# ---- read again -----------------------------------------------------------------------------------------------------


async def shown(door: Door, authority: Authority) -> bytes:
    """The name in the certificate that a new connection is shown."""
    reader, writer = await door.knock(tls=authority.client_context())
    certificate = x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
    assert reader is not None
    await hang_up(writer)
    return certificate.subject.rfc4514_string().encode()


async def test_a_new_certificate_holds_for_new_connections_and_the_open_ones_stay(authority: Authority) -> None:
    pair, new = authority.server("server"), authority.server("new")
    async with opened(transport=Transport.TLS, tls=tls(pair)) as door:
        reader, writer = await door.connected(tls=authority.client_context())
        assert await shown(door, authority) == b"CN=server"
        put(pair, new)
        reload(door)
        assert await shown(door, authority) == b"CN=new"
        writer.write(PING)
        assert await exactly(reader, 2) == PONG
        await hang_up(writer)


async def test_a_changed_file_is_noticed_without_a_signal(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WATCH_EVERY_S", 0.01)
    pair, new = authority.server("server"), authority.server("new", valid=timedelta(days=30))
    async with opened(transport=Transport.TLS, tls=tls(pair)) as door:
        before = door.listener.certificate_expires_at
        put(pair, new)
        await until(lambda: door.listener.certificate_expires_at != before)
        assert await shown(door, authority) == b"CN=new"


def test_a_broken_new_file_leaves_the_old_certificate_in_force_and_is_told_once(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    pair, new = authority.server("server"), authority.server("new")
    certificates = Certificates(tls(pair), name="local", alpn="mqtt")
    old = certificates.current
    shutil.copyfile(new.cert_file, pair.cert_file)  # half of the pair, as it is while somebody copies them
    for _ in range(3):
        certificates.check(NOW)
    assert certificates.current is old
    assert caplog.text.count("keeps the certificate that it has") == 1
    shutil.copyfile(new.key_file, pair.key_file)
    certificates.check(NOW)
    assert certificates.current is not old
    pair.key_file.unlink()
    certificates.check(NOW)
    assert not certificates.reload()
    assert "No such file" in caplog.text


def test_files_that_stay_as_they_are_are_not_read_again(authority: Authority) -> None:
    pair = authority.server("server")
    certificates = Certificates(tls(pair), name="local", alpn="mqtt")
    old = certificates.current
    certificates.check(NOW)
    assert certificates.current is old
    os.utime(pair.cert_file, ns=(1, 1))
    certificates.check(NOW)
    assert certificates.current is not old


# ---- the end of a certificate ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (timedelta(days=15), None),
        (timedelta(days=14), "ends in 14 days"),
        (timedelta(days=1, hours=2), "ends in 1 days"),
        (timedelta(), "has ended on 2026-05-01"),
        (timedelta(days=-3), "has ended on 2026-04-28"),
    ],
)
def test_a_certificate_that_ends_soon_is_told_from_fourteen_days_before(left: timedelta, words: str | None) -> None:
    warning = expiry_warning(NOW + left, NOW)
    assert (warning is None) if words is None else (warning is not None and words in warning)


def test_the_warning_comes_once_a_day(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    pair = authority.server("server", valid=timedelta(days=10))
    certificates = Certificates(tls(pair), name="local", alpn="mqtt")
    now = datetime.now(UTC)
    for minute in range(0, 3 * 24 * 60, 30):
        certificates.check(now + timedelta(minutes=minute))
    assert caplog.text.count("Replace its files") == 3


# ---- user names -----------------------------------------------------------------------------------------------------


CN, SAN = UsernameFrom.COMMON_NAME, UsernameFrom.SUBJECT_ALT_NAME


@pytest.mark.parametrize(
    ("certificate", "kind", "name"),
    [
        (None, CN, None),
        ({}, CN, None),
        ({"subject": ((("organizationName", "o"),), (("commonName", "pump"),))}, CN, "pump"),
        ({"subject": ((("organizationName", "o"),),)}, CN, None),
        ({"subject": ((("commonName", "pump"),), (("commonName", "admin"),))}, CN, None),
        ({"subject": ((("commonName", "pump\x00.example"),),)}, CN, None),
        ({"subject": ((("commonName", ""),),)}, CN, None),
        ({"subject": ((("commonName", "pump"),),)}, SAN, None),
        ({"subjectAltName": (("IP Address", "192.0.2.1"), ("DNS", "pump.example"), ("DNS", "b"))}, SAN, "pump.example"),
        ({"subjectAltName": (("email", "a@b.example"),)}, SAN, "a@b.example"),
        ({"subjectAltName": (("URI", "urn:dev:1"),)}, SAN, "urn:dev:1"),
        ({"subject": ((("commonName", "pump"),),)}, UsernameFrom.PASSWORD, None),
    ],
)
def test_the_user_name_in_a_certificate(certificate: dict[str, object] | None, kind: UsernameFrom, name: str) -> None:
    assert username_of(certificate, kind) == name


# ---- the certificates of clients ------------------------------------------------------------------------------------


def asking(authority: Authority, *, crl: Path | None = None) -> ListenerTls:
    return tls(
        authority.server("server"),
        ca_file=authority.ca_file,
        crl_file=crl,
        client_certificate=ClientCertificate.REQUIRED,
        username_from=UsernameFrom.COMMON_NAME,
    )


@pytest.mark.parametrize("by_signal", [True, False])
async def test_a_client_whose_certificate_is_revoked_is_disconnected_and_the_others_stay(
    authority: Authority, by_signal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = authority.client("good"), authority.client("bad")
    crl = authority.revoke()
    monkeypatch.setattr(module, "WATCH_EVERY_S", 3600 if by_signal else 0.01)
    async with opened(transport=Transport.TLS, tls=asking(authority, crl=crl)) as door:
        stays, stays_writer = await door.connected(tls=authority.client_context(good))
        goes, goes_writer = await door.connected(CONNECT_5_B, tls=authority.client_context(bad))
        reload(door)
        stays_writer.write(PING)
        assert await exactly(stays, 2) == PONG
        authority.revoke(bad)
        if by_signal:
            reload(door)
        assert await exactly(goes, 3) == b"\xe0\x01\x87"
        stays_writer.write(PING)
        assert await exactly(stays, 2) == PONG
        for writer in (stays_writer, goes_writer):
            await hang_up(writer)


async def test_a_connection_ends_with_the_certificate_that_it_came_by(authority: Authority) -> None:
    pair = authority.client("short", valid=timedelta(hours=1))
    async with opened(transport=Transport.TLS, tls=asking(authority)) as door:
        clock = door.broker.clock
        assert isinstance(clock, FakeClock)
        clock.s += datetime.now(UTC).timestamp() - clock.now_us() / 1e6
        reader, writer = await door.connected(CONNECT_5_B, tls=authority.client_context(pair))
        clock.s += 3500
        door.broker.tick()
        writer.write(PING)
        assert await exactly(reader, 2) == PONG
        clock.s += 200
        door.broker.tick()
        assert await exactly(reader, 3) == b"\xe0\x01\xa0"
        await hang_up(writer)
