"""The log of a command that runs for long: as the configuration says, and as it says after a reload."""

from __future__ import annotations

import logging

from trunkline.cli.exits import complain
from trunkline.events import ConfigReloaded, Event
from trunkline.infrastructure import Infrastructure
from trunkline.monitoring import ProcessLog

__all__ = ["log_of"]


def log_of(infra: Infrastructure) -> ProcessLog:
    """Start the log of this process as `trunkline.logging` says, tell the notices, and follow what is reloaded.

    What becomes of its records is among the metrics. Call what is returned to write what is left.
    """
    log = ProcessLog(infra.settings.logging, secrets=infra.settings.secrets)
    infra.metrics.read_also("log", log.readings)

    def follow(_event: Event) -> None:
        log.apply(infra.settings.logging, infra.settings.secrets)

    infra.bus.subscribe(follow, (ConfigReloaded,))
    for notice in infra.settings.notices:
        if log.is_json:
            logging.getLogger("trunkline.config").warning("config_notice", extra={"trunkline_notice": notice})
        else:
            complain(f"notice: {notice}")
    return log
