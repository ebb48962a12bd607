"""Takes a block's columns apart, and builds no more objects than records can have.

An empty list is one byte of MessagePack and some seventy of memory, so a small frame could ask for gigabytes. So a
block is built one column at a time: a column is one flat array, no longer than there are records. Only the properties
nest; their maps are counted, and their lists are pairs of strings but for a few.

Room for an array is made when its head is read. Arrays in arrays that declare much and hold nothing could so ask for
all their depth times the bound; where that is much, a block is first walked through without building anything, which
costs half as much again as building it. Guarded by tests/bench (receiver).
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

import msgpack

COLUMNS: Final = 8
"""Of every block; the ninth, the properties, is there when a record has any."""
_MAX_COLUMNS: Final = 64
_MAX_PROPERTIES: Final = 64
"""Names in one map; MQTT 5 has six that travel."""
_SPARE_LISTS: Final = 16
_WALK_ABOVE_RECORDS: Final = 16_384
"""At msgpack's depth of about 512 and eight bytes an entry, that makes 64 MiB."""


class ColumnReader:
    """Reads blocks that are laid end to end."""

    def __init__(self, data: bytes, max_records: int | None) -> None:
        """No column of `data` may have more than `max_records` entries; None for bytes of our own."""
        size = max(len(data), 1)
        self._data = data
        # A record takes more than a byte in its columns, so no honest column is longer than the data.
        self._max_records = len(data) if max_records is None else min(max_records, len(data))
        self._flat = _Flat()
        self._walker: msgpack.Unpacker | None = None
        if max_records is not None and max_records > _WALK_ABOVE_RECORDS:
            self._walker = msgpack.Unpacker(None, max_buffer_size=size)
            self._walker.feed(data)
        self._builder = msgpack.Unpacker(
            None,
            max_buffer_size=size,
            max_array_len=self._max_records,
            max_ext_len=0,
            list_hook=self._flat,  # no method of this object: a cycle would keep the bytes until they are collected
            object_hook=_refuse_map,
            ext_hook=_refuse_ext,
        )
        self._builder.feed(data)

    @property
    def at(self) -> int:
        """How many bytes are read."""
        at: int = self._builder.tell()
        return at

    def read(self) -> list[Any]:
        """The next block's columns.

        Raises ValueError, TypeError, msgpack.OutOfData, msgpack.UnpackException, RecursionError, MemoryError.
        """
        if self._walker is not None:
            self._walker.skip()
        builder = self._builder
        count = builder.read_array_header()
        if not COLUMNS <= count <= _MAX_COLUMNS:
            raise ValueError(f"it has {count} columns")
        columns = []
        for _ in range(COLUMNS):
            self._flat.lists = 0
            columns.append(builder.unpack())
        if count > COLUMNS:
            start = builder.tell()
            builder.skip()
            columns.append(_properties(self._data[start : builder.tell()], self._max_records))
        for _ in range(COLUMNS + 1, count):  # of a newer writer
            builder.skip()
        return columns


class _Flat:
    """Lets one array pass: those inside it would come first."""

    __slots__ = ("lists",)

    def __init__(self) -> None:
        self.lists = 0

    def __call__(self, items: list[Any]) -> list[Any]:
        self.lists += 1
        if self.lists > 1:
            raise ValueError("a column holds arrays")
        return items


def _properties(data: bytes, max_records: int) -> Any:
    maps = lists = 0

    def on_map(item: dict[str, Any]) -> dict[str, Any]:
        nonlocal maps
        maps += 1
        if maps > max_records:
            raise ValueError("there are more sets of properties than records")
        return item

    def on_list(items: list[Any]) -> list[Any] | tuple[Any, ...]:
        nonlocal lists
        if len(items) == 2 and type(items[0]) is type(items[1]) is str:
            return tuple(items)
        lists += 1
        if lists > max_records + _SPARE_LISTS:
            raise ValueError("the properties hold more arrays than records can have")
        return items

    return msgpack.unpackb(
        data,
        max_map_len=_MAX_PROPERTIES,
        max_ext_len=0,
        list_hook=on_list,
        object_hook=on_map,
        ext_hook=_refuse_ext,
    )


def _refuse_map(_item: dict[Any, Any]) -> NoReturn:
    raise ValueError("a column holds maps")


def _refuse_ext(code: int, _data: bytes) -> NoReturn:
    raise ValueError(f"it has an extension of type {code}")
