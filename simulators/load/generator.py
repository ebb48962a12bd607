"""Running a load: connect all, start the clock, keep every window full, stop it at the last acknowledgement."""

from __future__ import annotations

import select
import time

from simulators.load.connection import PUBLISHERS, Publisher
from simulators.load.latency import percentiles
from simulators.load.options import LoadFailed, LoadOptions, LoadResult
from simulators.load.paced import run_paced
from simulators.load.rings import Ring, encode_ring, ring_count


def run_load(options: LoadOptions) -> LoadResult:
    """Run one load to its end in this thread. Raises LoadFailed with a sentence when it can't be."""
    rings = encode_rings(options)
    publishers = connect_all(options, rings)
    try:
        if options.rate_per_s is not None:
            started_s, ended_s, cpu_s, latencies_s = run_paced(publishers, options)
        else:
            latencies_s = []
            started_s, ended_s, cpu_s = _Run(publishers, options).run()
    finally:
        for publisher in publishers:
            publisher.close()
    refused = sum(publisher.refused for publisher in publishers)
    return LoadResult(
        sent=sum(publisher.sent for publisher in publishers),
        acknowledged=sum(publisher.finished for publisher in publishers) - refused,
        refused=refused,
        disordered=sum(publisher.disordered for publisher in publishers),
        started_s=started_s,
        ended_s=ended_s,
        cpu_s=cpu_s,
        packet_bytes=rings[0].size_bytes,
        distinct_messages=sum(ring.count for ring in rings),
        latency_ms=percentiles(latencies_s),
    )


def encode_rings(options: LoadOptions) -> list[Ring]:
    """One ring for each connection. Raises ValueError for a window that MQTT's identifiers can't number."""
    count = ring_count(connections=options.connections, window=options.window, payload_bytes=options.payload_bytes)
    return [
        encode_ring(
            device=device,
            count=count,
            payload_bytes=options.payload_bytes,
            qos=options.qos,
            version=options.version,
            user_property=options.user_property,
            topic=options.topic,
            seed=options.seed,
            retain=options.retain,
        )
        for device in range(options.connections)
    ]


def connect_all(options: LoadOptions, rings: list[Ring]) -> list[Publisher]:
    """Connect one publisher a ring. Raises LoadFailed when one can't be."""
    publishers: list[Publisher] = []
    try:
        for device, ring in enumerate(rings):
            client_id = options.client_id.format(device=f"dev-{device:04d}")
            publisher: Publisher = PUBLISHERS[options.qos](ring, client_id=client_id, window=options.window)
            publishers.append(publisher)
            publisher.connect(options)
    except LoadFailed:
        for publisher in publishers:
            publisher.close()
        raise
    return publishers


class _Run:
    """All publishers at full speed, from the first publish to the last acknowledgement."""

    def __init__(self, publishers: list[Publisher], options: LoadOptions) -> None:
        self._publishers = publishers
        self._options = options
        self._by_file = {publisher.fileno(): publisher for publisher in publishers}
        self._waiting = set(self._by_file)
        self._writing: set[int] = set()
        self._poll = select.epoll()
        self._progress = (0, 0.0)

    def run(self) -> tuple[float, float, float]:
        """When it started and ended, and the processor time it took. Raises LoadFailed."""
        _share(self._publishers, self._options.messages)
        for file in self._by_file:
            self._poll.register(file, select.EPOLLIN)
        cpu_before = time.process_time()
        started_s = ended_s = time.monotonic()
        self._progress = (0, started_s)
        stop_s = started_s + (self._options.duration_s if self._options.duration_s is not None else float("inf"))
        try:
            self._serve([(file, select.EPOLLOUT) for file in self._by_file])
            while self._waiting:
                events = self._poll.poll(0.25)
                self._serve(events)
                now_s = time.monotonic()
                if events:
                    ended_s = now_s
                if now_s >= stop_s:
                    stop_s = float("inf")
                    self._stop_sending()
                if now_s - self._progress[1] > 1.0:
                    self._check_progress(now_s)
        except LoadFailed as error:
            raise LoadFailed(str(error), acknowledged=sum(p.finished for p in self._publishers)) from error
        finally:
            self._poll.close()
        return started_s, ended_s, time.process_time() - cpu_before

    def _serve(self, events: list[tuple[int, int]]) -> None:
        for file, event in events:
            publisher = self._by_file[file]
            if event == select.EPOLLIN:
                publisher.on_readable()
            else:
                if event & ~select.EPOLLOUT:
                    publisher.on_readable()
                publisher.on_writable()
            if publisher.wants_write is not (file in self._writing):
                self._writing ^= {file}
                mask = select.EPOLLIN | select.EPOLLOUT if publisher.wants_write else select.EPOLLIN
                self._poll.modify(file, mask)
            if publisher.is_ending and publisher.is_done:
                self._waiting.discard(file)

    def _stop_sending(self) -> None:
        for publisher in self._publishers:
            publisher.stop_sending()
        self._serve([(file, select.EPOLLOUT) for file in self._waiting.copy()])

    def _check_progress(self, now_s: float) -> None:
        sent = sum(publisher.sent for publisher in self._publishers)
        finished = sum(publisher.finished for publisher in self._publishers)
        if sent + finished != self._progress[0]:
            self._progress = (sent + finished, now_s)
        elif now_s - self._progress[1] > self._options.stall_s:
            raise LoadFailed(
                f"Nothing was acknowledged for {self._options.stall_s:g} s: {sent} messages were sent to "
                f"{self._options.host}:{self._options.port} and {finished} of them acknowledged."
            )


def _share(publishers: list[Publisher], messages: int | None) -> None:
    """Give each publisher its part of the messages; without a number, as many as the clock allows."""
    if messages is None:
        for publisher in publishers:
            publisher.set_limit(1 << 60)
        return
    each, more = divmod(messages, len(publishers))
    for number, publisher in enumerate(publishers):
        publisher.set_limit(each + (number < more))
