"""/api/v1/devices: who is connected, what each does, who was turned away; and how to end a connection."""

from __future__ import annotations

from typing import Any, Final

from bridge.web.operation import Operation, Parameter
from bridge.web.routes import Call, Problem, Route
from gateway.api import schemas as s
from gateway.api.parts import Parts
from gateway.api.shapes import moment, name, sample
from gateway.broker.devices import Device, Order, Presence
from gateway.broker.refused_connects import RefusedConnect
from gateway.broker.routes import MAX_CACHED_TOPIC_BYTES

NEWEST_MESSAGES: Final = 50

_DEVICE_PARTS: Final = {
    "client": s.TEXT,
    "is_connected": s.FLAG,
    "since": s.maybe(s.TIME),
    "address": s.maybe(s.TEXT),
    "listener": s.maybe(s.TEXT),
    "protocol": s.maybe(s.words("5", "3.1.1", "3.1")),
    "username": s.maybe(s.TEXT),
    "published": s.COUNT,
    "published_bytes": s.COUNT,
    "per_s": s.NUMBER,
    "delivered": s.COUNT,
    "last_topic": s.maybe(s.TEXT),
    "is_last_topic_cut": s.told(
        s.FLAG, f"Whether more of it may be missing: {MAX_CACHED_TOPIC_BYTES} bytes of a topic are kept here."
    ),
    "last_published_at": s.maybe(s.TIME),
    "refused": s.COUNT,
    "queued": s.COUNT,
    "subscriptions": s.COUNT,
    "is_durable": s.FLAG,
}
_REFUSED: Final = s.thing(
    {
        "at": s.TIME,
        "client": s.TEXT,
        "address": s.TEXT,
        "reason": s.TEXT,
        "detail": s.TEXT,
        "username": s.maybe(s.TEXT),
        "count": s.COUNT,
    }
)
_LIST: Final = s.thing(
    {
        "total": s.told(s.COUNT, "How many match."),
        "connected": s.told(s.COUNT, "Of all, whatever was asked for."),
        "absent": s.COUNT,
        "devices": s.listed(s.thing(dict(_DEVICE_PARTS))),
        "refused": s.listed(_REFUSED, "The newest clients that were not let in; equal ones are counted together."),
    }
)
_ONE: Final = s.thing(
    {
        **_DEVICE_PARTS,
        "keep_alive_s": s.maybe(s.COUNT),
        "session_expiry_s": s.told(s.maybe(s.COUNT), "null: its session never ends."),
        "queued_bytes": s.COUNT,
        "in_flight": s.COUNT,
        "subscription_list": s.listed(
            s.thing(
                {
                    "filter": s.TEXT,
                    "qos": s.COUNT,
                    "no_local": s.FLAG,
                    "retain_as_published": s.FLAG,
                    "shared": s.maybe(s.TEXT),
                }
            ),
            "The first thousand.",
        ),
        "will": s.maybe(s.thing({"topic": s.TEXT, "qos": s.COUNT})),
        "refusals": s.COUNTS,
        "messages": s.listed(s.RECORD, f"The newest {NEWEST_MESSAGES} that are remembered, newest first."),
    }
)
_QUERY: Final = (
    Parameter(
        name="search",
        schema={"type": "string", "maxLength": 200, "default": ""},
        description="A part of client id, address or user name, in any case.",
    ),
    Parameter(name="state", schema={**s.words(*Presence), "default": Presence.ALL.value}),
    Parameter(name="sort", schema={**s.words(*Order), "default": Order.CLIENT.value}),
    Parameter(name="order", schema={**s.words("asc", "desc"), "default": "asc"}),
    Parameter(name="limit", schema=s.limit(500, 100)),
    Parameter(name="offset", schema={"type": "integer", "minimum": 0, "maximum": 1_000_000, "default": 0}),
)
_CLIENT: Final = {"client": "The client id, percent-encoded; or anything, where the query names it."}
_WHICH: Final = (
    Parameter(
        name="client",
        schema={"type": "string", "maxLength": 65_535},
        description="The client id, where no path can hold it: `.` and `..` are directions in an address.",
    ),
)


