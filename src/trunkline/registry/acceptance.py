"""Keeps which listed tools are not what was accepted: compared when tools or pins change, looked up for each call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from trunkline.call import Call
from trunkline.errors import ToolRefused
from trunkline.events import Emit, PinMismatched, PinsChecked
from trunkline.policy import PinPolicy
from trunkline.registry.chronicle import Chronicle
from trunkline.registry.pins import Mismatch, Pins, compared, in_words
from trunkline.registry.tool import Tool

__all__ = ["Acceptance"]

_SHOWN: Final = 5
"""Tools that a summary names."""


class Acceptance:
    """The tools that differ from the pins in force; none while there are no pins."""

    def __init__(self, wall: Callable[[], float]) -> None:
        """`wall` gives seconds since the epoch."""
        self._wall = wall
        self._found: dict[tuple[str, str], tuple[Tool, Mismatch]] = {}
        self._told = ""
        self.pins: Pins | None = None
        """What was accepted; None for no comparison."""

    def __repr__(self) -> str:
        return f"<Acceptance [{len(self._found)} tools differ, {sum(self.refused.values())} refused] {self.pins!r}>"

    @property
    def refused(self) -> Counter[str]:
        """How many tools of each server are refused."""
        return Counter(tool.server for tool, found in self._found.values() if found.is_refused)

    def of(self, tool: Tool) -> Mismatch | None:
        """How a tool differs from what was accepted; None where it does not."""
        found = self._found.get((tool.server, tool.target))
        return None if found is None else found[1]

    def is_refused(self, tool: Tool) -> bool:
        """Whether a tool is neither shown nor called."""
        found = self.of(tool) if self._found else None
        return found is not None and found.is_refused

    def guard(self, call: Call) -> None:
        """Let a call of a tool pass, to be asked again once there is a connection; raises as `require`."""
        if self.pins is not None:
            call.recheck = self.require
            self.require(call.server, call.target)

    def require(self, server: str, target: str) -> None:
        """Pass over a tool that may be called; raises `ToolRefused` for one that may not."""
        tool, found = self._found.get((server, target), (None, None))
        if tool is not None and found is not None and found.is_refused:
            words = (
                f"tool {tool.name!r} of server {server!r} is refused: {found.reason}; whoever runs "
                f"this has to look at it, and accepts it with: {found.command}"
            )
            raise ToolRefused(words, parts=found.parts, command=found.command, tool=tool.name, server=server)

    def compare(self, tools: Iterable[Tool], policy_of: Callable[[str], PinPolicy]) -> list[Tool]:
        """Compare every tool anew; returns those for which the outcome is another than before."""
        if self.pins is None and not self._found:
            return []
        before, self._found = self._found, {}
        moved = []
        for tool in tools:
            key = (tool.server, tool.target)
            known = before[key][1] if key in before else None
            found = None if self.pins is None else compared(tool, self.pins, policy_of(tool.server), self._wall())
            if found is not None and known is not None and replace(known, since=found.since) == found:
                found = known
            if found is not None:
                self._found[key] = (tool, found)
            if found is not known:
                moved.append(tool)
        return moved

    def tell(self, moved: Sequence[Tool], chronicle: Chronicle, emit: Emit, now: float) -> None:
        """Tell of tools whose outcome is another than before; `now` is in seconds on the event loop's clock."""
        for what in ("refused", "unaccepted", "accepted"):
            told = ((tool, self.of(tool)) for tool in moved)
            chronicle.note_tools(
                what,
                (
                    (tool.server, tool.name, found.reason if found else "")
                    for tool, found in told
                    if _word(found) == what
                ),
            )
        for tool in moved:
            if found := self.of(tool):
                emit(PinMismatched(now, tool.server, tool.name, found.parts, found.is_refused, found.reason))
        summary = self.summary()
        if summary != self._told:
            self._told = summary
            emit(PinsChecked(now, sum(self.refused.values()), summary))

    def summary(self) -> str:
        """What is refused, and what to do, in one line; empty where nothing is."""
        refused = [(tool, found) for tool, found in self._found.values() if found.is_refused]
        if not refused or self.pins is None:
            return ""
        names = [f"{tool.name} ({in_words(found.parts) if found.parts else 'new'})" for tool, found in refused[:_SHOWN]]
        more = ["…"] if len(refused) > _SHOWN else []
        verb = "1 tool is" if len(refused) == 1 else f"{len(refused)} tools are"
        return f"{verb} refused until accepted: {', '.join([*names, *more])}; see: {self.pins.command}"


def _word(found: Mismatch | None) -> str:
    """What the history calls it."""
    return "accepted" if found is None else "refused" if found.is_refused else "unaccepted"
