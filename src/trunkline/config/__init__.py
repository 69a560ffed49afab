"""Configuration: an `mcp.json`, a TOML file or a mapping to frozen, checked settings.

`load` reads one, `ConfigSource` watches one, `difference.difference` compares two. Stands above the policies it
fills in and below everything that is built from them.
"""

from __future__ import annotations

from trunkline.config.loading import load
from trunkline.config.settings import ServerSettings, Settings
from trunkline.config.source import ConfigSource

__all__ = ["ConfigSource", "ServerSettings", "Settings", "load"]
