"""Topics, names, addresses and variables: the rules of single values."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from config import topics
from config.network import BindAddress, Url
from config.settings import Address, BrokerUrl
from config.variables import expand


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (topics.check_topic_filter, "#"),
        (topics.check_topic_filter, "a/+/b/#"),
        (topics.check_topic_filter, "+"),
        (topics.check_topic_filter, "/"),
        (topics.check_topic_filter, "$SYS/#"),
        (topics.check_subscription, "fieldgate/v1/+/+"),
        (topics.check_topic_template, "fieldgate/v1/{gateway}/{stream}"),
        (topics.check_topic_template, "$aws/rules/ingest"),
        (topics.check_gateway_id, "edge 01.example"),
        (topics.check_name, "plant-2_B"),
    ],
)
def test_a_good_name_or_topic_is_taken(check: Callable[[str], None], text: str) -> None:
    check(text)


@pytest.mark.parametrize(
    ("check", "text", "sentence"),
    [
        (topics.check_topic_filter, "", "found an empty text"),
        (topics.check_topic_filter, "a/#/b", "a '#' must stand alone in the last level"),
        (topics.check_topic_filter, "a/b#", "a '#' must stand alone in the last level"),
        (topics.check_topic_filter, "a/b+/c", "a '+' must stand alone in its level"),
        (topics.check_topic_filter, "a\0b", "U+0000"),
        (topics.check_topic_filter, "a" * 65536, "longer than 65535 bytes"),
        (topics.check_stream_filter, "$share/g/a", "shared subscription"),
        (topics.check_subscription, "$share/workers/fieldgate/v1/+/+", "a stream takes one receiver, for now"),
        (topics.check_subscription, "a/#/b", "a '#' must stand alone in the last level"),
        (topics.check_topic_template, "a/+", "has a wildcard"),
        (topics.check_topic_template, "a/{steam}", "the placeholder {steam} in 'a/{steam}' is unknown"),
        (topics.check_topic_template, "a/{stream!r}", "unknown"),
        (topics.check_topic_template, "a/{}", "unknown"),
        (topics.check_topic_template, "a/{stream", "braces"),
        (topics.check_topic_template, "a/{{stream}}", "doubled braces"),
        (topics.check_gateway_id, "", "expected 1 to 128 characters"),
        (topics.check_gateway_id, "a/b", "expected 1 to 128 characters"),
        (topics.check_gateway_id, "a\n", "expected 1 to 128 characters"),
        (topics.check_name, "two words", "expected a name"),
        (topics.check_name, "name\n", "expected a name"),
        (topics.check_client_id, "", "printable"),
    ],
)
def test_a_bad_name_or_topic_is_refused_with_a_sentence(check: Callable[[str], None], text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        check(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:1883", Address(host="127.0.0.1", port=1883)),
        ("[::1]:0", Address(host="::1", port=0)),
        ("edge-01.local:80", Address(host="edge-01.local", port=80)),
    ],
)
def test_an_address_is_read_and_written_back(text: str, address: Address) -> None:
    assert BindAddress().parse(text) == address
    assert BindAddress().write(address) == text
    assert re.search(BindAddress().schema()["pattern"], text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1883", "write 127.0.0.1:1883 for this machine only, or 0.0.0.0:1883"),
        (":1883", "has no host"),
        ("localhost", "has no port"),
        ("localhost:70000", "expected a port from 0 to 65535, found '70000'"),
        ("localhost:http", "expected a port"),
        ("300.0.0.1:1", "is not an IPv4 address"),
        ("[::x]:1", "is not an IPv6 address"),
        ("::1:1883", "expected an address"),
        ("a b:1", "is not a host name"),
    ],
)
def test_a_bad_address_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        BindAddress().parse(text)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("mqtt://broker", BrokerUrl(host="broker", port=1883)),
        ("mqtts://broker", BrokerUrl(host="broker", port=8883, tls=True)),
        ("mqtt://broker:9/", BrokerUrl(host="broker", port=9)),
        ("mqtts://[fe80::1]:99", BrokerUrl(host="fe80::1", port=99, tls=True)),
    ],
)
def test_a_broker_url_has_the_port_of_its_scheme(text: str, url: BrokerUrl) -> None:
    assert Url().parse(text) == url
    assert Url().parse(Url().write(url)) == url


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("broker:1883", "expected a broker's address such as mqtt://broker.example:1883"),
        ("tcp://broker:1883", "write mqtt://broker:1883"),
        ("ssl://broker", "write mqtts://broker"),
        ("mqts://broker", "did you mean 'mqtts'?"),
        ("mqtt://", "has no host"),
        ("mqtt://broker:0", "expected a port from 1 to 65535"),
        ("mqtt://broker/path", "is not a host name"),
        ("mqtt://broker:1883/path", "expected a port"),
    ],
)
def test_a_bad_broker_url_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        Url().parse(text)


def test_a_url_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(ValueError, match="username and password_file") as refused:
        Url().parse("mqtt://me:hunter2@broker")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("${HOST}:${PORT}", "broker:1883"),
        ("${NONE:-there}", "there"),
        ("${EMPTY:-there}", "there"),
        ("${EMPTY}", ""),
        ("${NONE:-}", ""),
        ("$${HOST}", "${HOST}"),
        ("pa$$word $HOST", "pa$$word $HOST"),
        ("${NESTED}", "${HOST}"),
    ],
)
def test_variables_are_filled_in_once(text: str, expanded: str) -> None:
    environ = {"HOST": "broker", "PORT": "1883", "EMPTY": "", "NESTED": "${HOST}"}
    assert expand(text, environ) == expanded


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("${HSOT}", "the environment variable HSOT is not set; did you mean 'HOST'?"),
        ("${ZZZ}", "set it, or write ${ZZZ:-default}"),
        ("${HOST", "is not closed"),
        ("${HO ST}", "begins no variable"),
        ("${HOST-x}", "begins no variable"),
        ("${}", "begins no variable"),
    ],
)
def test_a_variable_that_is_missing_or_misspelt_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        expand(text, {"HOST": "broker"})
