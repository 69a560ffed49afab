"""Watches one configuration file for its reader: what is new, what is wrong with it, or nothing.

Synchronous and without a clock: whoever reloads decides when to ask, and keeps the last good settings.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping

from trunkline.config.document import parse, read_file
from trunkline.config.loading import fallback_settings, settings_from
from trunkline.config.report import printable
from trunkline.config.settings import Settings
from trunkline.errors import ConfigError

__all__ = ["ConfigSource"]


class ConfigSource:
    """One configuration file, read again whenever `poll` is called.

    A changed environment alone is no change: the file's bytes decide. `environ` and a missing file mean what they
    mean to `load`. Creating one raises ConfigError where the file, as it is now, is not valid.
    """

    def __init__(self, path: str | os.PathLike[str], *, environ: Mapping[str, str] | None = None) -> None:
        self._path = os.fsdecode(path)
        self._environ = environ
        self._accepted = 0
        self._refused = 0
        self._seen, data = self._look()
        if isinstance(data, ConfigError):
            raise data
        self.initial: Settings = fallback_settings(self._path) if data is None else self._read(data)
        """The settings as they were when this was created."""

    def __repr__(self) -> str:
        return f"<ConfigSource {printable(self._path)} accepted={self._accepted} refused={self._refused}>"

    def poll(self) -> Settings | ConfigError | None:
        """Return the new settings, what is wrong with the new file, or None if it is as it was at the last poll.

        A file that has vanished, or that was emptied (as by an editor that is still writing), is wrong: what it said
        before should stay in force. Each change is told once. Never raises ConfigError.
        """
        seen, data = self._look()
        if seen == self._seen:
            return None
        self._seen = seen
        outcome = self._judge(data)
        if isinstance(outcome, ConfigError):
            self._refused += 1
        else:
            self._accepted += 1
        return outcome

    def _judge(self, data: bytes | ConfigError | None) -> Settings | ConfigError:
        if isinstance(data, ConfigError):
            return data
        source = printable(self._path)
        if data is None:
            return ConfigError([f"{source}: the file has vanished; put it back"], source=source)
        if not data.strip():
            return ConfigError([f"{source}: the file has been emptied; write it again"], source=source)
        try:
            return self._read(data)
        except ConfigError as error:
            return error

    def _read(self, data: bytes) -> Settings:
        return settings_from(parse(self._path, data), os.environ if self._environ is None else self._environ)

    def _look(self) -> tuple[str, bytes | ConfigError | None]:
        try:
            data = read_file(self._path)
        except FileNotFoundError:
            return "missing", None
        except ConfigError as error:
            return str(error), error
        return hashlib.sha256(data).hexdigest(), data
