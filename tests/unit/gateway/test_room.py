"""How much the spool may still take."""

from __future__ import annotations

from gateway.room import Room


def test_a_database_that_has_drained_has_room_though_its_file_is_large() -> None:
    room = Room(limit_bytes=1000, size_bytes=1000, stored_bytes=100, disk_free_bytes=10**12)
    assert room.free_bytes == 892


def test_a_small_disk_bounds_the_room() -> None:
    room = Room(limit_bytes=10**9, size_bytes=1000, stored_bytes=1000, disk_free_bytes=5000)
    assert room.free_bytes == 5000
    assert room.is_disk_full
    assert not Room(limit_bytes=1, size_bytes=1, stored_bytes=1, disk_free_bytes=None).is_disk_full
