"""The keys of listeners, access, sessions and limits: each reaches its setting, and each mistake its sentence."""

from __future__ import annotations

import os
from ipaddress import ip_network
from pathlib import Path

import pytest

from config.advice import advice
from config.describe import describe
from config.kinds import Flag
from config.network import DoorAddress, HttpUrl, Origin
from config.settings import (
    KIB,
    MIB,
    Access,
    Action,
    Address,
    Anonymous,
    ClientCertificate,
    Effect,
    HttpAuthentication,
    Jwt,
    Limits,
    Listener,
    ListenerTls,
    ProxyProtocol,
    Retained,
    Rule,
    Sessions,
    TlsVersion,
    Transport,
    UnixPath,
    UsernameFrom,
    WhenQueueFull,
)
from tests.support.configuration import gateway_from, gateway_problems


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    path = tmp_path / "x.pem"
    path.touch()
    return path


def test_every_key_of_the_front_door_reaches_its_setting(pem: Path) -> None:
    settings = gateway_from(f"""
        listeners:
          - name: secure
            transport: wss
            bind: "[::]:8884"
            access: plant
            tls: {{cert_file: {pem}, key_file: {pem}, ca_file: {pem}, crl_file: {pem}, client_certificate: required,
                  username_from: subject_alt_name, min_version: 1.3}}
            websocket_path: /ws
            websocket_origins: ["https://Plant.example", "http://[::1]:1880"]
            proxy_protocol: v2
            proxy_addresses: [10.0.0.2, "fd00::/8"]
            max_connections: 1
            max_connections_per_address: 2
            max_connect_rate: unlimited
            connect_timeout: 3s
            max_connect_size: 4KiB
            max_packet_size: 5KiB
            receive_maximum: 6
            topic_alias_maximum: 0
            max_message_rate: 7
            max_byte_rate: 8KiB
            max_keep_alive: 9m
            stall_timeout: 10s
          - {{name: near, bind: "unix:/run/mqtt.sock"}}
        access:
          - name: plant
            anonymous: refuse
            password_file: {pem}
            jwt: {{key_file: {pem}, algorithm: HS256, username_claim: name, audience: a, issuer: i}}
            http: {{url: "https://auth.example/mqtt", timeout: 1s, cache: 0s}}
            client_id_is_username: true
            acl_file: {pem}
            rules:
              - {{name: a, effect: deny, users: [u], clients: ["c?"], actions: [read], topics: ["t/%c/#"]}}
              - {{name: b}}
          - name: default
        sessions: {{max_sessions: 1, max_expiry: 7d, max_sessions_per_user: 2, max_subscriptions: 3,
                   max_queued_messages: 4, max_queued_bytes: 5KiB, max_total_queued_bytes: 6KiB,
                   when_full: drop_oldest, max_in_flight: 7}}
        retained: {{max_messages: 8, max_bytes: 9KiB}}
        limits: {{max_connections: 11, max_topic_levels: 10, max_user_properties: 0, sys_interval: never}}
    """).settings
    secure, near = settings.listeners
    assert secure == Listener(
        name="secure",
        transport=Transport.WSS,
        bind=Address(host="::", port=8884),
        access="plant",
        tls=ListenerTls(
            cert_file=pem,
            key_file=pem,
            ca_file=pem,
            crl_file=pem,
            client_certificate=ClientCertificate.REQUIRED,
            username_from=UsernameFrom.SUBJECT_ALT_NAME,
            min_version=TlsVersion.V13,
        ),
        websocket_path="/ws",
        websocket_origins=("https://plant.example", "http://[::1]:1880"),
        proxy_protocol=ProxyProtocol.V2,
        proxy_addresses=(ip_network("10.0.0.2"), ip_network("fd00::/8")),
        max_connections=1,
        max_connections_per_address=2,
        max_connect_rate=None,
        connect_timeout_s=3.0,
        max_connect_size_bytes=4 * KIB,
        max_packet_size_bytes=5 * KIB,
        receive_maximum=6,
        topic_alias_maximum=0,
        max_message_rate=7,
        max_byte_rate=8 * KIB,
        max_keep_alive_s=540,
        stall_timeout_s=10.0,
    )
    assert near.bind == UnixPath(path=Path("/run/mqtt.sock"))
    assert settings.access == (
        Access(
            name="plant",
            anonymous=Anonymous.REFUSE,
            password_file=pem,
            jwt=Jwt(key_file=pem, algorithm="HS256", username_claim="name", audience="a", issuer="i"),
            http=HttpAuthentication(url="https://auth.example/mqtt", timeout_s=1.0, cache_s=0.0),
            client_id_is_username=True,
            acl_file=pem,
            rules=(
                Rule(
                    name="a",
                    effect=Effect.DENY,
                    users=("u",),
                    clients=("c?",),
                    actions=(Action.READ,),
                    topics=("t/%c/#",),
                ),
                Rule(name="b"),
            ),
        ),
        Access(),
    )
    assert settings.sessions == Sessions(
        max_sessions=1,
        max_expiry_s=604_800,
        max_sessions_per_user=2,
        max_subscriptions=3,
        max_queued_messages=4,
        max_queued_bytes=5 * KIB,
        max_total_queued_bytes=6 * KIB,
        when_full=WhenQueueFull.DROP_OLDEST,
        max_in_flight=7,
    )
    assert settings.retained == Retained(max_messages=8, max_bytes=9 * KIB)
    assert settings.limits == Limits(
        max_connections=11, max_topic_levels=10, max_user_properties=0, sys_interval_s=None
    )
    assert gateway_from(describe(settings)).settings == settings


