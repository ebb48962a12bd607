"""What must hold between the keys of `api`, in both files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from config.advice import advice
from config.api_checks import api_advice
from config.settings import Address, Api, ApiTls
from tests.support.configuration import gateway_from, gateway_problems, receiver_from, receiver_problems

OUTSIDE = Address(host="0.0.0.0", port=8080)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.touch(0o600)
    return path


def sentences(problems: object) -> list[str]:
    return [str(problem) for problem in problems]  # type: ignore[attr-defined]


@pytest.mark.parametrize("read", [gateway_problems, receiver_problems])
@pytest.mark.parametrize("bind", ["0.0.0.0:8080", "[::]:8080", "192.168.1.5:80", "gateway.example:80"])
def test_a_door_to_other_machines_asks_who_one_is(read: Callable[[str], object], bind: str) -> None:
    (problem,) = sentences(read(f"api: {{bind: '{bind}'}}"))
    assert "api.bind: whoever reaches" in problem
    assert "fieldgate passwd" in problem
    assert "fieldgate token" in problem


@pytest.mark.parametrize("key", ["password_file", "token_file"])
def test_with_passwords_or_tokens_it_may_be_open(file: Path, key: str) -> None:
    text = f"api: {{bind: '0.0.0.0:8080', {key}: '{file}'}}"
    assert gateway_from(text).settings.api.asks_who
    assert receiver_from(text).settings.api.asks_who


@pytest.mark.parametrize("bind", ["127.0.0.1:8080", "127.1.2.3:0", "[::1]:8080", "localhost:1"])
def test_this_machine_needs_no_login(bind: str) -> None:
    assert not gateway_from(f"api: {{bind: '{bind}'}}").settings.api.asks_who


@pytest.mark.parametrize(
    ("tls", "sentence"),
    [
        ("cert_file", "api.tls.cert_file: a certificate needs its key; add key_file"),
        ("key_file", "api.tls.key_file: a key needs its certificate; add cert_file"),
    ],
)
def test_a_certificate_and_its_key_go_together(file: Path, tls: str, sentence: str) -> None:
    for read in (gateway_problems, receiver_problems):
        (problem,) = sentences(read(f"api: {{tls: {{{tls}: '{file}'}}}}"))
        assert sentence in problem


def test_operators_without_a_password_file_are_nobody() -> None:
    (problem,) = sentences(gateway_problems("api: {operators: [anna]}"))
    assert "api.operators: operators are users of the password file" in problem


def test_a_mistake_is_not_told_twice() -> None:
    (problem,) = sentences(gateway_problems("api: {bind: '0.0.0.0:8080', password_file: /nowhere}"))
    assert "api.password_file" in problem


@pytest.mark.parametrize(
    ("api", "parts"),
    [
        (Api(), []),
        (Api(bind=OUTSIDE, token_file=Path("t")), ["tokens would cross the network"]),
        (Api(bind=OUTSIDE, password_file=Path("p"), operators=("a",)), ["passwords would cross the network"]),
        (Api(bind=OUTSIDE, password_file=Path("p"), operators=("a",), tls=ApiTls(cert_file=Path("c"))), []),
        (Api(password_file=Path("p")), ["nobody who logs in with a password may act"]),
        (Api(password_file=Path("p"), operators=("a",)), []),
    ],
)
def test_what_is_seldom_meant_is_told(api: Api, parts: list[str]) -> None:
    found = api_advice(api)
    assert len(found) == len(parts)
    assert all(part in sentence for part, sentence in zip(parts, found, strict=True))


def test_the_advice_is_part_of_that_for_both_files(file: Path) -> None:
    text = f"api: {{bind: '0.0.0.0:8080', token_file: '{file}'}}"
    assert len(advice(gateway_from(text).settings)) == len(advice(receiver_from(text).settings)) == 1
