"""A CONNECT that is being decided."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging

import pytest

from gateway.access.ports import Granted, Refusal, Refused, Verdict
from gateway.listener.admission import Admission, as_long_as_valid, late
from gateway.listener.peer import PeerCertificate
from gateway.mqtt.packets import Connect, Version

END = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
CONNECT = Connect(version=Version.V5, client_id="device", clean_start=True, keep_alive_s=60)


async def decided(answer: Verdict | Exception) -> Admission:
    async def decide() -> Verdict:
        if isinstance(answer, Exception):
            raise answer
        return answer

    task = asyncio.ensure_future(decide())
    await asyncio.wait([task])
    return Admission(packet=CONNECT, task=task, held=[])


@pytest.mark.parametrize("verdict", [Granted(username="u"), Refused(reason=Refusal.NOT_AUTHORIZED)])
async def test_the_verdict_is_the_tasks(verdict: Verdict) -> None:
    assert (await decided(verdict)).verdict("a client") is verdict


async def test_an_error_lets_nobody_in_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    verdict = (await decided(RuntimeError("broken"))).verdict("client 'x'")
    assert verdict == Refused(reason=Refusal.SERVER_UNAVAILABLE)
    assert "Whether client 'x' may come in could not be decided." in caplog.text


async def test_a_verdict_that_was_called_off_lets_nobody_in_and_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    task = asyncio.ensure_future(asyncio.sleep(60, Granted()))
    task.cancel()
    await asyncio.wait([task])
    admission = Admission(packet=CONNECT, task=task, held=[])
    with caplog.at_level(logging.INFO):
        assert admission.verdict("a client") == Refused(reason=Refusal.SERVER_UNAVAILABLE)
    assert not caplog.records


def test_a_verdict_that_comes_too_late_is_a_refusal_that_says_so() -> None:
    assert late(10.0) == Refused(reason=Refusal.SERVER_UNAVAILABLE, detail="No verdict came within 10 s.")


@pytest.mark.parametrize(
    ("granted_s", "left_s", "expected_s"), [(None, 30, 30.0), (10.0, 30, 10.0), (60.0, 30, 30.0), (None, -5, 0.0)]
)
def test_a_client_stays_no_longer_than_its_certificate_holds(
    granted_s: float | None, left_s: int, expected_s: float
) -> None:
    certificate = PeerCertificate(issuer="ca", serial=1, expires_at=END)
    now_us = int((END.timestamp() - left_s) * 1_000_000)
    granted = as_long_as_valid(Granted(username="u", valid_for_s=granted_s), certificate, now_us)
    assert granted.valid_for_s == pytest.approx(expected_s)
    assert granted.username == "u"
