"""JSON Schema (draft 2020-12) of both files, for editors that complete and check while one types.

It is made from the same description as the loader. The loader checks more: what holds between keys, and what the
environment puts in.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from config.gateway_keys import GATEWAY
from config.kinds import Kind, Maybe
from config.receiver_keys import RECEIVER
from config.shapes import Key, Section, SectionList, ValueList

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_VARIABLE = {"$ref": "#/$defs/variable"}


def gateway_schema() -> dict[str, Any]:
    """The schema of gateway.yaml."""
    return _document(GATEWAY, "Fieldgate gateway", "The configuration of the gateway, gateway.yaml.")


def receiver_schema() -> dict[str, Any]:
    """The schema of receiver.yaml."""
    return _document(RECEIVER, "Fieldgate receiver", "The configuration of the receiver, receiver.yaml.")


def _document(root: Section, title: str, description: str) -> dict[str, Any]:
    variable = {
        "description": "A value from the environment: ${NAME}, or ${NAME:-default}.",
        "type": "string",
        "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}",
    }
    return {
        "$schema": _DIALECT,
        "title": title,
        "description": description,
        **_section(root, root.settings()),
        "$defs": {"variable": variable},
    }


def _section(section: Section, default: Any, variant: str = "") -> dict[str, Any]:
    """A mapping. Nothing at all may stand for it: a section whose keys are all commented out."""
    schema: dict[str, Any] = {
        "type": "object" if variant else ["object", "null"],
        "additionalProperties": False,
        "properties": {
            key.name: {"const": variant, "description": key.doc} if key.selects else _key(key, default)
            for key in section.keys
        },
    }
    if variant:
        schema["required"] = [key.name for key in section.keys if key.selects]
    return schema


def _key(key: Key, parent: Any) -> dict[str, Any]:
    shape, default = key.shape, getattr(parent, key.attribute)
    if isinstance(shape, Section):
        return {"description": key.doc, **_section(shape, default)}
    if isinstance(shape, SectionList):
        return {"description": key.doc, **_sections(shape)}
    if isinstance(shape, ValueList):
        schema: dict[str, Any] = {"type": "array", "items": _value(shape.item), "uniqueItems": True}
        if not shape.may_be_empty:
            schema["minItems"] = 1
        return {"description": key.doc, **schema, "default": [shape.item.write(item) for item in default]}
    if key.alias or key.attribute in _computed(parent):
        return {"description": key.doc, **_value(shape)}
    if isinstance(shape, Maybe) and shape.must_have_value:
        return {"description": key.doc, **_value(shape)}
    return {"description": key.doc, **_value(shape), "default": _json_default(shape, default)}


def _computed(settings: Any) -> set[str]:
    """The attributes whose default depends on the machine, such as the host's name."""
    return {item.name for item in dataclasses.fields(settings) if item.default_factory is not dataclasses.MISSING}


def _sections(shape: SectionList) -> dict[str, Any]:
    if shape.only is not None:
        items = _section(shape.only, shape.only.settings())
    else:
        items = {"oneOf": [_section(section, section.settings(), name) for name, section in shape.variants.items()]}
    return {"type": ["array", "null"], "items": items, "minItems": 0 if shape.may_be_empty else 1}


def _value(kind: Kind) -> dict[str, Any]:
    """One value as YAML gives it to an editor, or a variable in its place."""
    schema = kind.schema()
    options = schema["anyOf"] if set(schema) == {"anyOf"} else [schema]
    if any(option.get("type") == "string" and "pattern" not in option for option in options):
        return schema  # any text will do, so a variable already will
    return {"anyOf": [*options, _VARIABLE]}


def _json_default(kind: Kind, value: Any) -> Any:
    schema = kind.schema()
    types = [option.get("type") for option in schema.get("anyOf", [schema])]
    is_plain = isinstance(value, int) and ("integer" in types or "boolean" in types)
    return value if is_plain else kind.write(value)
