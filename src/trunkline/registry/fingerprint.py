"""What tells one definition of a tool from another: a fingerprint of each part that a model or a person relies on.

By the fingerprints of the parts it can be said what has changed, without keeping any text of the server's.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

import mcp_types

__all__ = ["PARTS", "fingerprint", "part_fingerprints"]

PARTS: Final = {
    "title": "title",
    "description": "description",
    "inputSchema": "input schema",
    "outputSchema": "output schema",
    "annotations": "annotations",
}
"""The parts of a definition besides its name, as MCP calls them on the wire, and in words.

Left out is what nobody is told in words and what may be another at each listing: icons (addresses, often signed anew),
`execution` (how a call may be made) and `_meta` (for programs).
"""


def fingerprint(definition: mcp_types.Tool) -> str:
    """SHA-256, in hex, of the name and of the fingerprints of all parts.

    Raises `ValueError` for a definition that has no JSON form, such as one that contains itself.
    """
    return _digest({"name": definition.name, **part_fingerprints(definition)})


def part_fingerprints(definition: mcp_types.Tool) -> dict[str, str]:
    """SHA-256, in hex, of each of `PARTS` that the definition has. Raises as `fingerprint`.

    The input is canonical JSON: sorted keys, no spaces, ASCII.
    """
    annotations = definition.annotations
    told = {
        "title": definition.title,
        "description": definition.description,
        "inputSchema": definition.input_schema,
        "outputSchema": definition.output_schema,
        "annotations": None if annotations is None else annotations.model_dump(by_alias=True, exclude_none=True),
    }
    return {part: _digest(value) for part, value in told.items() if value is not None}


def _digest(value: Any) -> str:
    try:
        canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        msg = "the definition has no JSON form"
        raise ValueError(msg) from error
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()
