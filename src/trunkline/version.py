"""Which version this is, read once: to look it up again searches the path, on the disk, each time."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

__all__ = ["VERSION"]

VERSION: Final = version("trunkline")
