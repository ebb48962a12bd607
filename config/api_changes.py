"""Which changes of `api` a running program can make, in both files. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from config.addresses import Address, UnixPath
from config.checks import overlap
from config.operation import Api

_WITH_THE_ADDRESS: Final = frozenset({"api.password_file", "api.token_file", "api.trusted_proxies"})
"""What may be right at the new address alone: without a login nothing but this machine may reach it."""


class ApiChanges:
    """All can be made, unless the new address can't be had before the old one is left; then some wait with it."""

    def __init__(self, running: Api, wanted: Api, *, others: Iterable[tuple[str, Address | UnixPath]] = ()) -> None:
        """`others`: who else listens where, as a noun and an address."""
        self._reason = ""
        if wanted.bind != running.bind:
            who = next((who for who, address in others if overlap(address, wanted.bind)), None)
            if overlap(wanted.bind, running.bind):
                self._reason = "the old address is in its way"
            elif who is not None:
                self._reason = f"its address is still that of {who}"

    def why_waits(self, key: str) -> str:
        """Why the difference in a dotted key of `api` waits for a restart; empty when it need not."""
        if key == "api.bind":
            return self._reason
        if self._reason and (key in _WITH_THE_ADDRESS or key.startswith("api.tls.")):
            return "it belongs to the address that waits (api.bind)"
        return ""
