"""The command `trunkline`: reads the command line, runs one command, and turns what went wrong into an exit status."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final, NoReturn, Protocol, cast

from trunkline.cli.exits import EXIT_CODES, FAILED, INTERRUPTED, WRONG_USE, CommandError, complain
from trunkline.version import VERSION

__all__ = ["CACHE_MODES", "main"]

CACHE_MODES: Final = ("use", "refresh", "bypass")
"""The values of `trunkline.call.CacheMode`, without importing all that it stands among."""

_GATEWAY: Final = "http://127.0.0.1:8700"
_CONFIG: Final = "a .toml or .json file; else trunkline.toml, trunkline.json, mcp.json or .mcp.json of this folder"


class _Command(Protocol):
    """What a module of a command offers."""

    def run(self, options: argparse.Namespace) -> int: ...


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Complain in one line that says what to do, and exit with status 2."""
        complain(f"{message}; see {self.prog} --help")
        self.exit(WRONG_USE)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `trunkline` with these arguments, the process's own when None; returns the exit status and never raises."""
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            # A terminal that cannot show a tool's text gets escapes instead of a traceback.
            reconfigure(errors="backslashreplace")
    try:
        options = _parser().parse_args(argv)
        command = cast("_Command", importlib.import_module(f"trunkline.cli.{options.command}"))
        status = command.run(options)
        sys.stdout.flush()
    except SystemExit as exit_of_parser:
        return exit_of_parser.code if isinstance(exit_of_parser.code, int) else WRONG_USE
    except CommandError as error:
        for problem in error.problems:
            complain(problem)
        return error.status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has left. The interpreter flushes once more at exit, and must not stumble over it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="trunkline",
        description="The infrastructure layer for applications that call MCP tools.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"trunkline {VERSION}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Parser)

    serve = _command(commands, "serve", "run the gateway, with its dashboard and metrics")
    serve.epilog = _epilog("trunkline serve mcp.json --port 8700")
    serve.add_argument("config", nargs="?", metavar="CONFIG", help=_CONFIG)
    serve.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: %(default)s); other than loopback it takes trunkline.gateway.principals",
    )
    serve.add_argument(
        "--port", type=int, default=8700, help="port to listen on, 0 for any free one (default: %(default)s)"
    )
    serve.add_argument("--stdio", action="store_true", help="speak MCP over standard input and output instead")

    tools = _command(commands, "tools", "list every tool: its server, hints and availability")
    tools.epilog = _epilog("trunkline tools mcp.json --json")
    tools.add_argument("config", nargs="?", metavar="CONFIG", help=_CONFIG)
    tools.add_argument("--json", action="store_true", help="print JSON, with schemas")

    call = _command(commands, "call", "call one tool through the whole stack")
    call.usage = "trunkline call [-h] [--timeout S] [--cache MODE] [--json] [CONFIG] TOOL JSON"
    call.epilog = _epilog("""trunkline call mcp.json time_get_current_time '{"timezone": "UTC"}'""")
    call.add_argument(
        "words",
        nargs="+",
        metavar="[CONFIG] TOOL JSON",
        help=f"CONFIG: {_CONFIG}. TOOL: its name as `tools` shows it. JSON: its arguments as an object; - reads them "
        "from standard input",
    )
    call.add_argument("--timeout", type=_seconds, metavar="S", help="seconds the whole call may take")
    call.add_argument(
        "--cache",
        choices=CACHE_MODES,
        default="use",
        help="use a cached answer (the default), refresh it, or bypass the cache; what one call stores the next finds "
        "only in a Redis",
    )
    call.add_argument("--json", action="store_true", help="print the whole result and its provenance as JSON")

    check = _command(commands, "check", "validate the configuration, connect to everything, report")
    check.epilog = _epilog("trunkline check mcp.json && echo ready")
    check.add_argument("config", nargs="?", metavar="CONFIG", help=_CONFIG)
    check.add_argument("--json", action="store_true", help="print JSON")

    _add_pin(commands)
    _add_top(commands)
    _add_demo(commands)
    _add_token(commands)

    cache = _command(commands, "cache", "show, invalidate or clear the cache of a running gateway")
    cache.epilog = _epilog("""trunkline cache invalidate --tool search_web --arguments '{"query": "trunks"}'""")
    cache.add_argument("action", choices=("stats", "invalidate", "clear"), help="what to do")
    cache.add_argument("url", nargs="?", default=_GATEWAY, metavar="URL", help="the gateway (default: %(default)s)")
    invalidate = cache.add_argument_group(
        "what to invalidate", "of several, what fits all of them goes, and at times a little more"
    )
    invalidate.add_argument("--tool", metavar="NAME", help="what this tool answered, by its name as `tools` shows it")
    invalidate.add_argument("--arguments", metavar="JSON", help="of that tool, only what these arguments gave")
    invalidate.add_argument("--server", metavar="NAME", help="everything this server answered")
    invalidate.add_argument("--tag", metavar="NAME", help="everything under this tag of the configuration")
    invalidate.add_argument("--principal", metavar="NAME", help="everything this principal was answered")
    cache.add_argument("--json", action="store_true", help="print JSON")

    _exports(commands)
    parser.epilog = _epilog(*(_example(command) for command in commands.choices.values()))
    return parser


