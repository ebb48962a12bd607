"""Keys and sections that both files have: brokers, TLS, retries, the HTTP interface, pushed metrics, the log."""

from __future__ import annotations

from config import topics
from config.kinds import Choice, Duration, FilePath, Maybe, SecretFile, Text
from config.network import BindAddress, HttpUrl, NetworkRange, Url
from config.settings import Api, ApiTls, Log, LogFormat, Protocol, Retry, Telemetry, Tls
from config.shapes import Key, Section, ValueList

DAY = 86_400.0
YEAR = 366 * DAY
UNLIMITED = "unlimited"
"""The word for a limit that is not set."""


def name_key(noun: str) -> Key:
    kind = Text(expected="a name", check=topics.check_name, pattern=topics.NAME_PATTERN)
    return Key(name="name", shape=kind, doc=f"The name of this {noun}, in status, metrics and overrides.")


RETRY = Section(
    settings=Retry,
    keys=(
        Key(
            name="first",
            attribute="first_s",
            shape=Duration(minimum_s=0.001, maximum_s=3600),
            doc="The first wait is at most this long; each failure doubles the limit.",
        ),
        Key(
            name="max",
            attribute="max_s",
            shape=Duration(minimum_s=0.001, maximum_s=DAY),
            doc="The limit never grows past this.",
        ),
    ),
)

TLS = Section(
    settings=Tls,
    keys=(
        Key(
            name="ca_file",
            shape=Maybe(kind=FilePath(must_exist=True)),
            doc="Certificates (PEM) to believe; left out: those of the system.",
        ),
        Key(
            name="cert_file",
            shape=Maybe(kind=FilePath(must_exist=True)),
            doc="Our own certificate (PEM), for brokers that ask for one; needs key_file.",
        ),
        Key(name="key_file", shape=Maybe(kind=FilePath(must_exist=True)), doc="The private key of cert_file."),
    ),
)

BROKER = (
    Key(name="url", shape=Url(), doc="The broker: mqtt:// or mqtts://, never with user and password in it."),
    Key(name="username", shape=Maybe(kind=Text(expected="a user name")), doc="The user name at the broker."),
    Key(
        name="password",
        shape=Maybe(kind=Text(expected="a password", secret=True)),
        doc="The password at the broker; better kept in password_file.",
    ),
    Key(
        name="password_file",
        attribute="password",
        alias=True,
        shape=Maybe(kind=SecretFile()),
        doc="A file that holds the password; a trailing newline is taken off.",
    ),
    Key(name="tls", shape=TLS, doc="Certificates, for mqtts:// only."),
    Key(name="protocol", shape=Choice.of(Protocol), doc="The version of MQTT that the broker speaks."),
)

KEEP_ALIVE = Key(
    name="keep_alive",
    attribute="keep_alive_s",
    shape=Duration(minimum_s=1, maximum_s=65535, whole=True, example="30s or 5m"),  # two bytes [MQTT-3.1.2.10]
    doc="A silent link is probed this often, and given up after one and a half times as long.",
)

LOG = Section(
    settings=Log,
    keys=(
        Key(
            name="level",
            shape=Choice(words={word: word for word in ("debug", "info", "warning", "error")}),
            doc="The least severe lines that are written.",
        ),
        Key(name="format", shape=Choice.of(LogFormat), doc="Lines for people, or one JSON object a line."),
    ),
)

API_TLS = Section(
    settings=ApiTls,
    keys=(
        Key(name="cert_file", shape=Maybe(kind=FilePath(must_exist=True)), doc="A certificate (PEM); needs key_file."),
        Key(name="key_file", shape=Maybe(kind=FilePath(must_exist=True)), doc="The private key of cert_file."),
    ),
)

API = Section(
    settings=Api,
    keys=(
        Key(name="bind", shape=BindAddress(), doc="Where dashboard, API, metrics and health are."),
        Key(
            name="password_file",
            shape=Maybe(kind=FilePath(must_exist=True)),
            doc="Who may log in, as fieldgate passwd writes it. Needed, or token_file, beyond this machine.",
        ),
        Key(
            name="operators",
            shape=ValueList(item=Text(expected="a user name"), example="[anna]", may_be_empty=True),
            doc="Users of the password file who may act; the others only look.",
        ),
        Key(
            name="token_file",
            shape=Maybe(kind=FilePath(must_exist=True)),
            doc="Bearer tokens for programs, as fieldgate token writes them.",
        ),
        Key(name="tls", shape=API_TLS, doc="A certificate, for https://."),
        Key(
            name="hosts",
            shape=ValueList(item=Text(expected="a host name"), example="[gateway.plant.example]", may_be_empty=True),
            doc="Names under which it is reached, besides addresses, localhost and the host's own name.",
        ),
        Key(
            name="trusted_proxies",
            shape=ValueList(item=NetworkRange(), example="[127.0.0.1]", may_be_empty=True),
            doc="Reverse proxies that are believed who calls (X-Forwarded-For, -Proto, -Host; Forwarded).",
        ),
    ),
)

TELEMETRY = Section(
    settings=Telemetry,
    keys=(
        Key(
            name="url",
            shape=Maybe(kind=HttpUrl()),
            doc="Where metrics are pushed to (OTLP over HTTP); left out: nowhere. Needs the extra otel.",
        ),
        Key(
            name="interval",
            attribute="interval_s",
            shape=Duration(minimum_s=1, maximum_s=DAY),
            doc="How often they are pushed.",
        ),
    ),
)
