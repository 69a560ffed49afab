"""Talks to a server that runs as our child process, one JSON message a line. Sits under the session.

The shutdown order is the specification's: close its input, wait, SIGTERM, SIGKILL; always to the whole process group,
so that grandchildren go too.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import anyio
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.memory import MemoryObjectSendStream
from mcp.client.stdio import get_default_environment
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCRequest

from trunkline.endpoint import StdioEndpoint
from trunkline.secrets import Secrets
from trunkline.transport.lines import LineParser
from trunkline.transport.outbox import Outbox
from trunkline.transport.piped import Answers, PipedCalls
from trunkline.transport.wire import Wires

__all__ = ["ChildProcess", "open_stdio"]

_STDERR_TAIL = 2048
"""Bytes of the child's last words that are kept to explain its end."""
_POLL = 0.01
"""Seconds between looks at a dying child; `Process.wait` would also wait for pipes its children hold open."""
_SETTLE = 0.3
"""Seconds after the end of its output in which a child's exit status is usually known."""
_KILL_AFTER = 1.0
"""Seconds between SIGTERM and SIGKILL."""

Incoming = SessionMessage | Exception


@dataclass(slots=True)
class ChildProcess:
    """What is known about the child: for reasons in errors and health."""

    process: Process
    stderr: bytes = b""

    def last_words(self, arguments: Iterable[str]) -> str:
        """How it ended, and the end of what it said on stderr, the words of calls' `arguments` taken out."""
        code = self.process.returncode
        if code is None:
            how = "the server closed its output"
        elif code < 0:
            how = f"the server's process was ended by {signal.Signals(-code).name}"
        else:
            how = f"the server's process exited with status {code}"
        kept = self.stderr.decode("utf-8", "replace")
        if len(self.stderr) == _STDERR_TAIL:
            # Of what was cut off the rest is not told: half a secret would not be known for one.
            kept = re.sub(r"\A\S*", "", kept)
        said = kept.strip().splitlines()
        # A word that is longer than all it said is not in there, and to look for megabytes takes seconds.
        secrets = Secrets(word for word in arguments if len(word) <= len(self.stderr))
        return f"{how}: {secrets.mask(said[-1])}" if said else how

    async def settle(self) -> None:
        """Wait a moment for the child's end to be noticed."""
        await _exited(self.process, _SETTLE)


@asynccontextmanager
async def open_stdio(
    endpoint: StdioEndpoint, wires: Wires, *, grace: float
) -> AsyncIterator[tuple[PipedCalls, ChildProcess]]:
    """Start the server and yield what reaches it, and the child itself.

    Raises:
        OSError: The program cannot be started.
    """
    process = await anyio.open_process(
        [os.path.expanduser(endpoint.command), *endpoint.args],  # noqa: PTH111, ASYNC240 - a command need not be a path, and this touches no disk
        env=get_default_environment() | dict(endpoint.env),
        cwd=endpoint.cwd,
        start_new_session=True,
    )
    # No await between here and the task group: a cancellation in the gap would leak the child.
    child = ChildProcess(process)
    outbox, answers = Outbox(), Answers()
    incoming, received = anyio.create_memory_object_stream[Incoming](0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_read, process, answers, incoming)
        tasks.start_soon(_write, process, outbox, wires)
        tasks.start_soon(_listen_to_stderr, process, child)
        try:
            yield PipedCalls(JSONRPCDispatcher(received, outbox), outbox, answers), child
        finally:
            with anyio.CancelScope(shield=True):
                received.close()
                await outbox.aclose()
                await _stop(process, grace)
            tasks.cancel_scope.cancel()


async def _read(process: Process, answers: Answers, incoming: MemoryObjectSendStream[Incoming]) -> None:
    parser = LineParser()
    async with incoming:
        with suppress(anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
            while True:
                for message in parser.feed(await _stdout(process).receive(65536)):
                    if not answers.take(message):
                        await incoming.send(message)


async def _write(process: Process, outbox: Outbox, wires: Wires) -> None:
    stdin = process.stdin
    if stdin is None:  # pragma: no cover - opened with pipes
        return
    while True:
        try:
            message = (await outbox.take()).message
        except anyio.EndOfStream:
            return
        line = message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
        if isinstance(message, JSONRPCRequest) and (wire := wires.get(str(message.id))):
            wire.sent()
        try:
            await stdin.send(line)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
            break
    # A server that no longer reads is gone, even while its output is still open: stop its process, and the end of
    # its output tells everybody who waits.
    await outbox.aclose()
    _signal(process, signal.SIGTERM)


async def _listen_to_stderr(process: Process, child: ChildProcess) -> None:
    with suppress(anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError, OSError):
        while process.stderr is not None:
            child.stderr = (child.stderr + await process.stderr.receive(65536))[-_STDERR_TAIL:]


def _stdout(process: Process) -> ByteReceiveStream:
    if process.stdout is None:  # pragma: no cover - opened with pipes
        raise anyio.ClosedResourceError
    return process.stdout


async def _stop(process: Process, grace: float) -> None:
    if process.stdin is not None:
        with suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            await process.stdin.aclose()
    if not await _exited(process, grace):
        _signal(process, signal.SIGTERM)
        await _exited(process, _KILL_AFTER)
    # Also after a clean exit: the group may hold grandchildren.
    _signal(process, signal.SIGKILL)
    await _exited(process, _KILL_AFTER)
    # The streams are closed without waiting for a grandchild that fled the group and holds a pipe open.
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            with suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
                await stream.aclose()


async def _exited(process: Process, within: float) -> bool:
    end = anyio.current_time() + within
    while process.returncode is None:
        if anyio.current_time() >= end:
            return False
        await anyio.sleep(_POLL)
    return True


def _signal(process: Process, number: signal.Signals) -> None:
    # The child leads its own group (start_new_session), so its pid names the group even after it is gone.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
