"""Takes a block's columns apart, and builds no more objects than records can have.

An empty list is one byte of MessagePack and some seventy of memory, so a small frame could ask for gigabytes. So a
block is first walked through without building anything (then every array has the entries that it declares), and then
built one column at a time: a column is one flat array, no longer than there are records. Only the properties nest;
their maps are counted, and their lists are pairs of strings but for a few.
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


class ColumnReader:
    """Reads blocks that are laid end to end."""

    def __init__(self, data: bytes, max_records: int) -> None:
        """No column of `data` may have more than `max_records` entries."""
        size = max(len(data), 1)
        self._data = data
        self._max_records = max_records
        self._lists = 0
        self._walker = msgpack.Unpacker(None, max_buffer_size=size)
        self._builder = msgpack.Unpacker(
            None,
            max_buffer_size=size,
            max_array_len=max_records,
            max_ext_len=0,
            list_hook=self._on_list,
            object_hook=_refuse_map,
            ext_hook=_refuse_ext,
        )
        self._walker.feed(data)
        self._builder.feed(data)

    @property
    def at(self) -> int:
        """How many bytes are read."""
        at: int = self._walker.tell()
        return at

    def read(self) -> list[Any]:
        """The next block's columns.

        Raises ValueError, TypeError, msgpack.OutOfData, msgpack.UnpackException, RecursionError, MemoryError.
        """
        self._walker.skip()
        builder = self._builder
        count = builder.read_array_header()
        if not COLUMNS <= count <= _MAX_COLUMNS:
            raise ValueError(f"it has {count} columns")
        columns = []
        for _ in range(COLUMNS):
            self._lists = 0
            columns.append(builder.unpack())
        if count > COLUMNS:
            start = builder.tell()
            builder.skip()
            columns.append(_properties(self._data[start : builder.tell()], self._max_records))
        for _ in range(COLUMNS + 1, count):  # of a newer writer
            builder.skip()
        return columns

    def _on_list(self, items: list[Any]) -> list[Any]:
        self._lists += 1
        if self._lists > 1:
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