def test_a_rule_is_overridden_by_the_names_of_its_access_and_its_own() -> None:
    settings = gateway_from(
        "access: [{name: default, rules: [{name: one}, {name: two}]}]",
        {
            "FIELDGATE__ACCESS__DEFAULT__RULES__TWO__EFFECT": "deny",
            "FIELDGATE__LISTENERS__LOCAL__TLS__MIN_VERSION": "1.2",
            "FIELDGATE__SESSIONS__MAX_EXPIRY": "1h",
        },
    ).settings
    assert [rule.effect for rule in settings.access[0].rules] == [Effect.ALLOW, Effect.DENY]
    assert settings.sessions.max_expiry_s == 3600


OUTSIDE = "listeners: [{bind: '0.0.0.0:1883'}]\n"
TLS = "listeners: [{transport: tls, tls: {cert_file: PEM, key_file: PEM"


@pytest.mark.parametrize(
    ("text", "key", "sentence"),
    [
        ("listeners: [{access: plant}]", "listeners[local].access", "there is no access 'plant'; expected default"),
        ("listeners: [{access: defualt}]", "listeners[local].access", "did you mean 'default'?"),
        ("access: []", "access", "expected at least one access"),
        ("access: [{name: default},\n {name: default}]", "access[1].name", "taken by another of the access"),
        (
            "access: [{rules: [{name: a}, {name: a}]}]",
            "access[default].rules[1].name",
            "the name 'a' is taken by another of the rules",
        ),
        (
            "listeners: [{transport: tls, tls: {key_file: PEM}}]",
            "listeners[local].tls.cert_file",
            "needs a certificate",
        ),
        ("listeners: [{transport: wss, tls: {cert_file: PEM}}]", "listeners[local].tls.key_file", "write its file as"),
        (
            "listeners: [{tls: {cert_file: PEM, key_file: PEM}}]",
            "listeners[local].tls",
            "the transport tcp uses no TLS; write transport: tls, or remove",
        ),
        ("listeners: [{transport: ws, tls: {min_version: 1.3}}]", "listeners[local].tls", "write transport: wss"),
        (
            TLS + ", client_certificate: required}}]",
            "listeners[local].tls.client_certificate",
            "write ca_file, the certificates of those who sign them",
        ),
        (TLS + ", ca_file: PEM}}]", "listeners[local].tls.ca_file", "write client_certificate: required, or optional"),
        (
            TLS + ", username_from: common_name}}]",
            "listeners[local].tls.username_from",
            "none can name the user; write client_certificate: required",
        ),
        (TLS + ", crl_file: PEM}}]", "listeners[local].tls.crl_file", "needs ca_file"),
        ("listeners: [{websocket_path: /x}]", "listeners[local].websocket_path", "is no WebSocket; write ws or wss"),
        ("listeners: [{websocket_path: x}]", "listeners[local].websocket_path", "expected a path such as /mqtt"),
        (
            "listeners: [{transport: ws, websocket_origins: [plant.example]}]",
            "listeners[local].websocket_origins[0]",
            "expected an origin such as https://plant.example",
        ),
        ("listeners: [{proxy_addresses: [10.0.0.2]}]", "listeners[local].proxy_addresses", "write proxy_protocol: v2"),
        (
            (
                "listeners: [{bind: 'unix:/x', proxy_protocol: v2, proxy_addresses: [10.0.0.2]}]\n"
                "access: [{anonymous: allow}]"
            ),
            "listeners[local].proxy_addresses",
            "who comes by a Unix socket has no address",
        ),
        (
            "listeners: [{proxy_protocol: v2, proxy_addresses: [10.1.2.3/16]}]\naccess: [{anonymous: allow}]",
            "listeners[local].proxy_addresses[0]",
            "expected an IP address or a network such as 10.1.0.0/16, found '10.1.2.3/16'; write 10.1.0.0/16",
        ),
        ("access: [{jwt: {issuer: x}}]", "access[default].jwt.issuer", "tokens are off; write key_file"),
        ("access: [{jwt: {algorithm: none}}]", "access[default].jwt.algorithm", "expected HS256, RS256 or ES256"),
        ("access: [{http: {cache: 1s}}]", "access[default].http.cache", "no service is asked; write its url"),
        (
            "access: [{http: {url: 'ftp://x'}}]",
            "access[default].http.url",
            "expected http:// or https://, found 'ftp://'",
        ),
        ("access: [{client_id_is_username: yes}]", "access[default].client_id_is_username", "write true"),
        (
            "access: [{rules: [{topics: ['$share/g/a']}]}]",
            "access[default].rules[rule].topics[0]",
            "takes the filter behind the share name: 'a'",
        ),
        ("access: [{rules: [{users: ['']}]}]", "access[default].rules[rule].users[0]", "expected a pattern"),
        ("access: [{rules: [{actions: [write]}]}]", "access[default].rules[rule].actions[0]", "found 'write'"),
        ("access: [{password_file: /nope}]", "access[default].password_file", "can't be read"),
        ("access: [{acl_file: }]", "access[default].acl_file", "this key has no value; expected the path of a file"),
        ("access: [{acl_file: '${NONE:-}'}]", "access[default].acl_file", "expected the path of a file that exists"),
        ("listeners: [{max_connect_rate: unlimitd}]", "listeners[local].max_connect_rate", "did you mean 'unlimited'?"),
        ("sessions: {max_expiry: 1500ms}", "sessions.max_expiry", "expected whole seconds"),
        ("limits: {sys_interval: off}", "limits.sys_interval", "never, or a duration such as 10s or 1m"),
        (
            "listeners: [{name: a, bind: 'unix:/x'},\n {name: b, bind: 'unix:/x'}]",
            "listeners[b].bind",
            "the address unix:/x is taken by listeners[a].bind",
        ),
        (
            "spool: {max_size: 8MiB}\nlisteners: [{max_packet_size: 5MiB}]",
            "listeners[local].max_packet_size",
            "would not fit into the spool: expected at most half of spool.max_size, 4MiB",
        ),
        (
            "spool: {max_size: 64MiB}\nretained: {max_bytes: 20MiB}",
            "retained.max_bytes",
            "together are 36MiB: expected at most half of spool.max_size, 32MiB",
        ),
    ],
)
def test_a_mistake_in_the_front_door_is_named(text: str, key: str, sentence: str, pem: Path) -> None:
    (problem,) = gateway_problems(text.replace("PEM", str(pem)))
    assert problem.key == key
    assert sentence in problem.message
    assert problem.line is not None


