from hypothesis import given
from hypothesis import strategies as st

from bridge.block import decode_blocks
from gateway.spool.open_commit import Columns, OpenCommit


def columns(payloads: list[bytes]) -> Columns:
    size = sum(map(len, payloads))
    return Columns("device", 1_000_000, [b"a/b"] * len(payloads), payloads, bytes([2] * len(payloads)), size, None)


@given(
    st.lists(st.lists(st.binary(max_size=40), min_size=1, max_size=30), max_size=8),
    st.integers(1, 20),
    st.integers(1, 200),
)
def test_blocks_keep_every_record_in_order_within_their_bounds(
    batches: list[list[bytes]], max_records: int, max_bytes: int
) -> None:
    commit = OpenCommit()
    for batch in batches:
        commit.append(3, columns(batch), max_records=max_records, max_bytes=max_bytes)
    blocks = commit.blocks.get(3, [])
    assert all(1 <= block.count <= max_records for block in blocks)
    decoded = [record.payload for block in blocks for whole in decode_blocks(block.encode(), 1) for record in whole]
    assert decoded == [payload for batch in batches for payload in batch]
    assert sum(block.plain_size_bytes for block in blocks) == sum(len(payload) for payload in decoded)


def test_a_commit_with_nothing_in_it_is_false() -> None:
    commit = OpenCommit()
    assert not commit
    commit.sessions["device"] = bytes
    assert commit
