"""What a log record is about: the call it is written in, and credentials nowhere. For any logger of the process."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any, Final

from trunkline.call import CURRENT_CALL, CURRENT_DOMAIN
from trunkline.monitoring.labels import clean
from trunkline.monitoring.redaction import REDACTED, is_secret_name, redact, redact_value
from trunkline.secrets import Secrets

__all__ = ["PREFIX", "Redaction", "add_call", "call_context"]

PREFIX: Final = "trunkline_"
"""Begins the name of every field of ours, so that none can be taken for one of somebody else's."""


def call_context() -> dict[str, str]:
    """Return what is known of the call that this code runs in, by names that begin with `trunkline_`.

    `call_id`, `domain`, `server` once it is known, `tool` for calls of one, `trace_id` where there is a trace. Inside a
    tracked operation, but outside of any call, the domain alone.
    """
    call = CURRENT_CALL.get()
    if call is None:
        domain = CURRENT_DOMAIN.get()
        return {} if domain is None else {f"{PREFIX}domain": clean(domain)}
    found = {
        "call_id": call.id,
        "trace_id": "" if call.span is None else call.span.trace_id,
        "domain": clean(call.domain),
        "server": call.server,
        "tool": clean(call.name) if call.method == "tools/call" else "",
    }
    return {f"{PREFIX}{name}": value for name, value in found.items() if value}


def add_call(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor for structlog: adds what `call_context` knows, where the event does not say otherwise itself."""
    for name, value in call_context().items():
        event.setdefault(name, value)
    return event


class Redaction:
    """Takes credentials out of text and of fields: known ones wherever they are, others by what they look like.

    Also a processor for structlog, to stand before the one that renders.
    """

    def __init__(self, secrets: Secrets | None = None) -> None:
        """Mask `secrets`, those of a configuration, besides what looks like a credential."""
        self.secrets = secrets or Secrets()
        """May be replaced at any time."""

    def __call__(self, _logger: object, _method: str, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return an event's fields without credentials."""
        return {name: self.field(name, value) for name, value in event.items()}

    def text(self, text: str) -> str:
        """Return `text` without credentials."""
        return redact(self.secrets.mask(text))

    def field(self, name: str, value: Any) -> Any:
        """Return the value of a field without credentials; plain JSON-able data whatever it was."""
        return REDACTED if is_secret_name(name) else self.secrets.mask_value(redact_value(value))