@pytest.mark.parametrize("bind", ["0.0.0.0:1883", "[::]:1883", "192.168.1.2:1883", "edge.local:1883", "[::2]:1"])
def test_a_door_to_other_machines_asks_who_one_is_or_the_file_says_that_it_need_not(bind: str, pem: Path) -> None:
    text = f"listeners: [{{bind: '{bind}'}}]\n"
    (problem,) = gateway_problems(text)
    assert problem.key == "listeners[local].bind"
    assert "give the access 'default' a password_file (or jwt, or http), or write anonymous: allow" in problem.message
    for access in (
        "anonymous: allow",
        f"password_file: {pem}",
        f"jwt: {{key_file: {pem}}}",
        "http: {url: 'http://127.0.0.1:1'}",
    ):
        gateway_from(f"{text}access: [{{{access}}}]")


@pytest.mark.parametrize("bind", ["127.0.0.1:1883", "127.9.9.9:1", "[::1]:1883", "localhost:1883", "unix:/run/x.sock"])
def test_a_door_of_this_machine_need_not_ask(bind: str) -> None:
    gateway_from(f"listeners: [{{bind: '{bind}'}}]")


def test_behind_a_load_balancer_clients_are_not_of_this_machine() -> None:
    (problem,) = gateway_problems("listeners: [{proxy_protocol: v2}]")
    assert problem.key == "listeners[local].bind"


