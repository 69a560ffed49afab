"""The words that descriptions of the gateway's JSON endpoints are made of: OpenAPI 3.1 as plain data."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

__all__ = [
    "CIRCUIT",
    "COUNT",
    "HEALTH",
    "MOMENT",
    "SECONDS",
    "SHARE",
    "TEXT",
    "TRUTH",
    "Schema",
    "answer",
    "get",
    "list_of",
    "map_of",
    "object_of",
    "optional",
    "or_null",
    "ref",
    "refusals",
]

Schema: TypeAlias = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
SECONDS: Final[Schema] = {"type": "number", "description": "seconds"}
SHARE: Final[Schema] = {"type": "number", "minimum": 0, "maximum": 1}
TRUTH: Final[Schema] = {"type": "boolean"}
MOMENT: Final[Schema] = {"type": "number", "description": "seconds since the epoch"}
HEALTH: Final[Schema] = {"type": "string", "enum": ["healthy", "degraded", "down", "unknown"]}
CIRCUIT: Final[Schema] = {"type": "string", "enum": ["closed", "open", "half_open"]}


def get(summary: str, responses: dict[str, Any], *, right: str = "watch", **parameters: str) -> dict[str, Any]:
    """A path that is read; `parameters` are texts that have to stand in its query, with what they mean.

    `right` is what a principal needs for it; nothing for what answers everybody.
    """
    told: dict[str, Any] = {"summary": summary, "responses": refusals(right) | responses}
    if parameters:
        told["parameters"] = [
            {"name": name, "in": "query", "required": True, "description": text, "schema": {"type": "string"}}
            for name, text in parameters.items()
        ]
    return {"get": told}


def refusals(right: str) -> dict[str, Any]:
    """What a path that takes `right` (nothing: takes none) answers to a request that does not belong here."""
    elsewhere = {
        "403": answer("The Origin header names another site", "Refusal"),
        "413": answer("The body is larger than trunkline.gateway.limits allows", "Refusal"),
        "421": answer("The Host header names another host", "Refusal"),
        "431": answer("The head is larger than trunkline.gateway.limits allows", "Refusal"),
    }
    if not right:
        return elsewhere
    return elsewhere | {
        "401": answer("The gateway asks who calls, and the request does not say it", "Refusal"),
        "403": answer(f"The caller has no right to {right}, or the Origin header names another site", "Refusal"),
        "429": answer("The caller comes more often than it may; Retry-After says when to come again", "Refusal"),
        "503": answer("Nobody can be recognised while the keys of the issuer cannot be fetched", "Refusal"),
    }


def answer(description: str, schema: str) -> dict[str, Any]:
    """An answer in JSON, by the name of its schema."""
    return {"description": description, "content": {"application/json": {"schema": ref(schema)}}}


def ref(name: str) -> dict[str, str]:
    """The schema of that name."""
    return {"$ref": f"#/components/schemas/{name}"}


def object_of(**properties: Schema) -> Schema:
    """An object that has all of these members."""
    return {"type": "object", "required": list(properties), "properties": properties}


def list_of(item: Schema) -> Schema:
    """An array."""
    return {"type": "array", "items": item}


def map_of(item: Schema) -> Schema:
    """An object whose members have any names."""
    return {"type": "object", "additionalProperties": item}


def or_null(schema: Schema) -> Schema:
    """What may be null."""
    return {"anyOf": [schema, {"type": "null"}]}


def optional(schema: Schema, **properties: Schema) -> Schema:
    """The object `schema` with members that may be missing."""
    return {**schema, "properties": schema["properties"] | properties}
