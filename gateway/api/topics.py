"""/api/v1/topics and /api/v1/retained: what flows, level by level, and what is retained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from bridge.web.operation import Operation, Parameter
from bridge.web.routes import Call, Problem, Route
from gateway.api import schemas as s
from gateway.api.parts import Parts
from gateway.api.shapes import ALONE_BYTES, moment, payload, retained, sample
from gateway.broker.message import Message
from gateway.broker.retained_page import retained_page
from gateway.mqtt.errors import TopicFilterInvalid
from gateway.mqtt.topics import validate_topic_filter
from gateway.traffic.topics import Branch, Sort

NEWEST_MESSAGES: Final = 100
NAMES_BYTES: Final = 1024 * 1024
"""A page of what is retained ends behind so many bytes of topics and client ids: each may be 64 KiB long."""

_LAST: Final = s.maybe(s.thing({"at": s.maybe(s.TIME), "client": s.TEXT, "payload": s.PAYLOAD}))
_LEVEL: Final = s.thing(
    {
        "prefix": s.TEXT,
        "total": s.COUNT,
        "topics": s.listed(
            s.thing(
                {
                    "name": s.TEXT,
                    "topic": s.TEXT,
                    "children": s.told(s.COUNT, "How many topics that are remembered are below it."),
                    "messages": s.told(s.COUNT, "On it and below it."),
                    "per_s": s.NUMBER,
                    "last": _LAST,
                    "is_retained": s.FLAG,
                }
            )
        ),
        "is_complete": s.told(
            s.FLAG, "False when more topics flowed than are remembered, or one that is too long to be."
        ),
        "sampled": s.told(s.NUMBER, "The share of the messages that was looked at."),
    }
)
_ONE: Final = s.thing(
    {
        "topic": s.TEXT,
        "messages": s.COUNT,
        "per_s": s.NUMBER,
        "retained": s.maybe(s.RECORD),
        "recent": s.listed(s.RECORD, f"The newest {NEWEST_MESSAGES} that are remembered, newest first."),
        "subscribers": s.told(s.COUNT, "Sessions whose subscriptions match it."),
    }
)
_RETAINED: Final = s.thing(
    {
        "total": s.told(s.COUNT, "That clients published, whatever the filter."),
        "retained": s.listed(s.RECORD),
        "next_after": s.maybe(s.TEXT),
    }
)
_TOPIC: Final = {"type": "string", "minLength": 1, "maxLength": 65535}


def routes(parts: Parts) -> list[Route]:
    """A level, one topic, and what is retained."""

    async def topics(call: Call) -> dict[str, Any]:
        query = call.query
        prefix: str = query["prefix"]
        if prefix and not prefix.endswith("/"):
            raise Problem(400, "The prefix ends with a slash, or is empty for the first level.")
        level = parts.traffic.children(prefix, search=query["search"], sort=Sort(query["sort"]), limit=query["limit"])
        return {
            "prefix": prefix,
            "total": level.total,
            "topics": [_branch(parts, branch) for branch in level.branches],
            "is_complete": level.is_complete,
            "sampled": round(parts.traffic.sampled, 3),
        }

    async def one(call: Call) -> dict[str, Any]:
        topic: str = call.query["topic"]
        seen = parts.traffic.topic(topic)
        kept = _retained_on(parts, topic)
        if seen is None and kept is None:
            raise Problem(404, "Nothing is known of this topic: nothing flowed lately, and nothing is retained.")
        return {
            "topic": topic,
            "messages": 0 if seen is None else seen.messages,
            "per_s": 0.0 if seen is None else round(seen.per_s, 2),
            "retained": None if kept is None else retained(kept, most=ALONE_BYTES),
            "recent": [sample(item) for item in parts.traffic.recent(topic=topic, limit=NEWEST_MESSAGES)],
            "subscribers": len(set(parts.broker.subscriptions.match(topic))),
        }

    async def retained_list(call: Call) -> dict[str, Any]:
        topic_filter: str = call.query["filter"]
        try:
            validate_topic_filter(topic_filter)
        except TopicFilterInvalid as error:
            raise Problem(400, f"The filter is wrong: {error}") from error
        try:
            page = await retained_page(
                parts.broker.retained,
                topic_filter,
                now_s=parts.clock.monotonic_s,
                after=call.query["after"],
                limit=call.query["limit"],
            )
        except ValueError as error:
            raise Problem(400, f"Nothing can follow after that topic: {error}") from error
        fit = _fitting(page.messages)
        return {
            "total": parts.broker.retained.from_clients,
            "retained": [retained(message) for message in fit],
            "next_after": page.next_after if len(fit) == len(page.messages) else fit[-1].topic,
        }

    return [
        Route(
            method="GET",
            path="/api/v1/topics",
            handler=topics,
            is_live=True,
            operation=Operation(
                summary="What flows, one level of topics",
                tag="topics",
                query=(
                    Parameter(
                        name="prefix",
                        schema={"type": "string", "maxLength": 65535, "default": ""},
                        description="Empty, or ends with a slash.",
                    ),
                    Parameter(name="search", schema={"type": "string", "maxLength": 200, "default": ""}),
                    Parameter(name="sort", schema={**s.words(*Sort), "default": Sort.PER_S.value}),
                    Parameter(name="limit", schema=s.limit(1000, 200)),
                ),
                answer=_LEVEL,
            ),
        ),
        Route(
            method="GET",
            path="/api/v1/topics/one",
            handler=one,
            is_live=True,
            operation=Operation(
                summary="One topic",
                tag="topics",
                query=(Parameter(name="topic", schema=_TOPIC, is_required=True),),
                answer=_ONE,
                statuses={404: "Nothing is known of it."},
            ),
        ),
        Route(
            method="GET",
            path="/api/v1/retained",
            handler=retained_list,
            operation=Operation(
                summary="What is retained",
                tag="topics",
                query=(
                    Parameter(name="filter", schema={**_TOPIC, "default": "#"}, description="A topic filter."),
                    Parameter(name="after", schema=_TOPIC, description="Go on after this topic."),
                    Parameter(name="limit", schema=s.limit(1000, 100)),
                ),
                answer=_RETAINED,
            ),
        ),
    ]


def _branch(parts: Parts, branch: Branch) -> dict[str, Any]:
    last = branch.last
    return {
        "name": branch.name,
        "topic": branch.topic,
        "children": branch.children,
        "messages": branch.messages,
        "per_s": round(branch.per_s, 2),
        "last": None
        if last is None
        else {
            "at": moment(last.at_us),
            "client": last.client,
            "payload": payload(last.payload, size_bytes=last.size_bytes),
        },
        "is_retained": _retained_on(parts, branch.topic) is not None,
    }


def _fitting(messages: Sequence[Message]) -> Sequence[Message]:
    """The first of them whose topics and clients are no more than NAMES_BYTES together; one at least."""
    size_bytes = 0
    for number, message in enumerate(messages):
        size_bytes += len(message.topic) + len(message.origin)
        if size_bytes > NAMES_BYTES and number:
            return messages[:number]
    return messages


def _retained_on(parts: Parts, topic: str) -> Message | None:
    kept = parts.broker.retained.get(topic)
    return None if kept is None or kept.is_expired(parts.clock.monotonic_s()) else kept