def test_client_certificates_prove_who_one_is_when_they_name_the_user(pem: Path) -> None:
    tls = f"cert_file: {pem}, key_file: {pem}, ca_file: {pem}, client_certificate: required"
    text = "listeners: [{{bind: '0.0.0.0:8883', transport: tls, tls: {{{tls}}}}}]"
    assert "bind" in gateway_problems(text.format(tls=tls))[0].key
    gateway_from(text.format(tls=f"{tls}, username_from: common_name"))


def test_an_access_that_nobody_could_pass_is_refused() -> None:
    (problem,) = gateway_problems("access: [{anonymous: refuse}]")
    assert problem.key == "listeners[local].access"
    assert problem.message.startswith("nobody could come in")


def test_an_access_with_a_mistake_is_not_reported_twice() -> None:
    (problem,) = gateway_problems(OUTSIDE + "access: [{password_file: /nope}]")
    assert problem.key == "access[default].password_file"


def test_what_was_not_written_gives_way_to_a_small_spool() -> None:
    settings = gateway_from("spool: {max_size: 2MiB}").settings
    assert settings.listeners[0].max_packet_size_bytes == MIB
    assert settings.sessions.max_total_queued_bytes == settings.retained.max_bytes == MIB // 2
    settings = gateway_from("spool: {max_size: 2MiB}\nretained: {max_bytes: 1KiB}").settings
    assert settings.retained.max_bytes == KIB


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("127.0.0.1:1883", Address(host="127.0.0.1", port=1883)),
        ("unix:/run/a.sock", UnixPath(path=Path("/run/a.sock"))),
        ("unix:a.sock", UnixPath(path=Path("a.sock"))),
    ],
)
def test_the_address_of_a_door_is_read_and_written_back(text: str, value: Address | UnixPath) -> None:
    assert DoorAddress().parse(text) == value
    assert DoorAddress().write(value) == text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("unix:", "expected the path of a Unix socket"),
        ("unix:/run/", "expected the path of a Unix socket"),
        ("unix:///run/a", "write unix:/run/a"),
        ("unix:/" + "x" * 107, "at most 107 bytes"),
        ("/run/a.sock", "expected an address"),
    ],
)
def test_a_bad_path_of_a_door_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        DoorAddress().parse(text)


