"""The composition root: everything wired from one configuration, and nothing global.

Every part can also be built by hand from its constructor; this is the wiring most applications want.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import anyio
import anyio.lowlevel
import anyio.to_thread
from anyio.abc import TaskGroup

from trunkline.alerts import AlertManager
from trunkline.alerts.readings import alert_readings
from trunkline.bus import EventBus
from trunkline.cache.cache_manager import CacheManager
from trunkline.cache_readings import cache_readings
from trunkline.circuit_sharing import CircuitSharing
from trunkline.config import ConfigSource, Settings, load
from trunkline.config.difference import difference
from trunkline.config.pins import PinsSource
from trunkline.errors import ConfigError
from trunkline.events import ConfigRejected, ConfigReloaded, Observer, PinsReloaded
from trunkline.fallbacks import FallbackFunction
from trunkline.fleet_readings import fleet_readings, registry_readings
from trunkline.health.fold import SHARED_CACHE
from trunkline.health.monitor import HealthMonitor
from trunkline.mcp_client import EnhancedMCPClient
from trunkline.monitoring.logging import LogObserver
from trunkline.monitoring.metrics import MetricsCollector
from trunkline.policy import HealthPolicy
from trunkline.pool.owner import Owner
from trunkline.registry.pins import Pins
from trunkline.registry.tool_registry import ToolRegistry
from trunkline.sharing import Sharing
from trunkline.telemetry import Telemetry

__all__ = ["Infrastructure"]

_FOLD = 1.0
"""Seconds between folds of the metrics."""
_POLL = 1.0
"""Seconds between looks at the configuration file; it is read in a thread."""
_REDIS = HealthPolicy(interval=2.0, timeout=1.0, up_after=1)
"""How the shared tier is watched. Its own circuit and probes keep it from going up and down."""


class Infrastructure:
    """What a domain service is given: the client, the metrics, the registry and the health of everything.

    Entering it never fails because a server is down: it starts degraded and says so in its health.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        observers: Iterable[Observer] = (),
        fallbacks: Mapping[str, FallbackFunction] | None = None,
        source: ConfigSource | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        """Wire the parts for `settings`; with a `source`, its file is watched and reloaded when it changes.

        `fallbacks` are functions by tool name that answer when nothing else does, see `EnhancedMCPClient`; `telemetry`
        is OpenTelemetry wired by hand, by the settings when None.

        Raises:
            ConfigError: The pins file that the settings name is not valid.
        """
        self._pins = PinsSource(settings)
        if self._pins.problem is not None:
            raise self._pins.problem
        self.settings = settings
        """The configuration in force."""
        self.telemetry = telemetry or Telemetry(settings.telemetry)
        """Traces, and what is pushed to an OpenTelemetry collector."""
        self.bus = EventBus([LogObserver(), *observers], tracer=self.telemetry.tracer)
        self.metrics = MetricsCollector()
        self.metrics.watch(self.bus)
        self.telemetry.watch(self.bus, self.metrics)
        self.sharing = Sharing(settings.cache, emit=self.bus.emit, rng=random.Random())
        self.cache = CacheManager(settings.cache, tier=self.sharing.tier, emit=self.bus.emit)
        """Answers that may be used again: `invalidate` and `stats` are here."""
        self.mcp_client = EnhancedMCPClient(
            settings.servers, tools=settings.tools, fallbacks=fallbacks, cache=self.cache, bus=self.bus
        )
        self.registry.set_pins(self._pins.initial)
        self.bus.subscribe(self.sharing.circuits_of(self.mcp_client.fleet), CircuitSharing.kinds)
        self.metrics.read_also("cache", lambda: cache_readings(self.cache, self.sharing.tier))
        self.metrics.read_also("fleet", lambda: fleet_readings(self.mcp_client.fleet))
        self.metrics.read_also("registry", lambda: registry_readings(self.registry))
        self.alerts = AlertManager(
            settings.alerts, settings.domains, metrics=self.metrics, health=self.health.report, emit=self.bus.emit
        )
        """What is wrong by the rules in force: `active`, `history`, `subscribe`."""
        self.metrics.read_also("alerts", lambda: alert_readings(self.alerts))
        self._source = source
        self._owner = Owner(self._main)
        self._stopping = anyio.Event()

    def __repr__(self) -> str:
        return f"<Infrastructure {self.settings.source} {self.mcp_client!r}>"

    @classmethod
    def from_config(
        cls,
        source: str | os.PathLike[str] | Mapping[str, Any],
        *,
        observers: Iterable[Observer] = (),
        fallbacks: Mapping[str, FallbackFunction] | None = None,
    ) -> Infrastructure:
        """Wire everything for a `.json` or `.toml` file, which is then watched, or for a mapping of the same shape.

        A missing file is the built-in configuration without servers, said aloud in `settings.notices`.

        Raises:
            ConfigError: With every problem of the source: where, what was found, what was expected.
        """
        if isinstance(source, Mapping):
            return cls(load(source), observers=observers, fallbacks=fallbacks)
        watched = ConfigSource(source)
        return cls(watched.initial, observers=observers, fallbacks=fallbacks, source=watched)

    @property
    def registry(self) -> ToolRegistry:
        """Every tool of every server, and whether it can be called now."""
        return self.mcp_client.registry

    @property
    def health(self) -> HealthMonitor:
        """The last known health of everything; `report()` is a plain read."""
        return self.mcp_client.monitor

    async def __aenter__(self) -> Self:
        await self.mcp_client.__aenter__()
        try:
            await self._owner.start()
        except BaseException:
            # Cancelled half-way in: nobody will leave what nobody has entered.
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            self._stopping.set()
            await self._owner.wait_ended()
            await self.mcp_client.aclose()

    async def aclose(self) -> None:
        """Leave, where `async with` does not fit."""
        await self.__aexit__()

    async def _main(self, tasks: TaskGroup) -> None:
        tasks.start_soon(self._reload_when_changed)
        tasks.start_soon(self._fold_metrics)
        tasks.start_soon(self.alerts.run)
        tasks.start_soon(self.telemetry.run, self.health)
        if self.sharing.is_configured:
            tasks.start_soon(self.health.watch, SHARED_CACHE, self.sharing.check, _REDIS)
        await self._stopping.wait()
        tasks.cancel_scope.cancel()

    async def _fold_metrics(self) -> None:
        """Fold what was recorded, so that no call ever has to."""
        while True:
            await anyio.sleep(_FOLD)
            for _ in self.metrics.folding():
                await anyio.lowlevel.checkpoint()

    async def _reload_when_changed(self) -> None:
        while True:
            await anyio.sleep(_POLL)
            if self._source is not None:
                found = await anyio.to_thread.run_sync(self._source.poll)
                if found is not None:
                    self.reload(found)
            if self._pins.source:
                pins = await anyio.to_thread.run_sync(self._pins.poll)
                if pins is not None:
                    self._repin(pins)

    def _repin(self, found: Pins | ConfigError | None) -> None:
        """Compare tools with what is accepted now; an invalid file leaves what was accepted before, or nothing."""
        now, problem = anyio.current_time(), ""
        if not isinstance(found, ConfigError):
            self.registry.set_pins(found, now)
        else:
            problem = found.problems[0]
            if self.registry.acceptance.pins is None:
                self.registry.set_pins(self._pins.initial, now)
        self.bus.emit(PinsReloaded(now, self._pins.source, problem))

    def reload(self, found: Settings | ConfigError) -> None:
        """Put a new configuration in force, or tell why it cannot be; the last good one then stays. Drops no call."""
        now = anyio.current_time()
        if isinstance(found, ConfigError):
            self.bus.emit(ConfigRejected(now, found.source, found.problems))
            return
        changes = difference(self.settings, found)
        if changes.pins_changed:
            self._pins = PinsSource(found)
            self._repin(self._pins.problem or self._pins.initial)
        self.settings = _in_force(self.settings, found, changes.waiting)
        self.cache.resize(found.cache.max_bytes)
        self.mcp_client.apply(found.servers.values(), found.tools)
        self.alerts.apply(found.alerts, found.domains)
        changed = tuple(dict.fromkeys((*changes.changed_endpoint, *changes.changed_policy)))
        waiting = ", ".join(changes.waiting)
        self.bus.emit(ConfigReloaded(now, found.source, changes.added, changes.removed, changed, waiting))


def _in_force(before: Settings, found: Settings, waiting: tuple[str, ...]) -> Settings:
    """The settings found, but for what takes a restart: that stays, and is said in the notices."""
    cache = replace(before.cache, max_bytes=found.cache.max_bytes)
    said = tuple(f"{found.source}: {key} has changed, which takes a restart" for key in waiting)
    return replace(found, cache=cache, telemetry=before.telemetry, notices=(*found.notices, *said))
