"""Durations, rates, addresses and faults as they are typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.units import (
    Endpoint,
    Window,
    format_bytes,
    parse_broker_url,
    parse_duration_s,
    parse_endpoint,
    parse_rate_bits_per_s,
    parse_window,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("50ms", 0.05), ("1.5s", 1.5), ("2m", 120), ("1h", 3600), ("0", 0), ("250 ms", 0.25), ("100us", 1e-4)],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "ms", "5 fortnights", "-5s", "1e3s", "5s5s", "1..5s"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 50ms"):
        parse_duration_s(text)


@pytest.mark.parametrize(
    ("text", "bits"),
    [("10Mbit", 1e7), ("512kbit", 512e3), ("1Gbit", 1e9), ("9600bit/s", 9600), ("10Mbps", None), ("2.5mbit/s", 2.5e6)],
)
def test_a_rate_is_read_in_bits_a_second(text: str, bits: float | None) -> None:
    if bits is None:
        with pytest.raises(ValueError, match="not a rate"):
            parse_rate_bits_per_s(text)
    else:
        assert parse_rate_bits_per_s(text) == bits


@pytest.mark.parametrize("text", ["0Mbit", "10", "10MB", "fast", ""])
def test_what_is_no_rate_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 10Mbit"):
        parse_rate_bits_per_s(text)


def test_a_fault_is_a_duration_at_a_start() -> None:
    window = parse_window("20s@1m")
    assert (window.start_s, window.duration_s, window.end_s) == (60, 20, 80)


@pytest.mark.parametrize("text", ["20s", "20s@", "@30s", "0s@5s"])
def test_a_fault_without_duration_or_start_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_window(text)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("127.0.0.1:1883", Endpoint(host="127.0.0.1", port=1883)),
        ("[::1]:0", Endpoint(host="::1", port=0)),
        ("broker.example:8883", Endpoint(host="broker.example", port=8883)),
    ],
)
def test_an_address_is_read_and_written_alike(text: str, endpoint: Endpoint) -> None:
    assert parse_endpoint(text) == endpoint
    assert str(endpoint) == text


@pytest.mark.parametrize("text", ["", "1883", "host:", ":1883", "::1:1883", "host:port", "host:70000"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"address|port"):
        parse_endpoint(text)


def test_a_broker_url_has_the_usual_port_when_it_names_none() -> None:
    assert parse_broker_url("mqtt://edge") == Endpoint(host="edge", port=1883)
    assert parse_broker_url("mqtt://[::1]:1999") == Endpoint(host="::1", port=1999)
    assert parse_broker_url("edge:1884") == Endpoint(host="edge", port=1884)


@pytest.mark.parametrize("text", ["http://edge:1883", "mqtt://", "mqtt://edge/topic"])
def test_what_is_no_broker_url_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="mqtt://HOST:PORT"):
        parse_broker_url(text)


@given(st.text(max_size=20))
def test_any_other_text_raises_nothing_but_value_error(text: str) -> None:
    for parse in (parse_duration_s, parse_rate_bits_per_s, parse_window, parse_endpoint, parse_broker_url):
        try:
            parse(text)
        except ValueError:
            continue


def test_a_window_must_last() -> None:
    with pytest.raises(ValueError, match="lasts"):
        Window(start_s=0, duration_s=0)


def test_bytes_are_written_for_people() -> None:
    assert [format_bytes(n) for n in (0, 999, 1500, 2_500_000, 3e9)] == ["0 B", "999 B", "1.5 kB", "2.5 MB", "3.0 GB"]
