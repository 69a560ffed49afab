"""The one event stream: frozen facts in the past tense.

Logs, metrics, health, alerts and the dashboard are folds over it. Events carry low-cardinality labels and
numbers, never arguments, results or credentials.
"""

from __future__ import annotations

from trunkline.events.calls import (
    AttemptFinished,
    CallFinished,
    CallStarted,
    FallbackUsed,
    HedgeStarted,
    RequestServed,
    RetryScheduled,
)
from trunkline.events.event import (
    Emit,
    Event,
    Observer,
)
from trunkline.events.ours import (
    AlertChanged,
    AlertSinkFailed,
    AnswerAbandoned,
    CacheInvalidated,
    ConfigRejected,
    ConfigReloaded,
    DependencyProbed,
    InvalidationScope,
    LoopLagged,
    ObserverFailed,
    PinsReloaded,
    RequestRefused,
    SharedCacheFound,
    SharedCacheLost,
)
from trunkline.events.servers import (
    CircuitChanged,
    CircuitState,
    ConnectFailed,
    ConnectionEnded,
    ConnectionOpened,
    ConnectStarted,
    ListingChanged,
    PinMismatched,
    PinsChecked,
    ReplicaEjected,
    ReplicaReadmitted,
    ResourceUpdated,
    ServerProbed,
    ToolDrifted,
    ToolsChanged,
)

__all__ = [
    "AlertChanged",
    "AlertSinkFailed",
    "AnswerAbandoned",
    "AttemptFinished",
    "CacheInvalidated",
    "CallFinished",
    "CallStarted",
    "CircuitChanged",
    "CircuitState",
    "ConfigRejected",
    "ConfigReloaded",
    "ConnectFailed",
    "ConnectStarted",
    "ConnectionEnded",
    "ConnectionOpened",
    "DependencyProbed",
    "Emit",
    "Event",
    "FallbackUsed",
    "HedgeStarted",
    "InvalidationScope",
    "ListingChanged",
    "LoopLagged",
    "Observer",
    "ObserverFailed",
    "PinMismatched",
    "PinsChecked",
    "PinsReloaded",
    "ReplicaEjected",
    "ReplicaReadmitted",
    "RequestRefused",
    "RequestServed",
    "ResourceUpdated",
    "RetryScheduled",
    "ServerProbed",
    "SharedCacheFound",
    "SharedCacheLost",
    "ToolDrifted",
    "ToolsChanged",
]
