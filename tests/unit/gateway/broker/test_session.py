from __future__ import annotations

import contextlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.broker.held import Held
from gateway.broker.session import Session, SnapshotUnreadable
from gateway.mqtt.packets import Subscription

SUBSCRIPTIONS = st.dictionaries(
    st.text(min_size=1, max_size=10),
    st.tuples(
        st.integers(0, 2),
        st.booleans(),
        st.booleans(),
        st.integers(0, 2),
        st.one_of(st.none(), st.integers(1, 268435455)),
    ),
    max_size=5,
)


def told(session: Session) -> dict[str, tuple[Subscription, int | None]]:
    return {name: (held.subscription, held.identifier) for name, held in session.subscriptions.items()}


@given(SUBSCRIPTIONS, st.sets(st.binary(min_size=2, max_size=2), max_size=20), st.integers(1, 0xFFFFFFFF))
def test_a_session_comes_back_from_its_snapshot(
    subscriptions: dict[str, tuple[int, bool, bool, int, int | None]], ids: set[bytes], expiry: int
) -> None:
    session = Session("device", expiry)
    for topic_filter, (qos, no_local, as_published, handling, identifier) in subscriptions.items():
        session.subscriptions[topic_filter] = Held(
            subscription=Subscription(
                topic_filter=topic_filter,
                qos=qos,
                no_local=no_local,
                retain_as_published=as_published,
                retain_handling=handling,
            ),
            identifier=identifier,
        )
    session.awaiting_release = dict.fromkeys(ids)
    restored = Session.restore("device", session.snapshot())
    assert told(restored) == told(session)
    assert restored.awaiting_release.keys() == ids
    assert restored.expiry_interval_s == expiry
    assert restored.is_stored


@pytest.mark.parametrize(
    "snapshot",
    [
        b"",
        b"\xc1",
        b"\x00",
        msgpack.packb([2, 10, [], b""]),
        msgpack.packb([1, 10, [["a", 3, 0, None]], b""]),
        msgpack.packb([1, 10, [["a", 1, 3 << 2, None, 5]], b""]),
        msgpack.packb([1, "x", [], b""]),
        msgpack.packb([1, 10, [], 7]),
        msgpack.packb([1, 10, [["", 1, 0, None]], b""]),
    ],
)
def test_bytes_that_are_no_snapshot_are_told(snapshot: bytes) -> None:
    with pytest.raises(SnapshotUnreadable):
        Session.restore("device", snapshot)


@given(st.binary(max_size=60))
def test_random_bytes_never_raise_anything_else(snapshot: bytes) -> None:
    with contextlib.suppress(SnapshotUnreadable):
        Session.restore("device", snapshot)
