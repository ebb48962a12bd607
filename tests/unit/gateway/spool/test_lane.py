from bridge.ports import StoredBlock
from gateway.spool.lane import Tail


def block(first_seq: int, count: int, size: int = 10) -> StoredBlock:
    return StoredBlock(
        first_seq=first_seq,
        count=count,
        received_at_us=first_seq * 1000,
        raw_size_bytes=size,
        plain_size_bytes=size,
        compressed=False,
        body=bytes(size),
    )


def tail(*blocks: StoredBlock, max_bytes: int = 1000) -> Tail:
    made = Tail(max_bytes)
    made.append(blocks)
    return made


def test_the_block_that_holds_the_number_comes_first() -> None:
    found = tail(block(1, 5), block(6, 5), block(11, 5)).since(8, max_records=100, max_bytes=1000)
    assert [item.first_seq for item in found or ()] == [6, 11]


def test_at_least_one_block_is_given_however_small_the_bounds() -> None:
    found = tail(block(1, 5), block(6, 5)).since(1, max_records=1, max_bytes=1)
    assert [item.first_seq for item in found or ()] == [1]


def test_the_bounds_end_the_run_before_they_are_passed() -> None:
    blocks = tail(*(block(1 + 5 * i, 5) for i in range(10)))
    assert len(blocks.since(1, max_records=14, max_bytes=1000) or ()) == 2
    assert len(blocks.since(1, max_records=1000, max_bytes=30) or ()) == 3


def test_a_number_older_than_the_tail_is_for_the_disk_to_answer() -> None:
    held = tail(block(1, 5, 600), block(6, 5, 600), max_bytes=1000)
    assert held.since(1, max_records=10, max_bytes=1000) is None
    assert held.since(6, max_records=10, max_bytes=1000) is not None


def test_the_time_of_a_record_is_its_blocks() -> None:
    held = tail(block(1, 5), block(6, 5))
    assert held.received_at_us(7) == 6000
    assert held.received_at_us(11) is None
    held.forget_below(6)
    assert held.received_at_us(3) is None
