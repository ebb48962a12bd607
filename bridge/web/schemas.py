"""JSON Schema in few words, for what endpoints say of their bodies. Pure."""

from __future__ import annotations

from typing import Any

from bridge.web.operation import Schema

Part = dict[str, Any]

TEXT: Part = {"type": "string"}
COUNT: Part = {"type": "integer", "minimum": 0}
NUMBER: Part = {"type": "number"}
SECONDS: Part = {"type": "number", "minimum": 0, "description": "Seconds."}
FLAG: Part = {"type": "boolean"}
TIME: Part = {"type": "string", "description": "RFC 3339, UTC."}
COUNTS: Part = {"type": "object", "additionalProperties": COUNT, "description": "Counts by reason."}


def ref(name: str) -> Part:
    """One of the shared schemas, under `#/components/schemas`."""
    return {"$ref": f"#/components/schemas/{name}"}


def maybe(part: Schema) -> Part:
    """The same, or null."""
    if "$ref" in part:
        return {"anyOf": [part, {"type": "null"}]}
    kinds = part["type"] if isinstance(part["type"], list) else [part["type"]]
    found = {**part, "type": [*kinds, "null"]}
    if "enum" in found:
        found["enum"] = [*found["enum"], None]
    return found


def told(part: Schema, description: str) -> Part:
    """The same, with a description."""
    return {**part, "description": description}


def words(*names: str) -> Part:
    """One of these."""
    return {"type": "string", "enum": list(names)}


def listed(part: Schema, description: str = "") -> Part:
    """A list of such."""
    found: Part = {"type": "array", "items": dict(part)}
    return told(found, description) if description else found


def mapped(part: Schema, description: str = "") -> Part:
    """An object with names of the operator's as keys."""
    found: Part = {"type": "object", "additionalProperties": dict(part)}
    return told(found, description) if description else found


def thing(properties: Part, *, optional: tuple[str, ...] = ()) -> Part:
    """An object with exactly these members, all there but the optional ones."""
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def limit(most: int, default: int) -> Part:
    """How many at most."""
    return {"type": "integer", "minimum": 1, "maximum": most, "default": default}


EMPTY: Part = thing({})
