"""Every key of `gateway.yaml` and `receiver.yaml`, described once.

The loader, the JSON Schema and `fieldgate check` are all driven by these tables, so they can't disagree. Defaults are
not here: they are the defaults of the dataclasses in `config.settings`.
"""

from __future__ import annotations

from config.gateway_keys import GATEWAY
from config.receiver_keys import RECEIVER
from config.shapes import Section, SectionList

FILES = {"gateway.yaml": GATEWAY, "receiver.yaml": RECEIVER}


def homes(name: str) -> list[str]:
    """Where a key of this name belongs, for someone who wrote it in the wrong place: `uplinks[].batch`."""
    found: list[str] = []

    def walk(section: Section, path: str, file: str) -> None:
        if name in section.by_name:
            found.append(path or f"the top of {file}")
        for key in section.keys:
            below = f"{path}.{key.name}" if path else key.name
            if isinstance(key.shape, Section):
                walk(key.shape, below, file)
            elif isinstance(key.shape, SectionList):
                for variant in key.shape.variants.values():
                    walk(variant, f"{below}[]", file)

    for file, root in FILES.items():
        walk(root, "", file)
    return list(dict.fromkeys(found))
