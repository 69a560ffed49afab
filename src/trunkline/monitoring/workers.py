"""Metrics of several worker processes of one application as one: each writes down its own, whoever is scraped adds up.

Recording costs what it costs in one process: only a snapshot is written now and then. A worker that ends leaves what it
counted behind, so that no counter ever falls, and takes with it how it was, such as what was under way there.

    folder/
      ID.snapshot   the metrics of one worker, replaced as a whole
      ID.alive      locked by that worker for as long as it lives, whatever ends it
      past          what workers that have ended counted, and whose snapshots are in it
      lock          held by who adds up, or joins

The folder is on a file system of this machine, and this application's alone. Needs `flock`, so no Windows.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import anyio
import anyio.to_thread

from trunkline.monitoring.prometheus import PrometheusExporter
from trunkline.monitoring.readings import Reading
from trunkline.monitoring.snapshots import Snapshot

__all__ = ["WorkerSnapshots"]

_INTERVAL: Final = 1.0
"""Seconds between snapshots: as old may be what is told of another worker."""
_PATIENCE: Final = 5.0
"""Seconds to wait for the folder's lock, which is held for milliseconds."""
_LOOK: Final = 0.005


class WorkerSnapshots:
    """One worker's place among the others.

    Make it in the worker itself, not before it is forked off; run `keep` there, and serve
    `MetricsPage(exporter, workers.gathered)`.
    """

    def __init__(self, exporter: PrometheusExporter, folder: str | os.PathLike[str]) -> None:
        """Join the workers that share `folder`, which is made if need be.

        Raises:
            OSError: The folder cannot be made or written to.
        """
        self._exporter = exporter
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self.name = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.failures = 0
        """Snapshots that could not be written, and those of others that could not be read."""
        with self._locked():
            # In this order nobody ever sees it unlocked, which would mean that this worker has ended.
            self._alive: IO[bytes] = self._path(self.name, "alive").open("wb")
            fcntl.flock(self._alive, fcntl.LOCK_EX)

    def __repr__(self) -> str:
        return f"<WorkerSnapshots {self.name} [{self.failures} failures]>"

    async def keep(self) -> None:
        """Write a snapshot each second until cancelled, then a last one, and leave. What fails on disk is counted."""
        try:
            while True:
                await self._write_in_thread()
                await anyio.sleep(_INTERVAL)
        finally:
            with anyio.CancelScope(shield=True):
                await self._write_in_thread()
            self.leave()

    async def gathered(self) -> Snapshot:
        """Return the metrics of all workers added up.

        Raises:
            OSError: The folder cannot be read. What this worker alone has counted would be less than was told before.
        """
        # What others keep is read on their own loop; adding up takes longer and does not need it.
        return await anyio.to_thread.run_sync(self.gather, self._exporter.readings())

    def gather(self, readings: Iterable[Reading]) -> Snapshot:
        """As `gathered`, with this worker's own `readings`; blocks while files are read."""
        total = self._exporter.snapshot(readings)
        with self._locked():
            total.add(self._others())
        return total

    def write(self, readings: Iterable[Reading]) -> None:
        """Write this worker's snapshot; blocks. Raises OSError."""
        self._replace(self._path(self.name, "snapshot"), self._exporter.snapshot(readings).packed())

    def leave(self) -> None:
        """Be counted among those that have ended, as a process that is gone is by itself."""
        self._alive.close()

    async def _write_in_thread(self) -> None:
        try:
            await anyio.to_thread.run_sync(self.write, self._exporter.readings())
        except OSError:
            self.failures += 1

    def _others(self) -> Snapshot:
        """The others' metrics, those of the dead moved to the past on the way. The caller holds the lock."""
        path = self._folder / "past"
        total, past, within = Snapshot(), Snapshot(), set[str]()
        try:
            names, _, packed = path.read_bytes().partition(b"\n")
            past, within = Snapshot.unpacked(packed), set(json.loads(names))
        except FileNotFoundError:
            pass
        except ValueError:
            self.failures += 1
        dead: list[str] = []
        for file in sorted(self._folder.glob("*.alive")):
            name = file.stem
            if name == self.name:
                continue
            is_alive = _is_locked(file)
            snapshot = None if name in within else self._read(name)
            if is_alive:
                total.add(snapshot or Snapshot())
            else:
                dead.append(name)
                past.add(snapshot or Snapshot(), alive=False)
        if dead:
            # First written whose snapshots are in it, then these removed: to end in between counts nothing twice.
            self._replace(path, json.dumps(dead).encode() + b"\n" + past.packed())
            for name in dead:
                for kind in ("snapshot", "snapshot.new", "alive"):
                    self._path(name, kind).unlink(missing_ok=True)
        total.add(past, alive=False)
        return total

    def _read(self, name: str) -> Snapshot | None:
        try:
            return Snapshot.unpacked(self._path(name, "snapshot").read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            self.failures += 1
            return None

    def _replace(self, path: Path, content: bytes) -> None:
        new = path.with_name(f"{path.name}.new")
        new.write_bytes(content)
        new.replace(path)

    def _path(self, name: str, kind: str) -> Path:
        return self._folder / f"{name}.{kind}"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Raises TimeoutError, which is an OSError, where somebody stopped in the middle holds the lock."""
        until = time.monotonic() + _PATIENCE
        with (self._folder / "lock").open("wb") as lock:
            while not _take(lock):
                if time.monotonic() >= until:
                    message = f"another worker has held the lock of {self._folder} for {_PATIENCE:g} s"
                    raise TimeoutError(message)
                time.sleep(_LOOK)
            yield


def _take(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_locked(file: Path) -> bool:
    """Whether the worker whose file this is lives. Only asked under the folder's lock: asking takes the file's own."""
    with file.open("rb") as held:
        return not _take(held)
