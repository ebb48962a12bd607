"""A slow load that times each PUBACK: publishes at fixed times, whatever the broker does in between.

The clock starts when the publish was due, not when the socket took it, so a broker that stalls is charged for the wait
of all that were due meanwhile.
"""

from __future__ import annotations

import select
import time
from collections import deque

from simulators.load.connection import Publisher
from simulators.load.options import LoadFailed, LoadOptions


def run_paced(publishers: list[Publisher], options: LoadOptions) -> tuple[float, float, float, list[float]]:
    """Start, end, processor time, and every PUBACK's latency in seconds. Raises LoadFailed when answers stay away."""
    rate_per_s = options.rate_per_s or 1.0
    messages = options.messages if options.messages is not None else max(1, int((options.duration_s or 0) * rate_per_s))
    by_file = {publisher.fileno(): publisher for publisher in publishers}
    due: dict[int, deque[float]] = {file: deque() for file in by_file}
    limits = dict.fromkeys(by_file, 0)
    files = list(by_file)
    latencies_s: list[float] = []
    poll = select.epoll()
    for file in files:
        poll.register(file, select.EPOLLIN)
    cpu_before = time.process_time()
    started_s = time.monotonic()
    sent = 0
    try:
        while len(latencies_s) < messages:
            now_s = time.monotonic()
            next_s = started_s + sent / rate_per_s
            if sent < messages and now_s >= next_s:
                file = files[sent % len(files)]
                due[file].append(next_s)
                limits[file] += 1
                by_file[file].set_limit(limits[file])
                by_file[file].on_writable()
                sent += 1
                continue
            if sent >= messages and now_s - next_s > options.stall_s:
                raise LoadFailed(
                    f"{messages - len(latencies_s)} of {messages} publishes were not acknowledged within "
                    f"{options.stall_s:g} s.",
                    acknowledged=len(latencies_s),
                )
            # epoll rounds up to whole milliseconds, which would make every publish late: the last of them is spun away.
            wait_s = max(0.0, next_s - now_s - 0.002) if sent < messages else options.stall_s
            for file, _ in poll.poll(wait_s):
                publisher = by_file[file]
                before = publisher.finished
                publisher.on_readable()
                answered_s = time.monotonic()
                latencies_s += [answered_s - due[file].popleft() for _ in range(publisher.finished - before)]
    finally:
        poll.close()
    return started_s, time.monotonic(), time.process_time() - cpu_before, latencies_s
