"""Records on standard output, a line each."""

from __future__ import annotations

import json
import shutil
import sys
from typing import Any

from gateway.cli.record_text import Payload, line
from gateway.words import count


class Printer:
    """Prints records; on a terminal each at once, else as many as there are in one write."""

    def __init__(self, payload: Payload, *, as_json: bool) -> None:
        self.printed = 0
        self._payload = payload
        self._as_json = as_json
        self._is_terminal = sys.stdout.isatty()

    def record(self, record: dict[str, Any], *, more: bool = False) -> None:
        """One record; `more`: others follow at once, so that it need not leave by itself."""
        if self._as_json:
            if self._payload is Payload.NONE:
                record = {key: value for key, value in record.items() if key != "payload"}
            text = json.dumps(record, ensure_ascii=True)
        else:
            columns = shutil.get_terminal_size().columns if self._is_terminal else None
            text = line(record, self._payload, columns=columns)
        sys.stdout.write(f"{text}\n")
        self.printed += 1
        if self._is_terminal or not more:
            sys.stdout.flush()

    def lost(self, number: int) -> None:
        """So many more came than could be shown."""
        if self._as_json:
            sys.stdout.write(f'{{"lost": {number}}}\n')
            sys.stdout.flush()
        else:
            sys.stderr.write(f"({count(number)} more came than could be shown)\n")
