"""What happens to tools that are not what somebody accepted them as, and where it is kept what was accepted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from trunkline.policy.checks import require

__all__ = ["PinAction", "PinPolicy", "PinSettings"]

PinAction: TypeAlias = Literal["refuse", "allow"]


@dataclass(frozen=True, slots=True)
class PinPolicy:
    """What happens to one server's tools that differ from the pins file; nothing where no such file is configured."""

    enabled: bool = True
    """Whether this server's tools are compared with the pins file at all."""
    changed: PinAction = "refuse"
    """A tool that is not as it was accepted: `refuse` hides it and refuses its calls, `allow` only tells of it."""
    new: PinAction = "refuse"
    """A tool that nobody has accepted: the same two. Its description alone can mislead a model, called or not."""


@dataclass(frozen=True, slots=True)
class PinSettings:
    """Where the accepted tools are kept, for all servers together."""

    enabled: bool = True
    """Whether tools are compared with the file."""
    file: str | None = None
    """The file that `trunkline pin` writes, relative to the folder of the configuration; None for no comparison."""

    def __post_init__(self) -> None:
        is_json = self.file is None or self.file.lower().endswith(".json")
        require(is_json, "file", self.file, "the path of a .json file")
