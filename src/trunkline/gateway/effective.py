"""The configuration in force, as it may be shown: no header, environment, argument or answer, and no credential."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from math import isfinite
from typing import Any, Final
from urllib.parse import urlsplit

from trunkline.config import Settings
from trunkline.monitoring.redaction import REDACTED, is_secret_name, redact

__all__ = ["effective"]

_SHOWN_APART: Final = frozenset({"source", "notices", "is_fallback", "servers", "secrets"})
_WITHHELD: Final = frozenset({"headers", "env", "args", "arguments", "answer"})
"""What a caller or a credential may stand in, whatever it looks like."""


def effective(settings: Settings) -> dict[str, Any]:
    """Return every section with the values that count, defaults included, as JSON-able data."""
    sections = {
        field.name: _plain(getattr(settings, field.name))
        for field in fields(settings)
        if field.name not in _SHOWN_APART
    }
    servers = {
        name: {
            "places": [place.label for place in server.places.values()],
            "auth": _plain(getattr(server.endpoint, "auth", None)),
            **_plain(server.policy),
        }
        for name, server in settings.servers.items()
    }
    told: dict[str, Any] = settings.secrets.mask_value({"source": settings.source, "servers": servers, **sections})
    return told


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        # What is left out of a `repr` may hold a credential; an address is cut to its host instead.
        return {
            field.name: _named(field.name, getattr(value, field.name), is_shown=field.repr) for field in fields(value)
        }
    if isinstance(value, Mapping):
        return {str(name): _named(str(name), item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    return _text(value) if isinstance(value, str) else type(value).__name__


def _named(name: str, value: Any, *, is_shown: bool = True) -> Any:
    if not value or isinstance(value, bool | int | float):
        return _plain(value)
    if isinstance(value, str) and "://" in value:
        return _text(value)
    return REDACTED if not is_shown or name in _WITHHELD or is_secret_name(name) else _plain(value)


def _text(value: str) -> str:
    if "://" not in value:
        return redact(value)
    try:
        parts = urlsplit(value)
    except ValueError:
        return REDACTED
    # The path of a webhook is its credential.
    path = "/…" if parts.path.strip("/") or parts.query else ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}"
