"""What must hold between the keys of `api`, in both files: a door to other machines asks who one is."""

from __future__ import annotations

from config.findings import Findings
from config.settings import Api


class ApiChecks:
    """Reports to `findings` what is wrong with the HTTP interface."""

    def __init__(self, findings: Findings, api: Api) -> None:
        self._findings = findings
        self._api = api

    def check(self) -> None:
        """Everything."""
        self._door()
        self._certificate()
        self._operators()
        self._proxies()

    def _door(self) -> None:
        findings, api = self._findings, self._api
        if not findings.sound("api.bind", "api.password_file", "api.token_file"):
            return
        if not api.bind.is_loopback and not api.asks_who:
            findings.report(
                "api.bind",
                f"whoever reaches {api.bind} could change everything here without logging in; write a "
                "password_file (fieldgate passwd makes one) or a token_file (fieldgate token), or bind to 127.0.0.1",
            )

    def _certificate(self) -> None:
        findings, tls = self._findings, self._api.tls
        if not findings.sound("api.tls"):
            return
        if tls.cert_file is not None and tls.key_file is None:
            findings.report("api.tls.cert_file", "a certificate needs its key; add key_file")
        if tls.key_file is not None and tls.cert_file is None:
            findings.report("api.tls.key_file", "a key needs its certificate; add cert_file")

    def _operators(self) -> None:
        findings, api = self._findings, self._api
        if api.operators and api.password_file is None and findings.sound("api.operators", "api.password_file"):
            findings.report(
                "api.operators",
                "operators are users of the password file, and there is none; write password_file, or remove operators",
            )

    def _proxies(self) -> None:
        findings, api = self._findings, self._api
        keys = ("api.trusted_proxies", "api.password_file", "api.token_file")
        if api.trusted_proxies and not api.asks_who and findings.sound(*keys):
            findings.report(
                "api.trusted_proxies",
                "whoever reaches the proxy could change everything here without logging in; write a password_file "
                "(fieldgate passwd makes one) or a token_file (fieldgate token), or remove trusted_proxies",
            )


def api_advice(api: Api) -> list[str]:
    """What is allowed, and seldom meant."""
    sentences = []
    if api.asks_who and not api.bind.is_loopback and api.tls.cert_file is None:
        what = "passwords" if api.password_file is not None else "tokens"
        sentences.append(
            f"api.bind: {what} would cross the network to {api.bind} in the clear, where others on the way can read "
            "them. Write api.tls, or bind to 127.0.0.1 behind a proxy that does TLS."
        )
    if api.password_file is not None and not api.operators:
        sentences.append(
            "api.operators: nobody who logs in with a password may act, since no user is named. Write those who may."
        )
    if any(network.prefixlen == 0 for network in api.trusted_proxies):
        sentences.append(
            "api.trusted_proxies: every address there is may say who calls, so nobody's tries are limited. Write those "
            "of your proxies alone."
        )
    return sentences
