"""The layers every call passes once, whatever its server: the upper half of the order in `stack.py`."""

from __future__ import annotations

from trunkline.call import Layer, Service
from trunkline.events import Emit
from trunkline.layers.deadline import DeadlineLayer
from trunkline.layers.fallback import FallbackLayer, Ladder
from trunkline.layers.observe import ObserveLayer
from trunkline.stack import CLIENT_ORDER, stacked

__all__ = ["client_stack"]


def client_stack(lead: Service, *, ladder: Ladder, emit: Emit) -> Service:
    """The client's layers over `lead`, which leads a call to its server; `ladder` has what may stand in for it."""
    layers: dict[str, Layer] = {
        "observe": ObserveLayer(emit=emit),
        "deadline": DeadlineLayer(),
        "fallback": FallbackLayer(ladder, emit=emit),
    }
    return stacked(CLIENT_ORDER, layers, lead)
