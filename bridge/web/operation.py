"""What a route says of itself: for the OpenAPI document, and for the checks of what comes in.

Schemas are JSON Schema, of which `bridge.web.shape` checks a small part: `type`, `enum`, `minimum`, `maximum`,
`minLength`, `maxLength`, `minItems`, `maxItems`, `items`, `properties`, `required`, `additionalProperties`. Query
parameters and bodies are held against them before a handler runs, so description and code can't disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One query parameter. `default` in the schema stands in where it is not given; `is_list`: it may come again."""

    name: str
    schema: Schema
    description: str = ""
    is_required: bool = False
    is_list: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """`body`: the schema of the request's JSON object; `answer`: that of the answer (None: not JSON, or no body).

    `path` describes the parameters of the path by name; `statuses` further answers: status to sentence.
    """

    summary: str
    description: str = ""
    tag: str = ""
    query: tuple[Parameter, ...] = ()
    path: Mapping[str, str] = field(default_factory=dict)
    body: Schema | None = None
    answer: Schema | None = None
    answer_type: str = "application/json"
    status: int = 200
    statuses: Mapping[int, str] = field(default_factory=dict)
    bodies: Mapping[int, Schema] = field(default_factory=dict)
    """What an answer of another status holds where it is no error with a sentence."""