def routes(parts: Parts) -> list[Route]:
    """The list, one device, and ending its connection."""

    async def devices(call: Call) -> dict[str, Any]:
        query = call.query
        page = parts.broker.devices.page(
            search=query["search"],
            state=Presence(query["state"]),
            sort=Order(query["sort"]),
            is_descending=query["order"] == "desc",
            limit=query["limit"],
            offset=query["offset"],
        )
        return {
            "total": page.total,
            "connected": page.connected,
            "absent": page.absent,
            "devices": [_device(device) for device in page.devices],
            "refused": [_refused(entry) for entry in parts.broker.devices.refused],
        }

    async def one(call: Call) -> dict[str, Any]:
        return _detail(parts, _client(call))

    async def disconnect(call: Call) -> dict[str, Any]:
        call.target = client = _client(call)  # the one that is meant, whatever stands in the path
        if not parts.broker.disconnect(client):
            if parts.broker.devices.one(client) is None:
                raise _unknown()
            raise Problem(409, "This device is not connected.")
        return {"client": client, "message": "The connection was ended. The device may connect again."}

    return [
        Route(
            method="GET",
            path="/api/v1/devices",
            handler=devices,
            is_live=True,
            operation=Operation(
                summary="Who is here, and who was turned away", tag="devices", query=_QUERY, answer=_LIST
            ),
        ),
        Route(
            method="GET",
            path="/api/v1/devices/{client}",
            handler=one,
            is_live=True,
            operation=Operation(
                summary="One device",
                tag="devices",
                path=_CLIENT,
                query=_WHICH,
                answer=_ONE,
                statuses={404: "There is no session of that client id."},
            ),
        ),
        Route(
            method="POST",
            path="/api/v1/devices/{client}/disconnect",
            handler=disconnect,
            role="operator",
            audit="disconnect the device",
            operation=Operation(
                summary="End its connection",
                description="MQTT 5 is told so with DISCONNECT 0x98 (Administrative action); its will is published.",
                tag="devices",
                path=_CLIENT,
                query=_WHICH,
                body=s.EMPTY,
                answer=s.thing({"client": s.TEXT, "message": s.TEXT}),
                statuses={404: "There is no session of that client id.", 409: "It is not connected."},
            ),
        ),
    ]


def _client(call: Call) -> str:
    client: str = call.query.get("client") or call.path["client"]
    return client


def _unknown() -> Problem:
    return Problem(404, "There is no device of that client id: it is not connected, and no session waits for it.")


def _device(device: Device) -> dict[str, Any]:
    topic = device.last_topic
    is_cut = topic is not None and len(topic.encode()) >= MAX_CACHED_TOPIC_BYTES
    return {
        "client": name(device.client),
        "is_connected": device.is_connected,
        "since": moment(device.since_us),
        "address": device.address,
        "listener": device.listener,
        "protocol": device.protocol,
        "username": device.username and name(device.username),
        "published": device.published,
        "published_bytes": device.published_bytes,
        "per_s": round(device.per_s, 2),
        "delivered": device.delivered,
        # What was cut within a character ends with the sign for none.
        "last_topic": topic.rstrip("\ufffd") if is_cut and topic else topic,
        "is_last_topic_cut": is_cut,
        "last_published_at": moment(device.last_published_at_us),
        "refused": device.refused,
        "queued": device.queued,
        "subscriptions": device.subscriptions,
        "is_durable": device.is_durable,
    }


def _refused(entry: RefusedConnect) -> dict[str, Any]:
    return {
        "at": moment(entry.at_us),
        "client": entry.client,
        "address": entry.address,
        "reason": entry.reason,
        "detail": entry.detail,
        "username": entry.username,
        "count": entry.count,
    }


def _detail(parts: Parts, client: str) -> dict[str, Any]:
    found = parts.broker.devices.one(client)
    if found is None:
        raise _unknown()
    device = found.device
    return {
        **_device(device),
        "keep_alive_s": device.keep_alive_s,
        "session_expiry_s": found.session_expiry_s,
        "queued_bytes": device.queued_bytes,
        "in_flight": device.in_flight,
        "subscription_list": [
            {
                "filter": name(held.filter),
                "qos": held.qos,
                "no_local": held.no_local,
                "retain_as_published": held.retain_as_published,
                "shared": held.shared and name(held.shared),
            }
            for held in found.subscriptions
        ],
        "will": None if found.will_topic is None else {"topic": name(found.will_topic), "qos": found.will_qos or 0},
        "refusals": dict(sorted(found.refusals.items())),
        "messages": [sample(item) for item in parts.traffic.recent(client=client, limit=NEWEST_MESSAGES)],
    }
