"""The layers every call passes once, whatever its server: the upper half of the order in `stack.py`."""

from __future__ import annotations

from trunkline.call import Layer, Service, Tracer
from trunkline.events import Emit
from trunkline.layers.deadline import DeadlineLayer
from trunkline.layers.fallback import FallbackLayer, Ladder
from trunkline.layers.observe import ObserveLayer
from trunkline.stack import CLIENT_ORDER, stacked

__all__ = ["client_stack"]


def client_stack(
    lead: Service, *, ladder: Ladder, emit: Emit, fresh: Layer | None = None, tracer: Tracer | None = None
) -> Service:
    """The client's layers over `lead`, which leads a call to its server.

    `ladder` has what may stand in for it; `fresh` serves what the cache has in memory, None where there is no cache;
    `tracer` follows the calls, None where nobody does.
    """
    layers: dict[str, Layer] = {
        "observe": ObserveLayer(emit=emit, tracer=tracer),
        "deadline": DeadlineLayer(),
        "fallback": FallbackLayer(ladder, emit=emit),
    }
    if fresh is not None:
        layers["fresh"] = fresh
    return stacked(CLIENT_ORDER, layers, lead)