@pytest.mark.parametrize("text", ["http://h", "https://h:1/a?b=c", "http://[::1]:8090/x"])
def test_the_address_of_a_service_is_taken_as_it_is(text: str) -> None:
    assert HttpUrl().parse(text) == text


@pytest.mark.parametrize("text", ["h:1", "http://", "http://h:x", "http://h x", "http://[h", "mqtt://h"])
def test_a_bad_address_of_a_service_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        HttpUrl().parse(text)


def test_the_address_of_a_service_holds_no_password() -> None:
    with pytest.raises(ValueError, match="does not hold user and password") as refused:
        HttpUrl().parse("http://me:hunter2@h")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "text", ["http:/me:hunter2@h", "http:me:hunter2@h/", "h:1/?key=hunter2", "http://h:99999/?key=hunter2", "x#hunter2"]
)
def test_what_may_be_a_key_in_a_bad_address_of_a_service_is_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="expected an address") as refused:
        HttpUrl().parse(text)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://h:1/a", "https://h:1/a"),
        ("https://h:1/a?key=hunter2", "https://h:1/a?********"),
        ("https://h?key=hunter2#hunter2", "https://h?********"),
        ("https://h/#hunter2?hunter2", "https://h/#********"),
        ("https://h/a?", "https://h/a?"),
    ],
)
def test_of_the_address_of_a_service_is_shown_what_is_no_key(text: str, shown: str) -> None:
    assert HttpUrl().write(HttpUrl().parse(text)) == shown


def test_an_origin_is_compared_in_lower_case_and_has_no_path() -> None:
    assert Origin().parse("HTTPS://Plant.Example:443".replace("HTTPS", "https")) == "https://plant.example:443"
    with pytest.raises(ValueError, match="no path"):
        Origin().parse("https://plant.example/")


@pytest.mark.parametrize("text", ["yes", "True", "1", "off", ""])
def test_only_true_and_false_are_flags(text: str) -> None:
    with pytest.raises(ValueError, match="expected true or false"):
        Flag().parse(text)


@pytest.mark.parametrize("written", ["rules: []", "rules:", "rules: # all of them are commented out"])
def test_rules_of_which_there_are_none_are_not_the_same_as_no_rules(written: str) -> None:
    """Who comments them out one by one must not end with everything allowed."""
    for text in ("", "access: [{name: default}]"):
        access = gateway_from(text).settings.access[0]
        assert access.rules is None
        assert not access.has_authorization
    loaded = gateway_from(f"access:\n  - name: default\n    {written}\n")
    assert loaded.settings.access[0].rules == ()
    assert loaded.settings.access[0].has_authorization
    for each in (loaded, gateway_from("")):
        assert gateway_from(describe(each)).settings == each.settings


def test_rules_from_the_environment_that_are_empty_deny_everything() -> None:
    for text in ("", "[]"):
        settings = gateway_from("", {"FIELDGATE__ACCESS__DEFAULT__RULES": text}).settings
        assert settings.access[0].rules == ()


def test_a_fifo_in_the_place_of_a_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    text = f"access: [{{password_file: {fifo}}}]\nuplinks: [{{username: x, password_file: {fifo}}}]"
    for problem in gateway_problems(text):
        assert "is a FIFO, not a file" in problem.message


@pytest.mark.parametrize(
    ("url", "warns"),
    [
        ("http://127.0.0.1:8090/a", False),
        ("http://localhost/a", False),
        ("http://[::1]:80/a", False),
        ("https://login.example/a", False),
        ("http://login.example/a", True),
        ("http://192.168.1.2:8090/a", True),
    ],
)
def test_passwords_that_would_leave_this_machine_in_the_clear_are_warned_of(url: str, warns: bool) -> None:
    assert bool(advice(gateway_from(f'access: [{{http: {{url: "{url}"}}}}]').settings)) is warns
