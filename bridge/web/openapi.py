"""The OpenAPI document, made from the routes themselves, so that description and code can't disagree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from bridge.web.operation import Operation
from bridge.web.routes import Route

_ERROR: Final = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["status", "message"],
            "properties": {
                "status": {"type": "integer"},
                "message": {"type": "string"},
                "problems": {"type": "array"},
            },
        }
    },
}
_ERROR_REF: Final = {"$ref": "#/components/schemas/Error"}
_SENTENCES: Final = {
    400: "The address or the body is wrong; the sentence says where.",
    401: "Nobody is logged in.",
    403: "Not allowed: the role is not enough, or a page elsewhere asks.",
    408: "The body did not come in time.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    421: "The Host header names another machine.",
    503: "Not now: too many ask, or the disk can't be read; the sentence says which.",
}
_EVENTS: Final = {
    "description": "Followed: an event `body` at once and whenever it changes, at most once a second.",
    "schema": {"type": "string"},
}


def document(
    routes: Iterable[Route], *, title: str, version: str, cookie: str, schemas: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """OpenAPI 3.1. Routes without an `operation` are left out; `schemas` go under `#/components/schemas`."""
    paths: dict[str, dict[str, Any]] = {}
    tags: dict[str, None] = {}
    for route in routes:
        if route.operation is None:
            continue
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, route.operation)
        if route.operation.tag:
            tags[route.operation.tag] = None
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "servers": [{"url": "/"}],
        "security": [{"cookie": []}, {"token": []}],
        "tags": [{"name": tag} for tag in tags],
        "paths": paths,
        "components": {
            "schemas": {"Error": _ERROR, **(schemas or {})},
            "securitySchemes": {
                "cookie": {"type": "apiKey", "in": "cookie", "name": cookie},
                "token": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def operation_id(route: Route) -> str:
    """A name for a route: `get_devices_client`."""
    words = [part.strip("{}").replace("-", "_").replace(".", "_") for part in route.path.split("/") if part]
    if words[:2] == ["api", "v1"]:
        words = words[2:]
    return "_".join([route.method.lower(), *words])


def _operation(route: Route, operation: Operation) -> dict[str, Any]:
    made: dict[str, Any] = {"operationId": operation_id(route), "summary": operation.summary}
    description = operation.description
    if route.role == "operator":
        description = f"{description}\n\nFor operators.".strip()
    if description:
        made["description"] = description
    if operation.tag:
        made["tags"] = [operation.tag]
    if route.role == "open":
        made["security"] = []
    parameters = [*_path_parameters(route, operation), *_query_parameters(operation)]
    if route.method != "GET":
        parameters.append(
            {
                "name": "X-CSRF-Token",
                "in": "header",
                "description": "From GET /api/v1/session; browsers must send it.",
                "schema": {"type": "string"},
            }
        )
    if parameters:
        made["parameters"] = parameters
    if operation.body is not None:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": operation.body}}}
    made["responses"] = _responses(route, operation)
    return made


def _path_parameters(route: Route, operation: Operation) -> list[dict[str, Any]]:
    names = [part[1:-1].removesuffix("...") for part in route.path.split("/") if part.startswith("{")]
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": operation.path.get(name, ""),
            "schema": {"type": "string", "minLength": 1},
        }
        for name in names
    ]


def _query_parameters(operation: Operation) -> list[dict[str, Any]]:
    made = []
    for parameter in operation.query:
        item: dict[str, Any] = {"name": parameter.name, "in": "query", "schema": parameter.schema}
        if parameter.is_list:
            item["schema"] = {"type": "array", "items": parameter.schema}
            item["explode"] = True
        if parameter.is_required:
            item["required"] = True
        if parameter.description:
            item["description"] = parameter.description
        made.append(item)
    return made


def _responses(route: Route, operation: Operation) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if operation.answer is not None or operation.answer_type != "application/json":
        content[operation.answer_type] = {"schema": operation.answer or {"type": "string"}}
    if route.is_live:
        content["text/event-stream"] = {"schema": _EVENTS["schema"]}
    good: dict[str, Any] = {"description": operation.summary}
    if route.is_live:
        good["description"] = f"{operation.summary}. {_EVENTS['description']}"
    if content:
        good["content"] = content
    sentences = {status: _SENTENCES[status] for status in _usual(route, operation)} | dict(operation.statuses)
    return {
        str(operation.status): good,
        **{
            str(status): {
                "description": sentence,
                "content": {"application/json": {"schema": operation.bodies.get(status, _ERROR_REF)}},
            }
            for status, sentence in sorted(sentences.items())
        },
    }


def _usual(route: Route, operation: Operation) -> list[int]:
    usual = [400, 403, 421]
    if route.role != "open":
        usual += [401, 503]
    if operation.body is not None or route.method == "POST":
        usual += [408, 413, 415]
    return usual
