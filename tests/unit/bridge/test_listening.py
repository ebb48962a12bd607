"""Which sockets listen for which `bind`."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from bridge import listening as module
from bridge.listening import listen
from config.settings import Address


def names(bind: Address) -> list[tuple[str, int]]:
    made = listen(bind)
    try:
        return [sock.getsockname()[:2] for sock in made]
    finally:
        for sock in made:
            sock.close()


def both(host: str, port: int, **more: Any) -> list[Any]:
    """What a name with two addresses comes to."""
    stream = socket.SOCK_STREAM
    return [
        (socket.AF_INET6, stream, 6, "", ("::1", port, 0, 0)),
        (socket.AF_INET, stream, 6, "", ("127.0.0.1", port)),
        (socket.AF_INET, stream, 6, "", ("127.0.0.1", port)),
    ]


@pytest.mark.parametrize("host", ["::", ""])
def test_everywhere_is_one_socket_of_both_versions_where_there_is_ip_6(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [name for name, _ in names(Address(host=host, port=0))] == ["::"]
    monkeypatch.setattr(module, "_has_ip6", lambda: False)
    assert [name for name, _ in names(Address(host=host, port=0))] == ["0.0.0.0"]


def test_a_name_is_bound_on_each_of_its_addresses_once_and_with_one_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", both)
    (first, port), (second, same) = names(Address(host="localhost", port=0))
    assert (first, second) == ("::1", "127.0.0.1")
    assert port == same != 0


@pytest.mark.parametrize("code", [errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT])
def test_an_address_of_a_name_that_this_machine_does_not_have_is_left_out(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = module._bound

    def without_ip6(family: int, host: str, port: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(code, "")
        return bound(family, host, port)

    monkeypatch.setattr(socket, "getaddrinfo", both)
    monkeypatch.setattr(module, "_bound", without_ip6)
    assert [name for name, _ in names(Address(host="localhost", port=0))] == ["127.0.0.1"]
    with pytest.raises(OSError, match=rf"\[Errno {code}\]"):
        module._listen([(socket.AF_INET6, "::1")], 0)


def test_a_port_that_is_free_on_one_address_only_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", both)
    listening = module._listen
    faults = [OSError(errno.EADDRINUSE, ""), OSError(errno.EADDRINUSE, "")]

    def unlucky(hosts: list[tuple[int, str]], port: int) -> list[socket.socket]:
        if faults:
            raise faults.pop()
        return listening(hosts, port)

    monkeypatch.setattr(module, "_listen", unlucky)
    assert len(names(Address(host="localhost", port=0))) == 2


def test_a_port_that_was_asked_for_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    (taken,) = listen(Address(host="127.0.0.1", port=0))
    with taken, pytest.raises(OSError, match="Address already in use"):
        listen(Address(host="127.0.0.1", port=taken.getsockname()[1]))