def _exports(commands: argparse._SubParsersAction[_Parser]) -> None:
    export = _command(commands, "export", "print what other programs read: API, dashboards, rules")
    export.epilog = _epilog("trunkline export openapi --out openapi.json")
    exports = export.add_subparsers(dest="what", metavar="WHAT", required=True, parser_class=_Parser)
    _export(exports, "grafana", "a dashboard for Grafana, of all that Prometheus is given")
    _export(exports, "openapi", "the gateway's JSON endpoints as an OpenAPI 3.1 document")
    rules = _export(exports, "prometheus-rules", "the alert rules in force as a rule file for Prometheus")
    rules.add_argument("config", nargs="?", metavar="CONFIG", help=f"{_CONFIG}; without any, the built-in rules")
    rules.add_argument(
        "--tests", metavar="RULES", help="instead, what `promtool test rules` is to find of the exported file RULES"
    )


def _add_pin(commands: argparse._SubParsersAction[_Parser]) -> None:
    pin = _command(commands, "pin", "show which tools are not what was accepted, and accept them")
    pin.usage = "trunkline pin [-h] [--file FILE] [--json] [CONFIG] [--accept [NAME ...]]"
    pin.epilog = _epilog("trunkline pin mcp.json --accept search_web")
    pin.add_argument("config", nargs="?", metavar="CONFIG", help=_CONFIG)
    pin.add_argument(
        "--accept",
        nargs="*",
        metavar="NAME",
        help="accept these tools as they are now, by their names as `tools` shows them, * for any characters; without "
        "a name all of them",
    )
    pin.add_argument(
        "--file",
        help="where it is kept what was accepted (default: the file that the configuration names, else "
        "trunkline.pins.json beside it); a first run creates it",
    )
    pin.add_argument("--json", action="store_true", help="print JSON, with whole definitions")


def _add_token(commands: argparse._SubParsersAction[_Parser]) -> None:
    token = _command(commands, "token", "make a token for a caller of the gateway")
    token.epilog = _epilog("trunkline token alice >> trunkline.toml")
    token.add_argument("principal", metavar="NAME", help="whom the gateway will know by it")


def _export(exports: argparse._SubParsersAction[_Parser], what: str, words: str) -> argparse.ArgumentParser:
    exported = _command(exports, what, words)
    exported.epilog = _epilog(f"trunkline export {what}")
    exported.add_argument("--out", metavar="FILE", help="write to this file instead of standard output")
    return exported


def _add_top(commands: argparse._SubParsersAction[_Parser]) -> None:
    top = _command(commands, "top", "the dashboard of a running gateway in the terminal, live")
    top.epilog = _epilog("trunkline top http://127.0.0.1:8700")
    top.add_argument("url", nargs="?", default=_GATEWAY, metavar="URL", help="the gateway (default: %(default)s)")
    look = top.add_mutually_exclusive_group()
    look.add_argument("--once", action="store_true", help="print the first page once, as text")
    look.add_argument("--json", action="store_true", help="print everything once, as JSON")


def _add_demo(commands: argparse._SubParsersAction[_Parser]) -> None:
    demo = _command(commands, "demo", "a tour: real servers, load, one is killed, watch it recover")
    demo.epilog = _epilog("trunkline demo --seconds 60")
    demo.add_argument(
        "--seconds", type=_tour, default=300.0, metavar="N", help="how long callers call, 5 or more (default: 300)"
    )
    demo.add_argument(
        "--port",
        type=int,
        metavar="PORT",
        help="port of the gateway (default: 8700, or any free one while that is taken)",
    )
    demo.add_argument(
        "--journals", metavar="FOLDER", help="create FOLDER and keep there what the servers wrote down, to count again"
    )


def _command(commands: argparse._SubParsersAction[_Parser], name: str, words: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=words,
        description=f"{words[0].upper()}{words[1:]}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _example(command: argparse.ArgumentParser) -> str:
    return (command.epilog or "").splitlines()[1].strip()


def _epilog(*examples: str) -> str:
    codes = "\n".join(f"  {number:<4}{meaning}" for number, meaning in EXIT_CODES)
    shown = "\n".join(f"  {example}" for example in examples)
    return f"{'example' if len(examples) == 1 else 'examples'}:\n{shown}\n\nexit status:\n{codes}"


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        message = f"{text!r} is not a number of seconds greater than 0"
        raise argparse.ArgumentTypeError(message)
    return value


def _tour(text: str) -> float:
    seconds = _seconds(text)
    if seconds < 5:
        message = f"{text!r} is too short a tour: give 5 seconds or more"
        raise argparse.ArgumentTypeError(message)
    return seconds
