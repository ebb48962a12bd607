"""How much the spool may still take."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from config.settings import MIB
from gateway.room import Room


def room(**values: Any) -> Room:
    given = {"ceiling_bytes": 100, "used_bytes": None, "size_bytes": 0, "stored_bytes": 0, "disk_free_bytes": None}
    return Room(**{**given, **values})


def test_a_database_that_has_drained_has_room_though_its_file_is_large() -> None:
    assert room(ceiling_bytes=100 * MIB, size_bytes=100 * MIB, stored_bytes=10 * MIB).free_bytes > 80 * MIB


def test_what_rows_take_beside_their_bodies_is_measured_where_it_can_be() -> None:
    assert room(ceiling_bytes=40 * MIB, used_bytes=20 * MIB, stored_bytes=10 * MIB).free_bytes == 10 * MIB


def test_a_small_disk_bounds_the_room() -> None:
    small = room(ceiling_bytes=100 * MIB, used_bytes=10 * MIB, size_bytes=10 * MIB, stored_bytes=10 * MIB)
    assert replace(small, disk_free_bytes=5 * MIB).free_bytes == 5 * MIB


def test_a_spool_beyond_its_ceiling_has_none() -> None:
    assert room(ceiling_bytes=10, used_bytes=20).free_bytes == 0
