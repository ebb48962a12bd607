"""Values held against a small part of JSON Schema, and query strings read by it. Pure.

What is checked is named in `bridge.web.operation`. A schema that uses more is a mistake of ours, found at start.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from bridge.web.errors import Problem
from bridge.web.operation import Parameter, Schema
from config.errors import nearest

MAX_NAMED: Final = 20
"""So many problems are named at most, and then no more are looked for."""
MAX_SHOWN: Final = 60
"""Characters of a wrong name: that much of it is shown, and held against the right ones, which takes a while."""

_NOUNS: Final = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
_NUMBER: Final = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")


def mistakes(value: Any, schema: Schema, at: str = "") -> list[str]:
    """What is wrong with a JSON value, as sentences without their point; nothing when it has the shape."""
    return list(_mistakes(value, schema, at))[:MAX_NAMED]


def read_query(parameters: Sequence[Parameter], given: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The query's values by name, defaults filled in. Raises Problem 400."""
    known = {parameter.name: parameter for parameter in parameters}
    found: dict[str, list[Any]] = {}
    problems: list[str] = []
    for name, text in given:
        if len(problems) >= MAX_NAMED:
            break
        parameter = known.get(name)
        if parameter is None:
            problems.append(f"there is no parameter {name[:MAX_SHOWN]!r} here{_hint(name, known)}")
            continue
        if name in found and not parameter.is_list:
            problems.append(f"{name}: expected once, found more often")
            continue
        value = _read(text, parameter.schema)
        problems.extend(mistakes(value, parameter.schema, name))
        found.setdefault(name, []).append(value)
    for parameter in parameters:
        if parameter.name in found:
            continue
        if parameter.is_required:
            problems.append(f"{parameter.name}: expected, and not given")
        elif parameter.is_list:
            found[parameter.name] = []
        else:
            found[parameter.name] = [parameter.schema.get("default")]
    if problems:
        raise Problem(400, f"The address is wrong: {problems[0]}.", problems=problems[:MAX_NAMED])
    return {name: found[name] if known[name].is_list else found[name][0] for name in found}


def check_body(body: Any, schema: Schema) -> None:
    """Raises Problem 400 with what is wrong."""
    problems = mistakes(body, schema)
    if problems:
        raise Problem(400, f"The body of the request is wrong: {problems[0]}.", problems=problems)


def _read(text: str, schema: Schema) -> Any:
    """The text as the value it is meant to be, or as it is where it can't be."""
    kinds = _kinds(schema)
    if "integer" in kinds and _INTEGER.fullmatch(text):
        return int(text)
    if "number" in kinds and _NUMBER.fullmatch(text):
        return float(text)
    if "boolean" in kinds and text in {"true", "false"}:
        return text == "true"
    return text


def _kinds(schema: Schema) -> tuple[str, ...]:
    kind = schema.get("type", ())
    return (kind,) if isinstance(kind, str) else tuple(kind)


def _is(value: Any, kind: str) -> bool:
    match kind:
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "object":
            return isinstance(value, Mapping)
        case "array":
            return isinstance(value, list)
        case "null":
            return value is None
    raise ValueError(f"JSON Schema has no type {kind!r}.")


def _mistakes(value: Any, schema: Schema, at: str) -> list[str]:
    head = f"{at}: " if at else ""
    kinds = _kinds(schema)
    if kinds and not any(_is(value, kind) for kind in kinds):
        return [f"{head}expected {' or '.join(_NOUNS[kind] for kind in kinds)}"]
    if "enum" in schema and value not in schema["enum"]:
        hint = nearest(value[:MAX_SHOWN], schema["enum"]) if isinstance(value, str) else ""
        return [f"{head}expected {' or '.join(map(str, schema['enum']))}{hint}"]
    if _is(value, "number"):
        return _bounds(value, schema, head, "minimum", "maximum", "")
    if isinstance(value, str):
        found = _bounds(len(value), schema, head, "minLength", "maxLength", " characters")
        if any(0xD800 <= ord(char) < 0xE000 for char in value):
            found.append(f"{head}expected text, found half a surrogate pair")
        return found
    if isinstance(value, list):
        found = _bounds(len(value), schema, head, "minItems", "maxItems", " items")
        for number, item in enumerate(value if not found and "items" in schema else ()):
            found.extend(_mistakes(item, schema["items"], f"{at}[{number}]"))
            if len(found) > MAX_NAMED:
                break
        return found
    return _members(value, schema, at) if isinstance(value, Mapping) else []


def _bounds(size: float, schema: Schema, head: str, least: str, most: str, unit: str) -> list[str]:
    if least in schema and size < schema[least]:
        return [f"{head}expected at least {schema[least]}{unit}"]
    if most in schema and size > schema[most]:
        return [f"{head}expected at most {schema[most]}{unit}"]
    return []


def _members(value: Mapping[str, Any], schema: Schema, at: str) -> list[str]:
    head = f"{at}: " if at else ""
    properties: Mapping[str, Schema] = schema.get("properties", {})
    found = [f"{head}{name} is missing" for name in schema.get("required", ()) if name not in value]
    for name, item in value.items():
        if name in properties:
            found.extend(_mistakes(item, properties[name], f"{at}.{name}" if at else name))
        elif schema.get("additionalProperties") is False:
            found.append(f"{head}there is no {name[:MAX_SHOWN]!r} here{_hint(name, properties)}")
        if len(found) > MAX_NAMED:
            break
    return found


def _hint(name: str, right: Collection[str]) -> str:
    """What may have been meant by a name that is none."""
    return nearest(name[:MAX_SHOWN], right) or (f"; expected {', '.join(right)}" if right else "")
