"""`${VAR}` and `${VAR:-default}` inside a written value. Pure: the environment is a parameter."""

from __future__ import annotations

import re
from collections.abc import Mapping

from config.errors import nearest

_OPENING = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_INSIDE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


def expand(text: str, environ: Mapping[str, str]) -> str:
    """`text` with its variables filled in; ValueError says which one is missing.

    `${VAR:-default}` takes the default when the variable is unset or empty, as in a shell; `$${` is a literal `${`.
    What a variable holds is taken as it is, never expanded again.
    """

    def fill(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        if not match[2]:
            raise ValueError("a '${' is not closed by '}'; write $${ where a literal ${ is meant")
        inside = _INSIDE.fullmatch(match[1])
        if inside is None:
            # What stands there is not repeated: it may be a part of a password.
            raise ValueError("a '${' begins no variable; expected ${NAME} or ${NAME:-default}, or $${ for a literal ${")
        name, default = inside[1], inside[2]
        if default is not None:
            return environ.get(name) or str(default)
        if name not in environ:
            hint = nearest(name, environ)
            raise ValueError(
                f"the environment variable {name} is not set{hint or f'; set it, or write ${{{name}:-default}}'}"
            )
        return environ[name]

    return _OPENING.sub(fill, text)
