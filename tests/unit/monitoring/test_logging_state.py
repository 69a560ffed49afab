"""Importing and using the library leaves the process's logging as it was: shown in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json, logging, warnings
import mcp.server  # what the SDK itself does is not ours

def state():
    known = logging.root.manager.loggerDict
    handlers = {name: [type(one).__name__ for one in logger.handlers] for name, logger in known.items()
                if isinstance(logger, logging.Logger) and logger.handlers}
    levels = {name: logger.level for name, logger in known.items()
              if isinstance(logger, logging.Logger) and (logger.level or not logger.propagate or logger.disabled)}
    return {
        "root": [logging.root.level, list(map(repr, logging.root.handlers)), list(map(repr, logging.root.filters))],
        "handlers": handlers,
        "levels": levels,
        "record factory": logging.getLogRecordFactory() is logging.LogRecord,
        "logger class": logging.getLoggerClass() is logging.Logger,
        "manager's": [repr(logging.root.manager.loggerClass), repr(logging.root.manager.logRecordFactory)],
        "disabled": logging.root.manager.disable,
        "last resort": repr(logging.lastResort),
        "raises": logging.raiseExceptions,
        "levels by name": logging.getLevelNamesMapping(),
        "warnings": repr(warnings.showwarning),
        "filters of warnings": list(map(repr, warnings.filters)),
        "all handlers": sorted(type(ref()).__name__ for ref in logging._handlerList),
    }

before = state()
import trunkline
for name in trunkline.__all__:
    getattr(trunkline, name)
imported = state()

import asyncio
from trunkline.config import Settings
from trunkline.testing import faulty_stdio

async def use():
    settings = trunkline.ServerSettings("s", faulty_stdio())
    gone = trunkline.ServerSettings("gone", trunkline.StdioEndpoint("/no/such/program"))
    async with trunkline.Infrastructure(Settings("here", {"s": settings, "gone": gone})) as infra:
        await infra.mcp_client.call_tool("s_add", {"a": 1, "b": 2}, domain="d")
        try:
            await infra.mcp_client.call_tool("nothing")
        except trunkline.ToolNotFound:
            pass

asyncio.run(use())
print(json.dumps({"before": before, "imported": imported, "used": state()}))
"""


@pytest.mark.requirement("LOG-STATE")
def test_importing_and_using_the_library_changes_no_logging_state_but_for_one_null_handler() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    states = json.loads(done.stdout)
    before, used = states["before"], states["used"]
    assert states["imported"] == before
    assert used["handlers"].pop("trunkline") == ["NullHandler"]
    used["all handlers"].remove("NullHandler")
    assert used == before
    assert done.stderr == "", "what the library has to say goes to whoever listens, and here nobody does"
