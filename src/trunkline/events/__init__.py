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
    RetryScheduled,
)
from trunkline.events.event import (
    Emit,
    Event,
    Observer,
)
from trunkline.events.ours import (
    ConfigRejected,
    ConfigReloaded,
    DependencyProbed,
    LoopLagged,
    ObserverFailed,
)
from trunkline.events.servers import (
    CircuitChanged,
    CircuitState,
    ConnectFailed,
    ConnectionEnded,
    ConnectionOpened,
    ConnectStarted,
    ReplicaEjected,
    ReplicaReadmitted,
    ServerProbed,
    ToolDrifted,
    ToolsChanged,
)

__all__ = [
    "AttemptFinished",
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
    "LoopLagged",
    "Observer",
    "ObserverFailed",
    "ReplicaEjected",
    "ReplicaReadmitted",
    "RetryScheduled",
    "ServerProbed",
    "ToolDrifted",
    "ToolsChanged",
]
