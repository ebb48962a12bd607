"""Retained messages a page at a time, for an operator who looks through a hundred thousand of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.broker.message import Message
from gateway.broker.retained import RetainedMessages


@dataclass(frozen=True, slots=True, kw_only=True)
class RetainedPage:
    """`next_after`: ask for what comes after this topic; None: that was all."""

    messages: Sequence[Message]
    next_after: str | None


async def retained_page(
    retained: RetainedMessages,
    topic_filter: str,
    *,
    now_s: Callable[[], float],
    after: str | None = None,
    limit: int = 100,
) -> RetainedPage:
    """Those that a valid filter matches, behind the topic `after`, in the order of their topics' levels.

    However many have to be looked at, others get their turn after a millisecond. Raises ValueError where the filter
    does not match `after`.
    """
    found: list[Message] = []
    walk = retained.match(topic_filter, now_s(), after=after)
    while len(found) <= limit and not walk.is_done:
        found += walk.take(limit + 1 - len(found), now_s())
        await asyncio.sleep(0)
    if len(found) <= limit:
        return RetainedPage(messages=found, next_after=None)
    return RetainedPage(messages=found[:limit], next_after=found[limit - 1].topic)
